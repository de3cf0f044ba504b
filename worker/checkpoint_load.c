#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/error.h"
#include "runtime/file.h"
#include "worker/checkpoint.h"
#include "worker/checkpoint_folder.h"
#include "worker/checkpoint_manifest.h"
#include "worker/checksum.h"
#include "worker/safetensors.h"

typedef struct load {
    const char *folder;
    const qd_state_tensor *tensors;
    int count;
    qd_listener listener;
    qd_manifest manifest;
    float *buffer; /* one slice, as it lies in the file */
    size_t buffer_bytes;
} load;

/* ---- does the manifest cover what is asked for ---- */

static int check_shape(const load *l, const qd_state_tensor *tensor, const qd_slice *slice) {
    char there[64], here[64];
    if (qd_slice_is_of(slice, &tensor->slice.whole))
        return 0;
    return qd_error_set(QD_EDATA, "%s: %s is %s there, %s here", l->folder, tensor->name,
                        qd_shape_text(&slice->whole, there, sizeof there),
                        qd_shape_text(&tensor->slice.whole, here, sizeof here));
}

/* Adds the slices of a tensor that one file holds to found, of which *count are there. */
static int gather_slices(const load *l, const qd_state_tensor *tensor, const qd_stored_file *file,
                         const qd_slice **found, int *count) {
    for (int i = 0; i < file->count; i++) {
        const qd_slice *slice = &file->slices[i].slice;
        if (strcmp(file->slices[i].name, tensor->name) != 0)
            continue;
        int rc = check_shape(l, tensor, slice);
        if (rc)
            return rc;
        for (int other = 0; other < *count; other++)
            if (qd_slice_overlaps(found[other], slice))
                return qd_error_set(QD_EDATA, "%s: two slices of %s overlap", l->folder,
                                    tensor->name);
        found[(*count)++] = slice;
    }
    return 0;
}

static int64_t shared_elements(const qd_slice *a, const qd_slice *b) {
    qd_slice common;
    return qd_slice_common(a, b, &common) ? qd_slice_elements(&common) : 0;
}

/* Slices that do not overlap and together share as many elements with what is held as that has
 * cover it. */
static int check_covered(const load *l, const qd_state_tensor *tensor, const qd_slice **found) {
    int count = 0;
    int64_t covered = 0;
    for (int i = 0; i < l->manifest.file_count; i++) {
        int rc = gather_slices(l, tensor, &l->manifest.files[i], found, &count);
        if (rc)
            return rc;
    }
    for (int i = 0; i < count; i++)
        covered += shared_elements(found[i], &tensor->slice);
    if (count == 0)
        return qd_error_set(QD_EDATA, "%s: holds no tensor %s", l->folder, tensor->name);
    if (covered != qd_slice_elements(&tensor->slice))
        return qd_error_set(QD_EDATA, "%s: %s: only %lld of %lld elements are there", l->folder,
                            tensor->name, (long long)covered,
                            (long long)qd_slice_elements(&tensor->slice));
    return 0;
}

static int check_all_covered(const load *l) {
    int rc = 0;
    size_t slices = 1;
    for (int i = 0; i < l->manifest.file_count; i++)
        slices += (size_t)l->manifest.files[i].count;
    const qd_slice **found = calloc(slices, sizeof(const qd_slice *));
    if (!found)
        return qd_error_set(QD_ENOMEM, "%s: no memory for %zu slices", l->folder, slices);
    for (int i = 0; !rc && i < l->count; i++)
        rc = check_covered(l, &l->tensors[i], found);
    free(found);
    return rc;
}

/* ---- reading ---- */

static int reserve_buffer(load *l, size_t bytes) {
    if (bytes <= l->buffer_bytes)
        return 0;
    free(l->buffer);
    l->buffer = malloc(bytes);
    l->buffer_bytes = l->buffer ? bytes : 0;
    return l->buffer ? 0 : qd_error_set(QD_ENOMEM, "%s: no memory for %zu bytes", l->folder, bytes);
}

