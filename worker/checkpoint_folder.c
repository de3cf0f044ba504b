#include "worker/checkpoint_folder.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/error.h"
#include "runtime/file.h"
#include "runtime/log.h"

static const char prefix[] = "step-";
static const char *const suffixes[] = {[false] = "", [true] = ".tmp"};

/* Steps are written with at least this many digits, so that names sort as steps do. */
enum { STEP_DIGITS = 8, MAX_STEP_DIGITS = 18 };

int qd_checkpoint_parent(const char *run_folder, char path[PATH_MAX]) {
    return qd_path_join(path, PATH_MAX, run_folder, "checkpoints");
}

int qd_checkpoint_folder(const char *run_folder, int64_t step, bool aside, char path[PATH_MAX]) {
    char parent[PATH_MAX], name[QD_CHECKPOINT_NAME_BYTES];
    int rc = qd_checkpoint_parent(run_folder, parent);
    snprintf(name, sizeof name, "%s%0*lld%s", prefix, STEP_DIGITS, (long long)step,
             suffixes[aside]);
    return rc ? rc : qd_path_join(path, PATH_MAX, parent, name);
}

void qd_checkpoint_writer_name(int index, const char *suffix, char name[QD_CHECKPOINT_NAME_BYTES]) {
    snprintf(name, QD_CHECKPOINT_NAME_BYTES, "writer-%03d.%s", index, suffix);
}

/* The step a folder's name tells; -1 when it is not a name of ours. */
static int64_t step_of(const char *name, bool aside) {
    if (strncmp(name, prefix, strlen(prefix)) != 0)
        return -1;
    const char *digits = name + strlen(prefix), *at = digits;
    int64_t step = 0;
    for (; isdigit((unsigned char)*at) && at - digits < MAX_STEP_DIGITS; at++)
        step = 10 * step + (*at - '0');
    return at - digits >= STEP_DIGITS && strcmp(at, suffixes[aside]) == 0 ? step : -1;
}

static int descending(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x < y) - (x > y);
}

static int add_step(int64_t **steps, int *count, int64_t step) {
    int64_t *more = realloc(*steps, ((size_t)*count + 1) * sizeof **steps);
    if (!more)
        return qd_error_set(QD_ENOMEM, "no memory for a list of checkpoints");
    more[(*count)++] = step;
    *steps = more;
    return 0;
}

int qd_checkpoint_list(const char *run_folder, bool aside, int64_t **out, int *out_count) {
    char parent[PATH_MAX];
    int64_t *steps = NULL;
    int count = 0;
    int rc = qd_checkpoint_parent(run_folder, parent);
    if (rc)
        return rc;
    DIR *folder = opendir(parent);
    if (!folder && errno != ENOENT)
        return qd_error_set_errno(QD_EIO, errno, "%s", parent);
    for (struct dirent *entry; !rc && folder && (entry = readdir(folder));) {
        int64_t step = step_of(entry->d_name, aside);
        if (step >= 0)
            rc = add_step(&steps, &count, step);
    }
    if (folder)
        closedir(folder);
    if (rc) {
        free(steps);
        return rc;
    }
    if (count > 0)
        qsort(steps, (size_t)count, sizeof *steps, descending);
    *out = steps;
    *out_count = count;
    return 0;
}

int qd_checkpoint_remove_aside(const char *run_folder, int64_t step) {
    char aside[PATH_MAX];
    int rc = qd_checkpoint_folder(run_folder, step, true, aside);
    return rc ? rc : qd_file_remove_tree(aside);
}

/* Takes the final name away first: from then on nobody takes what is left for a checkpoint. */
static int remove_complete(const char *run_folder, int64_t step) {
    char folder[PATH_MAX], aside[PATH_MAX];
    int rc = qd_checkpoint_folder(run_folder, step, false, folder);
    if (!rc)
        rc = qd_checkpoint_folder(run_folder, step, true, aside);
    if (!rc)
        rc = qd_file_remove_tree(aside);
    if (!rc && rename(folder, aside) < 0)
        rc = qd_error_set_errno(QD_EIO, errno, "%s: rename", folder);
    return rc ? rc : qd_file_remove_tree(aside);
}

/* Removes those of steps older than `newest` beyond the first `keep`. */
static int remove_older(const char *run_folder, bool aside, int64_t newest, int64_t keep) {
    int64_t *steps = NULL;
    int count = 0;
    int rc = qd_checkpoint_list(run_folder, aside, &steps, &count);
    for (int i = 0; !rc && i < count; i++) {
        if (steps[i] >= newest || keep-- > 0)
            continue;
        rc = aside ? qd_checkpoint_remove_aside(run_folder, steps[i])
                   : remove_complete(run_folder, steps[i]);
    }
    free(steps);
    return rc;
}

void qd_checkpoint_prune(const char *run_folder, int64_t newest, int64_t keep) {
    int rc = remove_older(run_folder, false, newest, keep - 1);
    if (!rc)
        rc = remove_older(run_folder, true, newest, 0);
    if (rc)
        qd_log(QD_LOG_WARN, "old checkpoints stay: %s", qd_error_message());
}
