/* farewell.h: how a world ends: the scheduler says goodbye and the workers answer. */
#ifndef QD_SCHEDULER_FAREWELL_H
#define QD_SCHEDULER_FAREWELL_H

#include <stdbool.h>

#include "runtime/wire.h"

/* Tells every worker to leave, dropping whatever it is at, and waits at most deadline_s for their
 * answers. True when all have answered: MPI can then be finalized. */
bool qd_farewell(qd_wire *wire, const qd_world *world, double deadline_s);

#endif
