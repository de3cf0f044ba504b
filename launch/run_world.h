/* run_world.h: `quadrille run` as a rank of an MPI world: rank 0 schedules, the others work. */
#ifndef QD_LAUNCH_RUN_WORLD_H
#define QD_LAUNCH_RUN_WORLD_H

#include "launch/run_options.h"

/* Takes part in the world this process was started in. Returns the exit status of this rank; may
 * end the process itself when the world did not end in peace. */
int qd_run_in_world(const qd_run_options *options);

#endif
