#include "worker/checkpoint_commit.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/error.h"
#include "runtime/file.h"
#include "worker/checkpoint_folder.h"
#include "worker/checkpoint_manifest.h"

static int collect_parts(const char *folder, int writers, qd_manifest *m) {
    m->files = calloc((size_t)writers, sizeof *m->files);
    if (!m->files)
        return qd_error_set(QD_ENOMEM, "no memory for the parts of %d writers", writers);
    m->file_count = writers;
    for (int i = 0; i < writers; i++) {
        int rc = qd_sidecar_read(folder, i, m->step, &m->files[i]);
        if (!rc)
            rc = qd_stored_file_check_size(folder, i, &m->files[i]);
        if (rc)
            return rc;
    }
    return 0;
}

static int write_manifest(const char *folder, int64_t step, int writers, const qd_job *job,
                          const qd_checkpoint_origin *origin) {
    qd_text job_text = {0};
    qd_manifest m = {.step = step, .origin = *origin};
    int rc = collect_parts(folder, writers, &m);
    if (!rc) {
        qd_job_emit(job, &job_text);
        rc = job_text.failed ? qd_error_set(QD_ENOMEM, "no memory for the job's text") : 0;
    }
    if (!rc) {
        m.job_text = job_text.bytes;
        rc = qd_manifest_write(folder, &m);
        m.job_text = NULL;
    }
    qd_text_fini(&job_text);
    qd_manifest_fini(&m);
    return rc;
}

static bool belongs(const char *name, int writers) {
    static const char *const suffixes[] = {"safetensors", "json"};
    char expected[QD_CHECKPOINT_NAME_BYTES];
    int index;
    if (strcmp(name, "manifest.json") == 0 || name[0] == '.')
        return true;
    if (sscanf(name, "writer-%d", &index) != 1 || index < 0 || index >= writers)
        return false;
    for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++) {
        qd_checkpoint_writer_name(index, suffixes[i], expected);
        if (strcmp(name, expected) == 0)
            return true;
    }
    return false;
}

/* An earlier attempt with more writers, killed at the same step, leaves files no one lists. */
static int remove_strangers(const char *path, int writers) {
    int rc = 0;
    DIR *folder = opendir(path);
    if (!folder)
        return qd_error_set_errno(QD_EIO, errno, "%s", path);
    for (struct dirent *entry; !rc && (entry = readdir(folder));) {
        char stranger[PATH_MAX];
        if (belongs(entry->d_name, writers))
            continue;
        rc = qd_path_join(stranger, sizeof stranger, path, entry->d_name);
        if (!rc)
            rc = qd_file_remove_tree(stranger);
    }
    closedir(folder);
    return rc;
}

/* On a file system that cannot exchange names (NFS): a short moment without either. */
static int change_places(const char *aside, const char *folder) {
    char old[PATH_MAX];
    if (snprintf(old, sizeof old, "%s.old", aside) >= (int)sizeof old)
        return qd_error_set(QD_EIO, "%s: path too long", aside);
    int rc = qd_file_remove_tree(old);
    if (!rc && rename(folder, old) < 0)
        rc = qd_error_set_errno(QD_EIO, errno, "%s: rename", folder);
    if (rc)
        return rc;
    if (rename(aside, folder) == 0)
        return qd_file_remove_tree(old);
    rc = qd_error_set_errno(QD_EIO, errno, "%s: rename", aside);
    if (rename(old, folder) < 0)
        rc = qd_error_context(rc, "%s: what stood there is %s now", folder, old);
    return rc;
}

/* Where the same step stands there already (saved by an attempt that was fallen back behind), the
 * two change places, so that at no moment there is none. */
static int move_into_place(const char *aside, const char *folder) {
    if (rename(aside, folder) == 0)
        return 0;
    if (errno != ENOTEMPTY && errno != EEXIST)
        return qd_error_set_errno(QD_EIO, errno, "%s: rename", aside);
    if (renameat2(AT_FDCWD, aside, AT_FDCWD, folder, RENAME_EXCHANGE) == 0)
        return qd_file_remove_tree(aside);
    if (errno != EINVAL && errno != ENOSYS)
        return qd_error_set_errno(QD_EIO, errno, "%s: rename", aside);
    return change_places(aside, folder);
}

int qd_checkpoint_publish(const char *run_folder, int64_t step, int writers, const qd_job *job,
                          const qd_checkpoint_origin *origin) {
    char parent[PATH_MAX], aside[PATH_MAX], folder[PATH_MAX];
    int rc = qd_checkpoint_parent(run_folder, parent);
    if (!rc)
        rc = qd_checkpoint_folder(run_folder, step, true, aside);
    if (!rc)
        rc = qd_checkpoint_folder(run_folder, step, false, folder);
    if (!rc)
        rc = remove_strangers(aside, writers);
    if (!rc)
        rc = write_manifest(aside, step, writers, job, origin);
    if (!rc)
        rc = qd_file_sync_folder(aside);
    if (!rc)
        rc = move_into_place(aside, folder);
    return rc ? rc : qd_file_sync_folder(parent);
}
