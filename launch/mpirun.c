#include "launch/mpirun.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include "launch/mpirun_remains.h"
#include "launch/signals.h"
#include "runtime/clock.h"
#include "runtime/error.h"
#include "runtime/isa.h"
#include "runtime/log.h"

enum { MOST_ARGUMENTS = 4096, WAIT_SLEEP_US = 20000 };

static const double ready_deadline_s = 60; /* for all ranks to be up */
static const double extra_grace_s = 30;    /* beyond the ranks' own, before mpirun is killed */

/* Set by SIGUSR2 of rank 0. */
static volatile sig_atomic_t ranks_ready;

static void on_ready(int number) {
    (void)number;
    ranks_ready = 1;
}

/* No binding by mpirun (it would bind two ranks to one core each), more ranks than cores allowed
 * (the scheduler mostly sleeps). */
static const char *const always[] = {"mpirun", "--quiet",         "--bind-to",
                                     "none",   "--oversubscribe", NULL};

/* No traffic off the host. */
static const char *const one_host[] = {"--mca", "oob_tcp_if_include", "lo", "--mca",
                                       "btl",   "self,vader",         NULL};

typedef struct argument_list {
    const char *at[MOST_ARGUMENTS + 1];
    int count;
} argument_list;

static void add(argument_list *list, const char *argument) {
    if (list->count < MOST_ARGUMENTS)
        list->at[list->count++] = argument;
}

static void add_all(argument_list *list, const char *const *arguments) {
    for (int i = 0; arguments[i]; i++)
        add(list, arguments[i]);
}

static void add_option(argument_list *list, const char *option, const char *value) {
    if (!value)
        return;
    add(list, option);
    add(list, value);
}

static void exec_mpirun(const qd_mpirun_config *config, const char *program) {
    argument_list list = {0};
    char count[16];
    add_all(&list, always);
    if (!config->hosts && !config->host_file)
        add_all(&list, one_host);
    add_option(&list, "--host", config->hosts);
    add_option(&list, "--hostfile", config->host_file);
    /* mpirun takes the rest of the environment to this host's ranks only. */
    add_option(&list, "-x", getenv(QD_ISA_VARIABLE) ? QD_ISA_VARIABLE : NULL);
    snprintf(count, sizeof count, "%d", config->ranks);
    add_option(&list, "-n", config->ranks > 0 ? count : NULL);
    add(&list, program);
    add_all(&list, (const char *const *)config->arguments);
    execvp("mpirun", (char *const *)list.at);
    fprintf(stderr,
            "quadrille: mpirun cannot be started: %s; is Open MPI installed (Debian: "
            "openmpi-bin) and mpirun on PATH?\n",
            strerror(errno));
    _exit(EX_UNAVAILABLE);
}

/* In the child. A process group of its own keeps ^C from reaching mpirun beside us: it would kill
 * the ranks before they have saved. */
static void become_mpirun(const qd_mpirun_config *config, const char *program, pid_t launcher) {
    setpgid(0, 0);
    qd_die_with_parent(SIGUSR1, launcher);
    int null = open("/dev/null", O_RDONLY);
    if (null >= 0)
        dup2(null, STDIN_FILENO);
    char host[HOST_NAME_MAX + 1] = "", text[HOST_NAME_MAX + 32];
    gethostname(host, sizeof host - 1);
    snprintf(text, sizeof text, "%d@%s", (int)launcher, host);
    setenv(QD_LAUNCHER_VARIABLE, text, 1);
    if (geteuid() == 0) {
        /* mpirun refuses root unless told; whoever starts us as root has decided that. */
        setenv("OMPI_ALLOW_RUN_AS_ROOT", "1", 1);
        setenv("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1", 1);
    }
    exec_mpirun(config, program);
}

/* Hands the wish to stop on, once, when the ranks can take it. */
static void hand_on_stop(pid_t child, qd_deadline up, bool *handed_on) {
    if (*handed_on || qd_stop_signal == 0 || (!ranks_ready && !qd_deadline_passed(up)))
        return;
    kill(child, SIGUSR1);
    *handed_on = true;
}

static int wait_for_mpirun(pid_t child, double grace_s) {
    qd_deadline up = qd_deadline_in(ready_deadline_s), end = 0;
    bool handed_on = false, killed = false;
    int status = 0;
    while (waitpid(child, &status, WNOHANG) == 0) {
        hand_on_stop(child, up, &handed_on);
        if (handed_on && end == 0)
            end = qd_deadline_in(grace_s + extra_grace_s);
        if (end != 0 && qd_deadline_passed(end) && !killed) {
            qd_log(QD_LOG_ERROR, "mpirun has not ended %g s after it was told to: killed",
                   grace_s + extra_grace_s);
            kill(child, SIGKILL);
            killed = true;
        }
        usleep(WAIT_SLEEP_US);
    }
    return status;
}

int qd_mpirun(const qd_mpirun_config *config, int *exit_status) {
    char program[PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);
    if (length < 0)
        return qd_error_set_errno(QD_EIO, errno, "/proc/self/exe");
    program[length] = '\0';
    struct sigaction ready = {.sa_handler = on_ready};
    sigemptyset(&ready.sa_mask);
    sigaction(SIGUSR2, &ready, NULL);
    qd_signals_heed();
    pid_t launcher = getpid(), child = fork();
    if (child < 0)
        return qd_error_set_errno(QD_EIO, errno, "fork");
    if (child == 0)
        become_mpirun(config, program, launcher);
    int status = wait_for_mpirun(child, config->grace_s);
    if (WIFSIGNALED(status)) {
        qd_log(QD_LOG_ERROR, "mpirun was ended by signal %d (%s)", WTERMSIG(status),
               strsignal(WTERMSIG(status)));
        qd_mpirun_remove_remains(child);
    }
    *exit_status = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
    return 0;
}
