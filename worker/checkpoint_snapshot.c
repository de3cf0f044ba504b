#include "worker/checkpoint_snapshot.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/error.h"
#include "runtime/file.h"
#include "worker/checksum.h"
#include "worker/safetensors.h"

/* How much is written between two looks at whether to stop. */
static const size_t write_piece_bytes = (size_t)4 << 20;

/* ---- taking ---- */

static int reserve_pieces(qd_checkpoint_snapshot *s, int count) {
    if (count <= s->capacity)
        return 0;
    qd_checkpoint_piece *pieces = realloc(s->pieces, (size_t)count * sizeof *pieces);
    if (pieces)
        s->pieces = pieces;
    qd_stored_slice *slices = realloc(s->slices, (size_t)count * sizeof *slices);
    if (slices)
        s->slices = slices;
    if (!pieces || !slices)
        return qd_error_set(QD_ENOMEM, "no memory for a checkpoint of %d tensors", count);
    s->capacity = count;
    return 0;
}

static int reserve_data(qd_checkpoint_snapshot *s, size_t bytes) {
    if (bytes <= s->data_capacity)
        return 0;
    float *data = malloc(bytes); /* what the old one held is not wanted */
    if (!data)
        return qd_error_set(QD_ENOMEM, "no memory for a checkpoint's copy of %zu bytes", bytes);
    free(s->data);
    s->data = data;
    s->data_capacity = bytes;
    return 0;
}

/* Of the pieces' elements. */
static size_t bytes_of(const qd_checkpoint_piece *pieces, int count) {
    size_t bytes = 0;
    for (int i = 0; i < count; i++)
        bytes += (size_t)qd_slice_elements(&pieces[i].slice) * sizeof(float);
    return bytes;
}

int qd_checkpoint_snapshot_bytes(const qd_state_tensor *tensors, int count, int index, int writers,
                                 size_t *bytes) {
    qd_checkpoint_piece *pieces = calloc((size_t)count, sizeof *pieces);
    if (!pieces)
        return qd_error_set(QD_ENOMEM, "no memory for a checkpoint of %d tensors", count);
    int dealt = qd_checkpoint_deal(tensors, count, index, writers, pieces);
    *bytes = bytes_of(pieces, dealt) +
             (size_t)count * (sizeof(qd_checkpoint_piece) + sizeof(qd_stored_slice));
    free(pieces);
    return 0;
}

int qd_checkpoint_snapshot_take(qd_checkpoint_snapshot *s, const qd_state_tensor *tensors,
                                int count, int index, int writers, int64_t step) {
    int rc = reserve_pieces(s, count);
    if (rc)
        return rc;
    s->step = step;
    s->count = qd_checkpoint_deal(tensors, count, index, writers, s->pieces);
    s->data_bytes = bytes_of(s->pieces, s->count);
    rc = reserve_data(s, s->data_bytes);
    float *to = s->data;
    for (int i = 0; !rc && i < s->count; i++) {
        const qd_state_tensor *tensor = &tensors[s->pieces[i].tensor];
        s->slices[i] = (qd_stored_slice){.slice = s->pieces[i].slice};
        memcpy(s->slices[i].name, tensor->name, sizeof tensor->name);
        qd_slice_copy(&tensor->slice, tensor->data, &s->pieces[i].slice, to);
        to += qd_slice_elements(&s->pieces[i].slice);
    }
    return rc;
}

/* ---- writing ---- */

static int make_header(const qd_checkpoint_snapshot *s, qd_text *header) {
    qd_safetensor *tensors = calloc((size_t)s->count + 1, sizeof *tensors);
    if (!tensors)
        return qd_error_set(QD_ENOMEM, "no memory for a header of %d tensors", s->count);
    for (int i = 0; i < s->count; i++) {
        const qd_slice *slice = &s->slices[i].slice;
        qd_stored_slice_name(s->slices, i, tensors[i].name);
        tensors[i].shape.dims = slice->whole.dims;
        memcpy(tensors[i].shape.dim, slice->extent, sizeof tensors[i].shape.dim);
    }
    int rc = qd_safetensors_write_header(tensors, s->count, header);
    free(tensors);
    return rc;
}

static int write_data(const qd_checkpoint_snapshot *s, int fd, const char *path,
                      bool (*stopped)(void *context), void *context) {
    const char *bytes = (const char *)s->data;
    for (size_t at = 0; at < s->data_bytes; at += write_piece_bytes) {
        size_t left = s->data_bytes - at;
        if (stopped(context))
            return qd_error_set(QD_ECANCELLED, "%s: given up", path);
        int rc = qd_file_write_all(fd, bytes + at,
                                   left < write_piece_bytes ? left : write_piece_bytes, path);
        if (rc)
            return rc;
    }
    return 0;
}

static void add_checksums(qd_checkpoint_snapshot *s) {
    const float *at = s->data;
    for (int i = 0; i < s->count; i++) {
        size_t elements = (size_t)qd_slice_elements(&s->slices[i].slice);
        s->slices[i].checksum = qd_checksum(at, elements * sizeof *at);
        at += elements;
    }
}

int qd_checkpoint_snapshot_write(qd_checkpoint_snapshot *s, const char *path,
                                 bool (*stopped)(void *context), void *context,
                                 qd_stored_file *file) {
    qd_text header = {0};
    int fd = -1;
    int rc = make_header(s, &header);
    if (rc)
        goto out;
    /* A new file, even where an earlier attempt left one: whoever still has that one open must not
     * be able to write into ours. */
    unlink(path);
    fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (fd < 0) {
        rc = qd_error_set_errno(QD_EIO, errno, "%s", path);
        goto out;
    }
    rc = qd_file_write_all(fd, header.bytes, header.length, path);
    if (!rc)
        rc = write_data(s, fd, path, stopped, context);
    if (!rc && fsync(fd) < 0)
        rc = qd_error_set_errno(QD_EIO, errno, "%s: fsync", path);
    if (close(fd) < 0 && !rc)
        rc = qd_error_set_errno(QD_EIO, errno, "%s: close", path);
    if (rc)
        goto out;
    add_checksums(s);
    *file = (qd_stored_file){
        .bytes = header.length + s->data_bytes, .slices = s->slices, .count = s->count};
out:
    qd_text_fini(&header);
    return rc;
}

void qd_checkpoint_snapshot_fini(qd_checkpoint_snapshot *s) {
    free(s->pieces);
    free(s->slices);
    free(s->data);
    *s = (qd_checkpoint_snapshot){0};
}
