#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/error.h"
#include "runtime/file.h"
#include "runtime/log.h"
#include "runtime/thread.h"
#include "worker/checkpoint.h"
#include "worker/checkpoint_commit.h"
#include "worker/checkpoint_folder.h"
#include "worker/checkpoint_manifest.h"
#include "worker/checkpoint_snapshot.h"

/* Longest wait of begin for the thread to let go of a checkpoint that was given up. */
static const double let_go_deadline_s = 60;

typedef enum {
    WRITER_FREE,    /* nothing to write */
    WRITER_BUSY,    /* the thread has the snapshot */
    WRITER_WRITTEN, /* result tells how it went; waiting for commit or forget */
} writer_phase;

struct qd_checkpoint_writer {
    char run_folder[PATH_MAX];
    int index, count;
    int64_t pending; /* what the caller waits for; -1: nothing. The caller's thread alone. */

    qd_checkpoint_snapshot snapshot; /* the thread's while BUSY, else the caller's */

    pthread_t thread;
    bool has_thread, has_mutex, has_changed;
    pthread_mutex_t mutex; /* over what follows */
    pthread_cond_t changed;
    writer_phase phase;
    bool forgotten; /* BUSY with what nobody wants any more */
    bool end;
    int result;
    char error[QD_ERROR_BYTES];
};

/* ---- the thread: writing ---- */

static bool given_up(void *writer) {
    qd_checkpoint_writer *w = writer;
    pthread_mutex_lock(&w->mutex);
    bool yes = w->forgotten || w->end;
    pthread_mutex_unlock(&w->mutex);
    return yes;
}

static int own_paths(const qd_checkpoint_writer *w, char folder[PATH_MAX], char tensors[PATH_MAX],
                     char sidecar[PATH_MAX]) {
    char name[QD_CHECKPOINT_NAME_BYTES];
    int rc = qd_checkpoint_folder(w->run_folder, w->snapshot.step, true, folder);
    qd_checkpoint_writer_name(w->index, "safetensors", name);
    if (!rc)
        rc = qd_path_join(tensors, PATH_MAX, folder, name);
    qd_checkpoint_writer_name(w->index, "json", name);
    return rc ? rc : qd_path_join(sidecar, PATH_MAX, folder, name);
}

static int write_part(qd_checkpoint_writer *w) {
    char folder[PATH_MAX], tensors[PATH_MAX], sidecar[PATH_MAX];
    qd_stored_file file;
    int rc = own_paths(w, folder, tensors, sidecar);
    if (rc)
        return rc;
    if (mkdir(folder, 0755) < 0 && errno != EEXIST)
        return qd_error_set_errno(QD_EIO, errno, "%s", folder);
    unlink(sidecar); /* of an earlier attempt: it must not speak for the file below */
    rc = qd_checkpoint_snapshot_write(&w->snapshot, tensors, given_up, w, &file);
    return rc ? rc : qd_sidecar_write(folder, w->index, w->snapshot.step, &file);
}

/*
 * Removes what this member wrote of a checkpoint that was given up. Member 0 gives up for all;
 * another one leaves the folder to it.
 */
static void remove_part(const qd_checkpoint_writer *w) {
    char folder[PATH_MAX], tensors[PATH_MAX], sidecar[PATH_MAX];
    if (w->index == 0) {
        if (qd_checkpoint_remove_aside(w->run_folder, w->snapshot.step))
            qd_log(QD_LOG_WARN, "a checkpoint that was given up stays: %s", qd_error_message());
    } else if (own_paths(w, folder, tensors, sidecar) == 0) {
        unlink(sidecar);
        unlink(tensors);
        rmdir(folder); /* fails while others have files in it */
    }
}

static bool wait_for_snapshot(qd_checkpoint_writer *w) {
    pthread_mutex_lock(&w->mutex);
    while (!w->end && w->phase != WRITER_BUSY)
        pthread_cond_wait(&w->changed, &w->mutex); /* until begin or destroy, however long */
    bool work = !w->end;
    pthread_mutex_unlock(&w->mutex);
    return work;
}

