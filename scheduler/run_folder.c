#include "scheduler/run_folder.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "runtime/error.h"
#include "runtime/file.h"
#include "runtime/log.h"

enum { MOST_EARLIER_RUNS = 100000 };

/* The lock is a file beside the folder, so that it stays where it is when the folder is renamed. */
static int take_lock(const char *runs, const qd_job *job, int *lock) {
    char path[PATH_MAX], name[QD_JOB_NAME_BYTES + 8];
    snprintf(name, sizeof name, ".%s.lock", job->name);
    int rc = qd_path_join(path, sizeof path, runs, name);
    if (rc)
        return rc;
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0)
        return qd_error_set_errno(QD_EIO, errno, "%s", path);
    if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        rc = errno == EWOULDBLOCK
                 ? qd_error_set(QD_EIO,
                                "%s/%s: another quadrille is running this job there; wait for it, "
                                "rename the job, or choose another --runs folder",
                                runs, job->name)
                 : qd_error_set_errno(QD_EIO, errno, "%s: lock", path);
        close(fd);
        return rc;
    }
    *lock = fd;
    return 0;
}

static int move_aside(const char *folder) {
    char aside[PATH_MAX];
    for (int n = 1; n < MOST_EARLIER_RUNS; n++) {
        if (snprintf(aside, sizeof aside, "%s.%d", folder, n) >= (int)sizeof aside)
            return qd_error_set(QD_EIO, "%s: path too long", folder);
        if (qd_file_exists(aside))
            continue;
        if (rename(folder, aside) < 0)
            return qd_error_set_errno(QD_EIO, errno, "%s: rename to %s", folder, aside);
        qd_log(QD_LOG_INFO, "the earlier run in %s is kept as %s (--resume would continue it)",
               folder, aside);
        return 0;
    }
    return qd_error_set(QD_EIO, "%s: %d earlier runs are kept there; remove some", folder,
                        MOST_EARLIER_RUNS);
}

/* A run is continued only by a job that means the same. */
static int check_earlier_job(const qd_run_folder *folder, const qd_job *job) {
    char path[PATH_MAX];
    qd_job earlier;
    int rc = qd_path_join(path, sizeof path, folder->path, "job.yaml");
    if (rc || !qd_file_exists(path))
        return rc;
    rc = qd_job_load(path, &earlier);
    if (!rc)
        rc = qd_job_check_same_result(&earlier, job);
    return rc ? qd_error_context(rc,
                                 "%s cannot be continued as this job (start anew without --resume, "
                                 "or restore the value)",
                                 folder->path)
              : 0;
}

static int write_job(const qd_run_folder *folder, const qd_job *job) {
    char path[PATH_MAX];
    qd_text text = {0};
    qd_job_emit(job, &text);
    int rc = text.failed ? qd_error_set(QD_ENOMEM, "no memory for the text of a job")
                         : qd_path_join(path, sizeof path, folder->path, "job.yaml");
    if (!rc)
        rc = qd_file_replace(path, text.bytes, text.length);
    qd_text_fini(&text);
    return rc;
}

static int write_plan(const qd_run_folder *folder, const char *plan) {
    char path[PATH_MAX];
    int rc = qd_path_join(path, sizeof path, folder->path, "layout.txt");
    return rc ? rc : qd_file_replace(path, plan, strlen(plan));
}

int qd_run_folder_open(const char *runs, const qd_job *job, const char *plan, bool resume,
                       qd_run_folder *out) {
    qd_run_folder folder = {.lock = -1};
    char absolute[PATH_MAX];
    int rc = qd_file_make_folders(runs);
    if (!rc && !realpath(runs, absolute))
        rc = qd_error_set_errno(QD_EIO, errno, "%s", runs);
    if (!rc)
        rc = qd_path_join(folder.path, sizeof folder.path, absolute, job->name);
    if (!rc)
        rc = take_lock(absolute, job, &folder.lock);
    if (!rc && qd_file_exists(folder.path))
        rc = resume ? check_earlier_job(&folder, job) : move_aside(folder.path);
    if (!rc)
        rc = qd_file_make_folders(folder.path);
    if (!rc)
        rc = write_job(&folder, job);
    if (!rc && plan)
        rc = write_plan(&folder, plan);
    if (rc) {
        qd_run_folder_close(&folder);
        return rc;
    }
    *out = folder;
    return 0;
}

void qd_run_folder_close(qd_run_folder *folder) {
    if (folder->lock >= 0)
        close(folder->lock);
    folder->lock = -1;
}
