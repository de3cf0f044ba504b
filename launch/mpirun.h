/*
 * mpirun.h: starts mpirun on this host, hands on signals, waits, and cleans up after an mpirun
 * that was killed. Nothing it started outlives it.
 */
#ifndef QD_LAUNCH_MPIRUN_H
#define QD_LAUNCH_MPIRUN_H

/* Set in the environment of the ranks: the process that rank 0 tells (SIGUSR2) that all ranks are
 * ready, so that signals may be handed on. */
#define QD_LAUNCHER_VARIABLE "QUADRILLE_LAUNCHER"

/*
 * Runs `mpirun -n ranks PROGRAM arguments...` (PROGRAM: this executable) and returns its exit
 * status; 128 + n when signal n ended it. arguments ends with NULL. A signal to stop
 * (signals.h) is handed on as SIGUSR1 once the ranks can take it; grace_s later, and some, what is
 * left is killed. QD_EIO when mpirun cannot be started.
 */
int qd_mpirun(int ranks, char *const *arguments, double grace_s, int *exit_status);

#endif