static void put_result(qd_checkpoint_writer *w, int result) {
    pthread_mutex_lock(&w->mutex);
    w->result = result;
    if (result)
        memcpy(w->error, qd_error_message(), strlen(qd_error_message()) + 1);
    if (w->forgotten) {
        pthread_mutex_unlock(&w->mutex);
        remove_part(w);
        pthread_mutex_lock(&w->mutex);
        w->forgotten = false;
        w->phase = WRITER_FREE;
    } else {
        w->phase = WRITER_WRITTEN;
    }
    pthread_cond_broadcast(&w->changed);
    pthread_mutex_unlock(&w->mutex);
}

static void *write_snapshots(void *argument) {
    qd_checkpoint_writer *w = argument;
    while (wait_for_snapshot(w))
        put_result(w, write_part(w));
    return NULL;
}

/* ---- the caller: beginning ---- */

/* Whether the phase is no longer BUSY, waiting for that until deadline. */
static bool wait_not_busy(qd_checkpoint_writer *w, qd_deadline deadline) {
    bool waiting = true;
    pthread_mutex_lock(&w->mutex);
    while (w->phase == WRITER_BUSY && waiting)
        waiting = qd_cond_wait_until(&w->changed, &w->mutex, deadline);
    bool busy = w->phase == WRITER_BUSY;
    pthread_mutex_unlock(&w->mutex);
    return !busy;
}

int qd_checkpoint_begin(qd_checkpoint_writer *w, const qd_state_tensor *tensors, int count,
                        int64_t step) {
    if (w->pending >= 0)
        return qd_error_set(QD_EINTERNAL,
                            "checkpoint of step %lld begun while that of step %lld is pending",
                            (long long)step, (long long)w->pending);
    if (!wait_not_busy(w, qd_deadline_in(let_go_deadline_s)))
        return qd_error_set(QD_EIO,
                            "the disk has not taken in %g s what is left of the checkpoint of step "
                            "%lld, which was given up",
                            let_go_deadline_s, (long long)w->snapshot.step);
    int rc = qd_checkpoint_snapshot_take(&w->snapshot, tensors, count, w->index, w->count, step);
    if (rc)
        return rc;
    w->pending = step;
    pthread_mutex_lock(&w->mutex);
    w->phase = WRITER_BUSY;
    pthread_cond_broadcast(&w->changed);
    pthread_mutex_unlock(&w->mutex);
    return 0;
}

/* ---- the caller: what became of it ---- */

int64_t qd_checkpoint_pending(const qd_checkpoint_writer *w) {
    return w->pending;
}

int qd_checkpoint_written(qd_checkpoint_writer *w) {
    if (w->pending < 0)
        return qd_error_set(QD_EINTERNAL, "no checkpoint is pending");
    pthread_mutex_lock(&w->mutex);
    bool busy = w->phase == WRITER_BUSY;
    pthread_mutex_unlock(&w->mutex);
    if (busy)
        return 0;
    return w->result ? qd_error_set(w->result, "%s", w->error) : 1;
}

int qd_checkpoint_wait(qd_checkpoint_writer *w, double deadline_s) {
    if (w->pending >= 0 && !wait_not_busy(w, qd_deadline_in(deadline_s)))
        return qd_error_set(QD_ETIMEDOUT, "checkpoint of step %lld is not on disk after %g s",
                            (long long)w->pending, deadline_s);
    int rc = qd_checkpoint_written(w);
    return rc < 0 ? rc : 0;
}

static void set_free(qd_checkpoint_writer *w) {
    w->pending = -1;
    pthread_mutex_lock(&w->mutex);
    w->phase = WRITER_FREE;
    pthread_mutex_unlock(&w->mutex);
}

