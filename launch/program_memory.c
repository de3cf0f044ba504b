#include "launch/program_memory.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include "launch/signals.h"
#include "launch/utilization_report.h"
#include "runtime/clock.h"
#include "runtime/error.h"
#include "runtime/file.h"
#include "runtime/heap.h"
#include "runtime/world.h"

static const double deadline_s = 60;
enum { WAIT_SLEEP_US = 10000 };

static const char job_text[] = "name: smallest\n"
                               "model: {family: regression, inputs: 1, hidden: [], outputs: 1}\n"
                               "data: {format: csv, folder: ., train: data.csv, test: data.csv}\n"
                               "train: {batch: 2, steps: 2}\n"
                               "optimizer: {kind: sgd, learning_rate: 0.1}\n"
                               "slots: {data: 1}\n";
static const char data_text[] = "0,0\n1,1\n";

static int make_folder(char folder[PATH_MAX]) {
    const char *parent = getenv("TMPDIR");
    int rc =
        qd_path_join(folder, PATH_MAX, parent && *parent ? parent : "/tmp", "quadrille-XXXXXX");
    if (!rc && !mkdtemp(folder))
        rc = qd_error_set_errno(QD_EIO, errno, "%s", folder);
    return rc;
}

static int write_file(const char *folder, const char *name, const char *text) {
    char path[PATH_MAX];
    int rc = qd_path_join(path, sizeof path, folder, name);
    return rc ? rc : qd_file_replace(path, text, strlen(text));
}

/* In the child. Nobody wants to read what it says. */
static void become_run(const char *folder, pid_t parent) {
    int null = open("/dev/null", O_RDWR);
    if (null >= 0)
        for (int fd = 0; fd <= STDERR_FILENO; fd++)
            dup2(null, fd);
    qd_die_with_parent(SIGTERM, parent);
    if (chdir(folder) == 0)
        execl("/proc/self/exe", "quadrille", "run", "-n", "1", "--progress=none", "job.yaml",
              (char *)NULL);
    _exit(EX_OSERR);
}

static int wait_for_run(pid_t child) {
    qd_deadline deadline = qd_deadline_in(deadline_s);
    int status = 0;
    bool killed = false;
    while (waitpid(child, &status, WNOHANG) == 0) {
        if (!killed && (qd_deadline_passed(deadline) || qd_stop_signal)) {
            kill(child, SIGKILL); /* mpirun and the ranks die with it */
            killed = true;
        }
        usleep(WAIT_SLEEP_US);
    }
    if (killed)
        return qd_error_set(QD_ETIMEDOUT, "a worker with the smallest job had not ended in %g s",
                            deadline_s);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != EX_OK)
        return qd_error_set(QD_EINTERNAL,
                            "`quadrille run' of the smallest job ended with status %d",
                            WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
    return 0;
}

static int run_smallest(const char *folder) {
    int rc = write_file(folder, "job.yaml", job_text);
    if (!rc)
        rc = write_file(folder, "data.csv", data_text);
    if (rc)
        return rc;
    pid_t parent = getpid(), child = fork();
    if (child < 0)
        return qd_error_set_errno(QD_EIO, errno, "fork");
    if (child == 0)
        become_run(folder, parent);
    return wait_for_run(child);
}

/* Its own buffers are a few KiB, and lie in the heap's reserve. */
static int read_peak(const char *folder, size_t *bytes) {
    char run[PATH_MAX];
    qd_utilization_report report = {0};
    int rc = qd_path_join(run, sizeof run, folder, "runs/smallest");
    if (!rc)
        rc = qd_utilization_report_read(run, &report);
    if (rc)
        return rc;
    int64_t peak = report.rank_count == 1 ? report.ranks[0].peak_memory_bytes : 0;
    qd_utilization_report_fini(&report);
    if (peak <= QD_HEAP_RESERVE)
        return qd_error_set(QD_EINTERNAL, "this system does not tell what is resident");
    *bytes = (size_t)peak - QD_HEAP_RESERVE;
    return 0;
}

int qd_program_memory_measure(size_t *bytes) {
    char folder[PATH_MAX];
    if (qd_world_launched())
        return qd_error_set(QD_EINTERNAL, "not measured by a rank of a world");
    int rc = make_folder(folder);
    if (rc)
        return rc;
    qd_signals_heed(); /* so that the folder goes */
    rc = run_smallest(folder);
    if (!rc)
        rc = read_peak(folder, bytes);
    qd_file_remove_tree(folder);
    return qd_stop_signal ? qd_error_set(QD_ECANCELLED, "interrupted") : rc;
}
