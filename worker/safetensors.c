#include "worker/safetensors.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/error.h"
#include "runtime/quote.h"

enum { LENGTH_BYTES = 8, DATA_ALIGNMENT = 64 };

/* ---- writing ---- */

static json_t *describe_tensor(const qd_safetensor *tensor) {
    json_t *shape = json_array();
    for (int d = 0; shape && d < tensor->shape.dims; d++)
        json_array_append_new(shape, json_integer(tensor->shape.dim[d]));
    return json_pack("{s:s, s:o, s:[I, I]}", "dtype", "F32", "shape", shape, "data_offsets",
                     (json_int_t)tensor->begin, (json_int_t)tensor->end);
}

static void lay_out(qd_safetensor *tensors, int count) {
    uint64_t at = 0;
    for (int i = 0; i < count; i++) {
        uint64_t elements = 1;
        for (int d = 0; d < tensors[i].shape.dims; d++)
            elements *= (uint64_t)tensors[i].shape.dim[d];
        tensors[i].begin = at;
        tensors[i].end = at += elements * sizeof(float);
    }
}

static void add_header(const char *json, size_t json_bytes, qd_text *out) {
    size_t used = (LENGTH_BYTES + json_bytes) % DATA_ALIGNMENT;
    size_t padding = (DATA_ALIGNMENT - used) % DATA_ALIGNMENT;
    char length[LENGTH_BYTES];
    for (int i = 0; i < LENGTH_BYTES; i++)
        length[i] = (char)((uint64_t)(json_bytes + padding) >> 8 * i & 0xff);
    qd_text_add_bytes(out, length, sizeof length);
    qd_text_add_bytes(out, json, json_bytes);
    qd_text_add(out, "%*s", (int)padding, "");
}

int qd_safetensors_write_header(qd_safetensor *tensors, int count, qd_text *out) {
    int rc = 0;
    char *json = NULL;
    json_t *root = json_object();
    lay_out(tensors, count);
    for (int i = 0; root && !rc && i < count; i++)
        if (json_object_set_new(root, tensors[i].name, describe_tensor(&tensors[i])) < 0)
            rc = qd_error_set(QD_EDATA, "tensor name \"%s\" is not UTF-8, or memory ran out",
                              tensors[i].name);
    if (!rc && root)
        json = json_dumps(root, JSON_COMPACT);
    if (json)
        add_header(json, strlen(json), out);
    if (!rc && (!json || out->failed))
        rc = qd_error_set(QD_ENOMEM, "no memory for a header of %d tensors", count);
    free(json);
    json_decref(root);
    return rc;
}

/* ---- reading ---- */

/* Bytes of a tensor of the shape given as JSON; false when it is no shape, or one of more than
 * limit bytes. */
static bool read_shape(const json_t *dims, uint64_t limit, qd_shape *shape, uint64_t *bytes) {
    size_t count = json_array_size(dims);
    if (!json_is_array(dims) || count > QD_MAX_DIMS)
        return false;
    shape->dims = (int)count;
    *bytes = sizeof(float);
    for (size_t d = 0; d < count; d++) {
        json_int_t dim = json_integer_value(json_array_get(dims, d)); /* 0 if it is no integer */
        if (dim < 1 || *bytes > limit / (uint64_t)dim)
            return false;
        *bytes *= (uint64_t)dim;
        shape->dim[d] = dim;
    }
    return *bytes <= limit;
}

