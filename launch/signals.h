/*
 * signals.h: what SIGINT, SIGTERM, SIGHUP and SIGUSR1 mean: save at the next step boundary and
 * stop. A second SIGINT or SIGTERM ends the process at once.
 */
#ifndef QD_LAUNCH_SIGNALS_H
#define QD_LAUNCH_SIGNALS_H

#include <signal.h>
#include <sys/types.h>

/* Number of the first signal that asked to stop; 0 until then. Written by handlers only. */
extern volatile sig_atomic_t qd_stop_signal;

/* Rank 0 and the launcher: signals ask to stop. */
void qd_signals_heed(void);

/* Workers: they stop when the scheduler says so, not by themselves. */
void qd_signals_leave_to_scheduler(void);

/* Sends this process a signal when its parent ends, however that comes about. parent: as getppid()
 * told, or as the parent knows itself. */
void qd_die_with_parent(int signal_number, pid_t parent);

#endif
