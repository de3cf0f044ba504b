#include <limits.h>
#include <stdlib.h>

#include "runtime/error.h"
#include "runtime/file.h"
#include "worker/data/idx.h"
#include "worker/data/source.h"

/* Pixels stay bytes (a quarter of the memory) and become floats by table when they are asked
 * for. */
typedef struct idx_source {
    qd_idx images, labels;
    size_t pixels; /* of one image */
    float value[UCHAR_MAX + 1];
} idx_source;

static void idx_source_get(const void *self, int64_t index, void *input, int32_t *target) {
    const idx_source *s = self;
    float *features = input;
    const uint8_t *pixel = s->images.bytes + (size_t)index * s->pixels;
    for (size_t i = 0; i < s->pixels; i++)
        features[i] = s->value[pixel[i]];
    *target = s->labels.bytes[index];
}

static void idx_source_close(void *self) {
    idx_source *s = self;
    if (!s)
        return;
    qd_idx_fini(&s->images);
    qd_idx_fini(&s->labels);
    free(s);
}

static int check_images(const qd_sample_spec *spec, const char *path, const qd_idx *images) {
    int64_t rows = images->dim[1], columns = images->dim[2];
    if (spec->input_dtype != QD_F32 || spec->target_dtype != QD_I32 || spec->targets != 1)
        return qd_error_set(QD_ECONFIG,
                            "%s: images with a label each are nothing the model can take; use "
                            "another data.format",
                            path);
    if (rows * columns != spec->inputs)
        return qd_error_set(QD_ECONFIG,
                            "%s: images of %lld x %lld pixels do not fit model.inputs %lld; use "
                            "%lld",
                            path, (long long)rows, (long long)columns, (long long)spec->inputs,
                            (long long)(rows * columns));
    return 0;
}

static int check_labels(const qd_sample_spec *spec, const char *images_path, const char *path,
                        const idx_source *s) {
    if (s->labels.dim[0] != s->images.dim[0])
        return qd_error_set(QD_EDATA,
                            "%s: %lld labels, but %s has %lld images; there must be one "
                            "for each",
                            path, (long long)s->labels.dim[0], images_path,
                            (long long)s->images.dim[0]);
    for (size_t i = 0; i < s->labels.length; i++)
        if (s->labels.bytes[i] >= spec->classes &&
            !(spec->has_ignored && s->labels.bytes[i] == spec->ignored))
            return qd_error_set(QD_ECONFIG,
                                "%s: sample %zu has label %d; model.classes %lld allows 0 to %lld",
                                path, i, s->labels.bytes[i], (long long)spec->classes,
                                (long long)spec->classes - 1);
    return 0;
}

/* In double, rounded once: every machine makes the same 256 numbers. */
static void fill_values(const qd_job *job, idx_source *s) {
    for (int b = 0; b <= UCHAR_MAX; b++)
        s->value[b] = (float)((b / 255.0 - job->data.mean) / job->data.std);
}

static int open_pair(const qd_job *job, const qd_sample_spec *spec, const char *images,
                     const char *labels, qd_source *out) {
    char images_path[PATH_MAX], labels_path[PATH_MAX];
    idx_source *s = NULL;
    int rc = qd_path_join(images_path, sizeof images_path, job->data.folder, images);
    if (!rc)
        rc = qd_path_join(labels_path, sizeof labels_path, job->data.folder, labels);
    if (rc)
        return rc;
    s = calloc(1, sizeof *s);
    if (!s)
        return qd_error_set(QD_ENOMEM, "%s: no memory", images_path);
    rc = qd_idx_read(images_path, 3, "images", &s->images);
    if (!rc)
        rc = check_images(spec, images_path, &s->images);
    if (!rc)
        rc = qd_idx_read(labels_path, 1, "labels", &s->labels);
    if (!rc)
        rc = check_labels(spec, images_path, labels_path, s);
    if (rc) {
        idx_source_close(s);
        return rc;
    }
    s->pixels = (size_t)spec->inputs;
    fill_values(job, s);
    size_t heap = s->images.length + s->labels.length;
    *out = (qd_source){.samples = s->images.dim[0],
                       .memory = {.heap = heap, .opening = heap},
                       .self = s,
                       .get = idx_source_get,
                       .close = idx_source_close};
    return 0;
}

static int idx_source_open(const qd_job *job, const qd_sample_spec *spec, qd_source *train,
                           qd_source *validation, qd_source *test) {
    (void)validation;
    const qd_data_spec *data = &job->data;
    int rc = open_pair(job, spec, data->train_images, data->train_labels, train);
    if (rc)
        return rc;
    rc = open_pair(job, spec, data->test_images, data->test_labels, test);
    if (rc)
        qd_source_close(train);
    return rc;
}

const qd_source_format qd_source_idx = {.name = "idx", .open = idx_source_open};