static int read_tensor(const char *path, const char *name, json_t *entry, uint64_t data_bytes,
                       qd_safetensor *tensor) {
    const char *dtype;
    json_t *shape;
    json_int_t begin, end;
    json_error_t error;
    uint64_t bytes;
    char quoted[QD_QUOTE_BYTES], text[QD_QUOTE_BYTES];
    qd_quote(name, quoted);
    if (strlen(name) >= sizeof tensor->name)
        return qd_error_set(QD_EDATA, "%s: tensor %s: names have at most %zu bytes", path, quoted,
                            sizeof tensor->name - 1);
    if (json_unpack_ex(entry, &error, JSON_STRICT, "{s:s, s:o, s:[I, I]}", "dtype", &dtype, "shape",
                       &shape, "data_offsets", &begin, &end) < 0)
        return qd_error_set(QD_EDATA, "%s: tensor %s: %s", path, quoted,
                            qd_quote(error.text, text));
    if (strcmp(dtype, "F32") != 0)
        return qd_error_set(QD_EDATA, "%s: tensor %s: dtype %s; only F32 is read", path, quoted,
                            qd_quote(dtype, text));
    if (!read_shape(shape, data_bytes, &tensor->shape, &bytes))
        return qd_error_set(QD_EDATA,
                            "%s: tensor %s: its shape is not a list of at most %d positive numbers "
                            "that fit into the %" PRIu64 " bytes of data",
                            path, quoted, QD_MAX_DIMS, data_bytes);
    if (begin < 0 || end < begin || (uint64_t)end > data_bytes)
        return qd_error_set(QD_EDATA,
                            "%s: tensor %s: data_offsets %lld to %lld are not within the %" PRIu64
                            " bytes of data",
                            path, quoted, (long long)begin, (long long)end, data_bytes);
    if ((uint64_t)(end - begin) != bytes)
        return qd_error_set(QD_EDATA,
                            "%s: tensor %s: its shape has %" PRIu64 " bytes, its data_offsets %lld",
                            path, quoted, bytes, (long long)(end - begin));
    memcpy(tensor->name, name, strlen(name) + 1);
    tensor->begin = (uint64_t)begin;
    tensor->end = (uint64_t)end;
    return 0;
}

/* Free-form texts; read by nobody here, but part of the format. */
static int check_metadata(const char *path, json_t *metadata) {
    const char *key;
    json_t *value;
    if (!json_is_object(metadata))
        return qd_error_set(QD_EDATA, "%s: __metadata__ is not an object", path);
    json_object_foreach(metadata, key, value) {
        if (!json_is_string(value))
            return qd_error_set(QD_EDATA, "%s: __metadata__ holds something that is not a text",
                                path);
    }
    return 0;
}

static int by_begin(const void *a, const void *b) {
    uint64_t x = ((const qd_safetensor *)a)->begin, y = ((const qd_safetensor *)b)->begin;
    return (x > y) - (x < y);
}

static int check_layout(const char *path, qd_safetensors *file) {
    char quoted[QD_QUOTE_BYTES];
    uint64_t at = 0;
    if (file->count > 0)
        qsort(file->tensors, (size_t)file->count, sizeof *file->tensors, by_begin);
    for (int i = 0; i < file->count; i++) {
        const qd_safetensor *t = &file->tensors[i];
        if (t->begin != at)
            return qd_error_set(QD_EDATA,
                                "%s: tensor %s begins at byte %" PRIu64 " of the data, %s at "
                                "byte %" PRIu64,
                                path, qd_quote(t->name, quoted), t->begin,
                                t->begin < at ? "inside one that ends" : "behind a gap that begins",
                                at);
        at = t->end;
    }
    if (at != file->data_bytes)
        return qd_error_set(QD_EDATA,
                            "%s: its tensors have %" PRIu64 " bytes of data, the file %" PRIu64,
                            path, at, file->data_bytes);
    return 0;
}

static int read_tensors(const char *path, json_t *root, qd_safetensors *file) {
    const char *name;
    json_t *entry;
    file->tensors = calloc(json_object_size(root) + 1, sizeof *file->tensors);
    if (!file->tensors)
        return qd_error_set(QD_ENOMEM, "%s: no memory for %zu tensors", path,
                            json_object_size(root));
    json_object_foreach(root, name, entry) {
        int rc =
            strcmp(name, "__metadata__") == 0
                ? check_metadata(path, entry)
                : read_tensor(path, name, entry, file->data_bytes, &file->tensors[file->count++]);
        if (rc)
            return rc;
    }
    return check_layout(path, file);
}

