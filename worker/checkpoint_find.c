#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/error.h"
#include "runtime/log.h"
#include "worker/checkpoint.h"
#include "worker/checkpoint_folder.h"
#include "worker/checkpoint_manifest.h"

static int read_whole(const char *folder, int64_t step, qd_manifest *m) {
    int rc = qd_manifest_read(folder, m);
    if (rc)
        return rc;
    if (m->step != step)
        rc = qd_error_set(QD_EDATA, "%s: its manifest is of step %lld", folder, (long long)m->step);
    for (int i = 0; !rc && i < m->file_count; i++)
        rc = qd_stored_file_check_size(folder, i, &m->files[i]);
    if (rc)
        qd_manifest_fini(m);
    return rc;
}

/* Fills info from a folder that looks whole. */
static int examine(const char *run_folder, int64_t step, qd_checkpoint_info *info) {
    char folder[PATH_MAX];
    qd_manifest m;
    int rc = qd_checkpoint_folder(run_folder, step, false, folder);
    if (!rc && strlen(folder) >= sizeof info->folder)
        rc = qd_error_set(QD_EIO, "%s: this path is longer than %zu bytes", folder,
                          sizeof info->folder - 1);
    if (!rc)
        rc = read_whole(folder, step, &m);
    if (rc)
        return rc;
    *info = (qd_checkpoint_info){.step = step, .job_text = m.job_text, .origin = m.origin};
    memcpy(info->folder, folder, strlen(folder) + 1);
    m.job_text = NULL;
    qd_manifest_fini(&m);
    return 0;
}

int qd_checkpoint_find(const char *run_folder, int64_t at_most, qd_checkpoint_info *info,
                       bool *found) {
    int64_t *steps = NULL;
    int count = 0;
    int rc = qd_checkpoint_list(run_folder, false, &steps, &count);
    if (rc)
        return rc;
    *found = false;
    for (int i = 0; i < count && !*found; i++) {
        if (at_most >= 0 && steps[i] > at_most)
            continue;
        if (examine(run_folder, steps[i], info) == 0)
            *found = true;
        else
            qd_log(QD_LOG_WARN, "checkpoint of step %lld passed over: %s", (long long)steps[i],
                   qd_error_message());
    }
    free(steps);
    return 0;
}

void qd_checkpoint_info_fini(qd_checkpoint_info *info) {
    free(info->job_text);
    info->job_text = NULL;
}
