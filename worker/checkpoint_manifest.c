#include "worker/checkpoint_manifest.h"

#include <errno.h>
#include <jansson.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "runtime/error.h"
#include "runtime/file.h"
#include "worker/checked_json.h"
#include "worker/checkpoint_folder.h"
#include "worker/checksum.h"

static const char manifest_name[] = "manifest.json";

/* ---- slices ---- */

static json_t *pack_numbers(const int64_t *numbers, int count) {
    json_t *array = json_array();
    for (int i = 0; array && i < count; i++)
        json_array_append_new(array, json_integer(numbers[i]));
    return array;
}

static int unpack_numbers(json_t *array, int64_t *numbers, int count) {
    if (!json_is_array(array) || json_array_size(array) != (size_t)count)
        return -1;
    for (int i = 0; i < count; i++) {
        json_t *number = json_array_get(array, (size_t)i);
        if (!json_is_integer(number))
            return -1;
        numbers[i] = json_integer_value(number);
    }
    return 0;
}

static json_t *pack_slice(const qd_stored_slice *stored) {
    const qd_slice *slice = &stored->slice;
    int dims = slice->whole.dims;
    char checksum[QD_CHECKSUM_TEXT_BYTES];
    qd_checksum_text(stored->checksum, checksum);
    return json_pack("{s:s, s:s, s:o, s:o, s:o, s:s}", "name", stored->name, "dtype", "F32",
                     "shape", pack_numbers(slice->whole.dim, dims), "offset",
                     pack_numbers(slice->offset, dims), "extent", pack_numbers(slice->extent, dims),
                     "xxh3", checksum);
}

static int unpack_slice(const char *path, json_t *json, qd_stored_slice *stored) {
    const char *name, *dtype, *checksum;
    json_t *shape, *offset, *extent;
    json_error_t error;
    qd_slice *slice = &stored->slice;
    if (json_unpack_ex(json, &error, JSON_STRICT, "{s:s, s:s, s:o, s:o, s:o, s:s}", "name", &name,
                       "dtype", &dtype, "shape", &shape, "offset", &offset, "extent", &extent,
                       "xxh3", &checksum) < 0)
        return qd_error_set(QD_EDATA, "%s: %s", path, error.text);
    if (strlen(name) >= sizeof stored->name)
        return qd_error_set(QD_EDATA, "%s: tensor \"%.64s...\": its name is too long", path, name);
    if (strcmp(dtype, "F32") != 0)
        return qd_error_set(QD_EDATA, "%s: tensor \"%s\": dtype \"%.16s\"; only F32 is read", path,
                            name, dtype);
    size_t dims = json_array_size(shape);
    if (dims > QD_MAX_DIMS || unpack_numbers(shape, slice->whole.dim, (int)dims) < 0 ||
        unpack_numbers(offset, slice->offset, (int)dims) < 0 ||
        unpack_numbers(extent, slice->extent, (int)dims) < 0)
        return qd_error_set(QD_EDATA,
                            "%s: tensor \"%s\": shape, offset and extent are not lists "
                            "of up to %d numbers each",
                            path, name, QD_MAX_DIMS);
    slice->whole.dims = (int)dims;
    if (!qd_slice_valid(slice))
        return qd_error_set(QD_EDATA, "%s: tensor \"%s\": its slice is not inside its shape", path,
                            name);
    if (!qd_checksum_parse(checksum, &stored->checksum))
        return qd_error_set(QD_EDATA, "%s: tensor \"%s\": its checksum is not 16 hex digits", path,
                            name);
    memcpy(stored->name, name, strlen(name) + 1);
    return 0;
}

/* ---- a writer's file ---- */

static json_t *pack_file(int index, const qd_stored_file *file) {
    char name[QD_CHECKPOINT_NAME_BYTES];
    json_t *slices = json_array();
    qd_checkpoint_writer_name(index, "safetensors", name);
    for (int i = 0; slices && i < file->count; i++) {
        if (json_array_append_new(slices, pack_slice(&file->slices[i])) < 0) {
            json_decref(slices);
            slices = NULL;
        }
    }
    return json_pack("{s:s, s:I, s:o}", "file", name, "bytes", (json_int_t)file->bytes, "tensors",
                     slices);
}

static int unpack_file(const char *path, int index, json_t *json, qd_stored_file *file) {
    char expected[QD_CHECKPOINT_NAME_BYTES];
    const char *name;
    json_int_t bytes;
    json_t *slices;
    json_error_t error;
    if (json_unpack_ex(json, &error, JSON_STRICT, "{s:s, s:I, s:o}", "file", &name, "bytes", &bytes,
                       "tensors", &slices) < 0)
        return qd_error_set(QD_EDATA, "%s: %s", path, error.text);
    qd_checkpoint_writer_name(index, "safetensors", expected);
    if (strcmp(name, expected) != 0 || bytes < 0 || !json_is_array(slices))
        return qd_error_set(QD_EDATA, "%s: does not describe %s", path, expected);
    size_t count = json_array_size(slices);
    file->bytes = (uint64_t)bytes;
    file->slices = calloc(count + 1, sizeof *file->slices);
    if (!file->slices)
        return qd_error_set(QD_ENOMEM, "%s: no memory for %zu slices", path, count);
    for (size_t i = 0; i < count; i++, file->count++) {
        int rc = unpack_slice(path, json_array_get(slices, i), &file->slices[i]);
        if (rc)
            return rc;
    }
    return 0;
}

void qd_stored_file_fini(qd_stored_file *file) {
    free(file->slices);
    *file = (qd_stored_file){0};
}

static int sidecar_path(const char *folder, int index, char path[PATH_MAX]) {
    char name[QD_CHECKPOINT_NAME_BYTES];
    qd_checkpoint_writer_name(index, "json", name);
    return qd_path_join(path, PATH_MAX, folder, name);
}

