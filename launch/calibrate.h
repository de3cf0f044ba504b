/* calibrate.h: measures the machine that a world's ranks run on, as models/hardware.h describes it.
 */
#ifndef QD_LAUNCH_CALIBRATE_H
#define QD_LAUNCH_CALIBRATE_H

#include "models/hardware.h"
#include "runtime/world.h"

/*
 * All ranks of the world call it, one on each core of one machine: they measure side by side, so
 * that what they share (caches, memory, clock) is shared as in a job. The same on all ranks, means
 * over them. QD_EINTERNAL, QD_ENOMEM, and what groups return.
 */
int qd_calibrate(const qd_world *world, qd_hardware *hardware);

/* The model of this machine's processor. */
const char *qd_calibrate_processor(void);

#endif
