#include <limits.h>
#include <stdlib.h>

#include "runtime/error.h"
#include "runtime/file.h"
#include "worker/data/mapping.h"
#include "worker/data/npy.h"
#include "worker/data/numbers.h"
#include "worker/data/source.h"

/* One file: row i of it belongs to sample i. */
typedef struct npy_file {
    qd_mapping mapping;
    qd_npy array;
    qd_number_rule rule;
    int64_t row;               /* elements of a sample */
    float byte[UINT8_MAX + 1]; /* what each byte of an |u1 array is as a float */
} npy_file;

typedef struct npy_source {
    npy_file inputs, targets;
} npy_source;

static bool is_bytes(const npy_file *file) {
    return file->array.dtype == QD_NPY_U1 && file->rule.dtype == QD_F32;
}

static void list_bytes(npy_file *file) {
    for (int i = 0; is_bytes(file) && i <= UINT8_MAX; i++)
        qd_number_store(&file->rule, i, &file->byte[i]);
}

/* Bytes, as images have them, are looked up: to normalise each takes as long as a small model. */
static void get_row(const npy_file *file, int64_t index, char *out) {
    const uint8_t *bytes = file->array.data + index * file->row;
    if (is_bytes(file)) {
        float *to = (float *)(void *)out;
        for (int64_t i = 0; i < file->row; i++)
            to[i] = file->byte[bytes[i]];
        return;
    }
    for (int64_t i = 0; i < file->row; i++)
        qd_number_store(&file->rule, qd_npy_at(&file->array, index * file->row + i),
                        out + i * QD_NUMBER_BYTES);
}

static void npy_source_get(const void *self, int64_t index, void *input, int32_t *targets) {
    const npy_source *s = self;
    get_row(&s->inputs, index, input);
    get_row(&s->targets, index, (char *)targets);
}

static void npy_source_close(void *self) {
    npy_source *s = self;
    qd_mapping_close(&s->inputs.mapping);
    qd_mapping_close(&s->targets.mapping);
    free(s);
}

static int check_row(const npy_file *file, const char *path, const char *what) {
    int64_t row = file->array.length / file->array.dim[0];
    if (row == file->row)
        return 0;
    return qd_error_set(QD_ECONFIG, "%s: %lld %s a sample do not fit the model's %lld", path,
                        (long long)row, what, (long long)file->row);
}

static int check_numbers(const npy_file *file, const char *path) {
    char problem[QD_NUMBER_PROBLEM_BYTES];
    const qd_npy *array = &file->array;
    if (file->rule.dtype == QD_I32 && !qd_npy_is_whole(array->dtype))
        return qd_error_set(QD_ECONFIG,
                            "%s: dtype %s, where the model takes whole numbers; accepted are |u1, "
                            "<i4 and <i8",
                            path, qd_npy_dtype_name(array->dtype));
    for (int64_t i = 0; i < array->length; i++)
        if (!qd_number_fits(&file->rule, qd_npy_at(array, i), problem))
            return qd_error_set(QD_EDATA, "%s: element %lld (sample %lld): %s", path, (long long)i,
                                (long long)(i / file->row), problem);
    return 0;
}

/* what: its elements, "inputs" or "targets". */
static int open_file(npy_file *file, const char *path, const char *what) {
    int rc = qd_mapping_open(path, &file->mapping);
    if (!rc)
        rc = qd_npy_parse(path, file->mapping.bytes, file->mapping.size, &file->array);
    if (!rc)
        rc = check_row(file, path, what);
    return rc ? rc : check_numbers(file, path);
}

static int check_pair(const npy_source *s, const char *inputs_path, const char *targets_path) {
    if (s->targets.array.dim[0] == s->inputs.array.dim[0])
        return 0;
    return qd_error_set(QD_EDATA,
                        "%s: targets of %lld samples, but %s has %lld; there must be as many",
                        targets_path, (long long)s->targets.array.dim[0], inputs_path,
                        (long long)s->inputs.array.dim[0]);
}

static int open_pair(const qd_job *job, const qd_sample_spec *spec, const char *inputs,
                     const char *targets, qd_source *out) {
    char inputs_path[PATH_MAX], targets_path[PATH_MAX];
    npy_source *s = calloc(1, sizeof *s);
    if (!s)
        return qd_error_set(QD_ENOMEM, "no memory for %s", inputs);
    s->inputs.row = spec->inputs;
    s->targets.row = spec->targets;
    s->targets.rule = qd_number_rule_targets(spec);
    int rc = qd_number_rule_inputs(job, spec, &s->inputs.rule);
    if (!rc)
        rc = qd_path_join(inputs_path, sizeof inputs_path, job->data.folder, inputs);
    if (!rc)
        rc = qd_path_join(targets_path, sizeof targets_path, job->data.folder, targets);
    if (!rc)
        rc = open_file(&s->inputs, inputs_path, "inputs");
    if (!rc)
        rc = open_file(&s->targets, targets_path, "targets");
    if (!rc)
        rc = check_pair(s, inputs_path, targets_path);
    if (rc) {
        npy_source_close(s);
        return rc;
    }
    list_bytes(&s->inputs);
    list_bytes(&s->targets);
    *out = (qd_source){.samples = s->inputs.array.dim[0],
                       .memory = {.mapped = s->inputs.mapping.size + s->targets.mapping.size},
                       .self = s,
                       .get = npy_source_get,
                       .close = npy_source_close};
    return 0;
}

static int npy_source_open(const qd_job *job, const qd_sample_spec *spec, qd_source *train,
                           qd_source *validation, qd_source *test) {
    (void)validation;
    const qd_data_spec *data = &job->data;
    int rc = open_pair(job, spec, data->train_inputs, data->train_targets, train);
    if (rc || !data->test_inputs[0])
        return rc;
    rc = open_pair(job, spec, data->test_inputs, data->test_targets, test);
    if (rc)
        qd_source_close(train);
    return rc;
}

const qd_source_format qd_source_npy = {.name = "npy", .open = npy_source_open};
