#include "launch/signals.h"

#include <sys/prctl.h>
#include <unistd.h>

volatile sig_atomic_t qd_stop_signal;

static const int stop_signals[] = {SIGINT, SIGTERM, SIGHUP, SIGUSR1};
enum { STOP_SIGNALS = sizeof stop_signals / sizeof stop_signals[0] };

static void ask_to_stop(int number) {
    /* SIGUSR1 may come twice for one wish (a batch system and a launcher). */
    if (qd_stop_signal != 0 && (number == SIGINT || number == SIGTERM))
        _exit(128 + number);
    if (qd_stop_signal == 0)
        qd_stop_signal = number;
}

static void install(void (*handler)(int)) {
    struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART};
    sigemptyset(&action.sa_mask);
    for (int i = 0; i < STOP_SIGNALS; i++)
        sigaction(stop_signals[i], &action, NULL);
}

void qd_signals_heed(void) {
    install(ask_to_stop);
}

void qd_signals_leave_to_scheduler(void) {
    install(SIG_IGN);
}

void qd_die_with_parent(int signal_number, pid_t parent) {
    prctl(PR_SET_PDEATHSIG, signal_number);
    /* It may have gone before the line above. */
    if (getppid() != parent)
        raise(signal_number);
}