void qd_stored_slice_name(const qd_stored_slice *slices, int i,
                          char name[QD_SAFETENSORS_NAME_BYTES]) {
    char numbered[QD_SAFETENSORS_NAME_BYTES + 16];
    int earlier = 0;
    for (int k = 0; k < i; k++)
        earlier += strcmp(slices[k].name, slices[i].name) == 0;
    snprintf(numbered, sizeof numbered, earlier ? "%s#%d" : "%s", slices[i].name, earlier);
    memcpy(name, numbered, QD_SAFETENSORS_NAME_BYTES - 1);
    name[QD_SAFETENSORS_NAME_BYTES - 1] = '\0';
}

int qd_sidecar_write(const char *folder, int index, int64_t step, const qd_stored_file *file) {
    char path[PATH_MAX];
    int rc = sidecar_path(folder, index, path);
    if (rc)
        return rc;
    return qd_checked_json_write(
        path, json_pack("{s:I, s:o}", "step", (json_int_t)step, "file", pack_file(index, file)));
}

int qd_sidecar_read(const char *folder, int index, int64_t step, qd_stored_file *out) {
    char path[PATH_MAX];
    json_t *content = NULL, *json;
    json_int_t said;
    json_error_t error;
    qd_stored_file file = {0};
    int rc = sidecar_path(folder, index, path);
    if (!rc)
        rc = qd_checked_json_read(path, &content);
    if (rc)
        return rc;
    if (json_unpack_ex(content, &error, JSON_STRICT, "{s:I, s:o}", "step", &said, "file", &json) <
        0)
        rc = qd_error_set(QD_EDATA, "%s: %s", path, error.text);
    else if (said != step)
        rc = qd_error_set(QD_EDATA, "%s: is of step %lld, not %lld", path, (long long)said,
                          (long long)step);
    else
        rc = unpack_file(path, index, json, &file);
    json_decref(content);
    if (rc) {
        qd_stored_file_fini(&file);
        return rc;
    }
    *out = file;
    return 0;
}

int qd_stored_file_check_size(const char *folder, int index, const qd_stored_file *file) {
    char path[PATH_MAX], name[QD_CHECKPOINT_NAME_BYTES];
    struct stat st;
    qd_checkpoint_writer_name(index, "safetensors", name);
    int rc = qd_path_join(path, sizeof path, folder, name);
    if (rc)
        return rc;
    if (stat(path, &st) < 0)
        return qd_error_set_errno(QD_EIO, errno, "%s", path);
    if ((uint64_t)st.st_size != file->bytes)
        return qd_error_set(QD_EDATA, "%s: %lld bytes, but %llu were written", path,
                            (long long)st.st_size, (unsigned long long)file->bytes);
    return 0;
}

/* ---- the manifest ---- */

static json_t *pack_manifest(const qd_manifest *m) {
    json_t *files = json_array();
    for (int i = 0; files && i < m->file_count; i++) {
        if (json_array_append_new(files, pack_file(i, &m->files[i])) < 0) {
            json_decref(files);
            files = NULL;
        }
    }
    return json_pack("{s:I, s:s, s:s, s:i, s:o}", "step", (json_int_t)m->step, "job", m->job_text,
                     "processor", m->origin.processor, "threads", m->origin.threads, "files",
                     files);
}

static int unpack_manifest(const char *path, json_t *content, qd_manifest *m) {
    json_int_t step;
    const char *job, *processor;
    json_t *files;
    json_error_t error;
    if (json_unpack_ex(content, &error, JSON_STRICT, "{s:I, s:s, s:s, s:i, s:o}", "step", &step,
                       "job", &job, "processor", &processor, "threads", &m->origin.threads, "files",
                       &files) < 0)
        return qd_error_set(QD_EDATA, "%s: %s", path, error.text);
    if (step < 0 || strlen(processor) >= sizeof m->origin.processor || !json_is_array(files))
        return qd_error_set(QD_EDATA, "%s: does not describe a checkpoint", path);
    size_t count = json_array_size(files);
    m->step = step;
    memcpy(m->origin.processor, processor, strlen(processor) + 1);
    m->job_text = strdup(job);
    m->files = calloc(count + 1, sizeof *m->files);
    if (!m->job_text || !m->files)
        return qd_error_set(QD_ENOMEM, "%s: no memory", path);
    for (size_t i = 0; i < count; i++) {
        m->file_count++; /* before it is read: what it holds by then is freed */
        int rc = unpack_file(path, (int)i, json_array_get(files, i), &m->files[i]);
        if (rc)
            return rc;
    }
    return 0;
}

int qd_manifest_write(const char *folder, const qd_manifest *manifest) {
    char path[PATH_MAX];
    int rc = qd_path_join(path, sizeof path, folder, manifest_name);
    return rc ? rc : qd_checked_json_write(path, pack_manifest(manifest));
}

int qd_manifest_read(const char *folder, qd_manifest *out) {
    char path[PATH_MAX];
    json_t *content = NULL;
    qd_manifest m = {0};
    int rc = qd_path_join(path, sizeof path, folder, manifest_name);
    if (!rc)
        rc = qd_checked_json_read(path, &content);
    if (rc)
        return rc;
    rc = unpack_manifest(path, content, &m);
    json_decref(content);
    if (rc) {
        qd_manifest_fini(&m);
        return rc;
    }
    *out = m;
    return 0;
}

void qd_manifest_fini(qd_manifest *manifest) {
    for (int i = 0; i < manifest->file_count; i++)
        qd_stored_file_fini(&manifest->files[i]);
    free(manifest->files);
    free(manifest->job_text);
    *manifest = (qd_manifest){0};
}