int qd_checkpoint_commit(qd_checkpoint_writer *w, const qd_job *job,
                         const qd_checkpoint_origin *origin) {
    int rc = qd_checkpoint_written(w);
    if (rc == 0)
        return qd_error_set(QD_EINTERNAL, "checkpoint of step %lld committed before it is written",
                            (long long)w->pending);
    if (rc > 0)
        rc = qd_checkpoint_publish(w->run_folder, w->snapshot.step, w->count, job, origin);
    if (rc)
        return rc;
    set_free(w);
    qd_checkpoint_prune(w->run_folder, w->snapshot.step, job->checkpoint_keep);
    return 0;
}

void qd_checkpoint_forget(qd_checkpoint_writer *w) {
    if (w->pending < 0)
        return;
    w->pending = -1;
    pthread_mutex_lock(&w->mutex);
    w->forgotten = w->phase == WRITER_BUSY;
    bool busy = w->forgotten;
    pthread_mutex_unlock(&w->mutex);
    if (busy)
        return; /* the thread notices, and cleans up */
    /* Another member that has written does not know whether member 0 commits: it takes nothing
     * away. */
    if (w->result || w->index == 0) {
        char reason[QD_ERROR_BYTES]; /* why it is given up; the caller may still want to say it */
        memcpy(reason, qd_error_message(), sizeof reason);
        remove_part(w);
        qd_error_set(QD_EIO, "%s", reason);
    }
    set_free(w);
}

/* ---- create, destroy ---- */

static int start_thread(qd_checkpoint_writer *w) {
    int code = pthread_mutex_init(&w->mutex, NULL);
    if (code)
        return qd_error_set_errno(QD_EINTERNAL, code, "cannot make a mutex");
    w->has_mutex = true;
    int rc = qd_cond_init(&w->changed);
    w->has_changed = rc == 0;
    if (!rc)
        rc = qd_thread_start(&w->thread, write_snapshots, w);
    w->has_thread = rc == 0;
    return rc;
}

static int open_folder(qd_checkpoint_writer *w, const char *run_folder) {
    char parent[PATH_MAX];
    if (strlen(run_folder) >= sizeof w->run_folder)
        return qd_error_set(QD_EIO, "%.64s...: path too long", run_folder);
    memcpy(w->run_folder, run_folder, strlen(run_folder) + 1);
    int rc = qd_checkpoint_parent(run_folder, parent);
    if (rc)
        return rc;
    if (mkdir(parent, 0755) == 0)
        return qd_file_sync_folder(run_folder);
    return errno == EEXIST ? 0 : qd_error_set_errno(QD_EIO, errno, "%s", parent);
}

int qd_checkpoint_writer_create(const char *run_folder, int index, int count,
                                qd_checkpoint_writer **out) {
    qd_checkpoint_writer *w = calloc(1, sizeof *w);
    if (!w)
        return qd_error_set(QD_ENOMEM, "no memory for a checkpoint writer");
    w->index = index;
    w->count = count;
    w->pending = -1;
    int rc = open_folder(w, run_folder);
    if (!rc)
        rc = start_thread(w);
    if (rc) {
        qd_checkpoint_writer_destroy(w);
        return rc;
    }
    *out = w;
    return 0;
}

/* What is being written then would never be committed: the thread ends it early. */
static void stop_thread(qd_checkpoint_writer *w) {
    pthread_mutex_lock(&w->mutex);
    w->end = true;
    pthread_cond_broadcast(&w->changed);
    pthread_mutex_unlock(&w->mutex);
    pthread_join(w->thread, NULL);
}

void qd_checkpoint_writer_destroy(qd_checkpoint_writer *w) {
    if (!w)
        return;
    if (w->has_thread)
        stop_thread(w);
    if (w->has_changed)
        pthread_cond_destroy(&w->changed);
    if (w->has_mutex)
        pthread_mutex_destroy(&w->mutex);
    qd_checkpoint_snapshot_fini(&w->snapshot);
    free(w);
}