/* The header's length, checked against the file's. */
static int header_length(const char *path, const uint8_t bytes[LENGTH_BYTES], uint64_t file_bytes,
                         size_t *length) {
    uint64_t n = 0;
    if (file_bytes < LENGTH_BYTES)
        return qd_error_set(QD_EDATA, "%s: byte %" PRIu64 ": ends inside the length of its header",
                            path, file_bytes);
    for (int i = 0; i < LENGTH_BYTES; i++)
        n |= (uint64_t)bytes[i] << 8 * i;
    if (n > QD_SAFETENSORS_MAX_HEADER)
        return qd_error_set(QD_EDATA, "%s: a header of %" PRIu64 " bytes; at most %d are accepted",
                            path, n, QD_SAFETENSORS_MAX_HEADER);
    if (n > file_bytes - LENGTH_BYTES)
        return qd_error_set(QD_EDATA,
                            "%s: byte %" PRIu64 ": ends inside its header of %" PRIu64 " bytes",
                            path, file_bytes, n);
    *length = (size_t)n;
    return 0;
}

int qd_safetensors_parse(const char *path, const void *bytes, size_t length, uint64_t file_bytes,
                         qd_safetensors *out) {
    const char *at = bytes;
    size_t json_bytes;
    char text[QD_QUOTE_BYTES];
    json_error_t error;
    int rc = header_length(path, bytes, length < LENGTH_BYTES ? length : file_bytes, &json_bytes);
    if (rc)
        return rc;
    if (json_bytes > length - LENGTH_BYTES)
        return qd_error_set(QD_EINTERNAL, "%s: its header was read only in part", path);
    json_t *root = json_loadb(at + LENGTH_BYTES, json_bytes, JSON_REJECT_DUPLICATES, &error);
    if (!root)
        return qd_error_set(QD_EDATA, "%s: its header is not JSON: %s", path,
                            qd_quote(error.text, text));
    qd_safetensors file = {.data_begin = LENGTH_BYTES + json_bytes,
                           .data_bytes = file_bytes - LENGTH_BYTES - json_bytes};
    rc = json_is_object(root) ? read_tensors(path, root, &file)
                              : qd_error_set(QD_EDATA, "%s: its header is no JSON object", path);
    json_decref(root);
    if (rc) {
        qd_safetensors_fini(&file);
        return rc;
    }
    *out = file;
    return 0;
}

static int read_at(int fd, const char *path, void *bytes, size_t length, off_t offset) {
    char *to = bytes;
    while (length > 0) {
        ssize_t n = pread(fd, to, length, offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return qd_error_set_errno(QD_EIO, errno, "%s", path);
        if (n == 0)
            return qd_error_set(QD_EDATA, "%s: became shorter while it was read", path);
        to += n;
        offset += n;
        length -= (size_t)n;
    }
    return 0;
}

int qd_safetensors_read_header(int fd, const char *path, qd_safetensors *out) {
    struct stat st;
    uint8_t start[LENGTH_BYTES] = {0};
    size_t json_bytes;
    if (fstat(fd, &st) < 0)
        return qd_error_set_errno(QD_EIO, errno, "%s", path);
    uint64_t file_bytes = (uint64_t)st.st_size;
    int rc = file_bytes < LENGTH_BYTES ? 0 : read_at(fd, path, start, sizeof start, 0);
    if (!rc)
        rc = header_length(path, start, file_bytes, &json_bytes);
    if (rc)
        return rc;
    char *header = malloc(LENGTH_BYTES + json_bytes);
    if (!header)
        return qd_error_set(QD_ENOMEM, "%s: no memory for a header of %zu bytes", path, json_bytes);
    rc = read_at(fd, path, header, LENGTH_BYTES + json_bytes, 0);
    if (!rc)
        rc = qd_safetensors_parse(path, header, LENGTH_BYTES + json_bytes, file_bytes, out);
    free(header);
    return rc;
}

int qd_safetensors_read_data(int fd, const char *path, const qd_safetensors *file,
                             const qd_safetensor *tensor, void *data) {
    return read_at(fd, path, data, (size_t)(tensor->end - tensor->begin),
                   (off_t)(file->data_begin + tensor->begin));
}

const qd_safetensor *qd_safetensors_find(const qd_safetensors *file, const char *name) {
    for (int i = 0; i < file->count; i++)
        if (strcmp(file->tensors[i].name, name) == 0)
            return &file->tensors[i];
    return NULL;
}

void qd_safetensors_fini(qd_safetensors *file) {
    free(file->tensors);
    *file = (qd_safetensors){0};
}