/* Reads a slice into the buffer and checks it. */
static int read_slice(load *l, int fd, const char *path, const qd_safetensors *header,
                      const qd_stored_file *file, int i) {
    const qd_stored_slice *stored = &file->slices[i];
    char name[QD_SAFETENSORS_NAME_BYTES];
    qd_stored_slice_name(file->slices, i, name);
    size_t bytes = (size_t)qd_slice_elements(&stored->slice) * sizeof *l->buffer;
    const qd_safetensor *tensor = qd_safetensors_find(header, name);
    if (!tensor)
        return qd_error_set(QD_EDATA, "%s: holds no tensor %s", path, stored->name);
    if (tensor->end - tensor->begin != bytes)
        return qd_error_set(QD_EDATA, "%s: %s has %llu bytes, but %zu were written", path,
                            stored->name, (unsigned long long)(tensor->end - tensor->begin), bytes);
    int rc = reserve_buffer(l, bytes);
    if (!rc)
        rc = qd_safetensors_read_data(fd, path, header, tensor, l->buffer);
    if (!rc && qd_checksum(l->buffer, bytes) != stored->checksum)
        rc = qd_error_set(QD_EDATA, "%s: %s: its checksum does not hold: the data is damaged", path,
                          stored->name);
    return rc;
}

/* Whether a stored slice has elements of what is held here by this entry. */
static bool wants(const qd_state_tensor *tensor, const qd_stored_slice *stored) {
    return strcmp(tensor->name, stored->name) == 0 &&
           qd_slice_overlaps(&stored->slice, &tensor->slice);
}

static bool is_wanted(const load *l, const qd_stored_slice *stored) {
    for (int i = 0; i < l->count; i++)
        if (wants(&l->tensors[i], stored))
            return true;
    return false;
}

/* Several entries may hold parts of it. */
static void keep_slice(const load *l, const qd_stored_slice *stored) {
    for (int i = 0; i < l->count; i++)
        if (wants(&l->tensors[i], stored))
            qd_slice_copy(&stored->slice, l->buffer, &l->tensors[i].slice, l->tensors[i].data);
}

static int read_slices(load *l, int fd, const char *path, const qd_stored_file *file, bool keep) {
    qd_safetensors header;
    int rc = qd_safetensors_read_header(fd, path, &header);
    if (rc)
        return rc;
    for (int i = 0; !rc && i < file->count; i++) {
        if (!is_wanted(l, &file->slices[i]))
            continue;
        rc = read_slice(l, fd, path, &header, file, i);
        if (!rc && keep)
            keep_slice(l, &file->slices[i]);
        if (!rc)
            rc = qd_listen(l->listener);
    }
    qd_safetensors_fini(&header);
    return rc;
}

static int read_file(load *l, int index, bool keep) {
    char path[PATH_MAX], name[QD_CHECKPOINT_NAME_BYTES];
    qd_checkpoint_writer_name(index, "safetensors", name);
    int rc = qd_path_join(path, sizeof path, l->folder, name);
    if (rc)
        return rc;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return qd_error_set_errno(QD_EIO, errno, "%s", path);
    rc = read_slices(l, fd, path, &l->manifest.files[index], keep);
    close(fd);
    return rc;
}

/* Twice: nothing is kept before everything was found to be whole, so that a checkpoint that
 * cannot be used leaves the tensors as they were. */
int qd_checkpoint_load(const qd_checkpoint_info *info, const qd_state_tensor *tensors, int count,
                       qd_listener listener) {
    load l = {.folder = info->folder, .tensors = tensors, .count = count, .listener = listener};
    int rc = qd_manifest_read(info->folder, &l.manifest);
    if (!rc)
        rc = check_all_covered(&l);
    for (int keep = 0; keep < 2; keep++)
        for (int i = 0; !rc && i < l.manifest.file_count; i++)
            rc = read_file(&l, i, keep);
    free(l.buffer);
    qd_manifest_fini(&l.manifest);
    return rc;
}
