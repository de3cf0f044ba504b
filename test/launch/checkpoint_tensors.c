/* checkpoint_tensors RUN_FOLDER: a line for each tensor of the run's newest checkpoint, put
 * together from what its writers stored: name and checksum of all its bytes, in the order of the
 * names. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/error.h"
#include "worker/checkpoint_manifest.h"
#include "worker/checksum.h"

typedef struct whole {
    const qd_stored_slice **slices; /* one of each tensor */
    int count;
} whole;

static int by_name(const void *left, const void *right) {
    const qd_stored_slice *const *a = left, *const *b = right;
    return strcmp((*a)->name, (*b)->name);
}

static void collect(const qd_manifest *m, whole *w) {
    size_t all = 1;
    for (int f = 0; f < m->file_count; f++)
        all += (size_t)m->files[f].count;
    w->slices = calloc(all, sizeof *w->slices);
    int count = 0;
    for (int f = 0; w->slices && f < m->file_count; f++)
        for (int i = 0; i < m->files[f].count; i++)
            w->slices[count++] = &m->files[f].slices[i];
    qsort(w->slices, (size_t)count, sizeof *w->slices, by_name);
    for (int i = 0; i < count; i++)
        if (i == 0 || strcmp(w->slices[i]->name, w->slices[i - 1]->name) != 0)
            w->slices[w->count++] = w->slices[i];
}

static int print_tensor(const qd_checkpoint_info *info, const qd_stored_slice *of) {
    qd_state_tensor tensor = {.slice = qd_slice_whole(&of->slice.whole)};
    size_t bytes = (size_t)qd_slice_elements(&tensor.slice) * sizeof(float);
    memcpy(tensor.name, of->name, sizeof tensor.name);
    tensor.data = malloc(bytes);
    int rc = tensor.data ? qd_checkpoint_load(info, &tensor, 1, (qd_listener){0}) : QD_ENOMEM;
    if (!rc)
        printf("%s %016" PRIx64 "\n", tensor.name, qd_checksum(tensor.data, bytes));
    free(tensor.data);
    return rc;
}

static int print_all(const qd_checkpoint_info *info) {
    qd_manifest manifest;
    whole w = {0};
    int rc = qd_manifest_read(info->folder, &manifest);
    if (rc)
        return rc;
    collect(&manifest, &w);
    for (int i = 0; i < w.count && !rc; i++)
        rc = print_tensor(info, w.slices[i]);
    free(w.slices);
    qd_manifest_fini(&manifest);
    return rc;
}

int main(int argc, char **argv) {
    qd_checkpoint_info info;
    bool found = false;
    int rc = argc == 2 ? qd_checkpoint_find(argv[1], -1, &info, &found) : QD_EUSAGE;
    if (!rc && !found)
        rc = qd_error_set(QD_EDATA, "%s: no checkpoint", argv[1]);
    if (!rc)
        rc = print_all(&info);
    if (found)
        qd_checkpoint_info_fini(&info);
    if (rc)
        fprintf(stderr, "checkpoint_tensors: %s\n", argc == 2 ? qd_error_message() : "RUN_FOLDER?");
    return rc ? 1 : 0;
}
