/* mpirun_remains.h: what Open MPI leaves on this host when mpirun dies by SIGKILL. */
#ifndef QD_LAUNCH_MPIRUN_REMAINS_H
#define QD_LAUNCH_MPIRUN_REMAINS_H

#include <sys/types.h>

/*
 * Removes the session folder of the mpirun with that process number, and the shared-memory files of
 * its ranks (Open MPI 4: TMPDIR/ompi.HOST.UID/pid.PID and /dev/shm/vader_segment.HOST.UID.JOB.*).
 * Waits a moment for the ranks to be gone. Quiet about what it does not find.
 */
void qd_mpirun_remove_remains(pid_t mpirun);

#endif
