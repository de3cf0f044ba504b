/*
 * mpirun.h: starts mpirun on this host, for ranks here or on several hosts, hands on signals,
 * waits, and cleans up after an mpirun that was killed. Nothing it started outlives it.
 */
#ifndef QD_LAUNCH_MPIRUN_H
#define QD_LAUNCH_MPIRUN_H

/* Set in the environment of the ranks: PID@HOST of the process that rank 0, where it is on that
 * host, tells (SIGUSR2) that all ranks are ready, so that signals may be handed on. */
#define QD_LAUNCHER_VARIABLE "QUADRILLE_LAUNCHER"

typedef struct qd_mpirun_config {
    int ranks;              /* 0: one for each slot of the hosts */
    const char *hosts;      /* for --host and --hostfile of mpirun; */
    const char *host_file;  /* both NULL: all ranks on this host */
    char *const *arguments; /* ends with NULL */
    double grace_s;
} qd_mpirun_config;

/*
 * Runs `mpirun -n ranks PROGRAM arguments...` (PROGRAM: this executable, under the same path on all
 * hosts) and returns its exit status; 128 + n when signal n ended it. A signal to stop (signals.h)
 * is handed on as SIGUSR1 once the ranks can take it; grace_s later, and some, what is left is
 * killed. QD_EIO when mpirun cannot be started.
 */
int qd_mpirun(const qd_mpirun_config *config, int *exit_status);

#endif
