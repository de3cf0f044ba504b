#include <limits.h>
#include <stdlib.h>

#include "runtime/error.h"
#include "runtime/file.h"
#include "worker/data/source.h"

/* The text is read whole: what is too long for that is a case for token files. */
#define MAX_BYTES ((size_t)1 << 34)

/* Windows of a text: sample i begins at byte first + i stride; its targets are the bytes that
 * follow its inputs, each moved by one. */
typedef struct text_source {
    char *owned; /* the file's bytes, in the training source only */
    const uint8_t *bytes;
    int64_t stride, length; /* of a window: its inputs */
} text_source;

static void text_source_get(const void *self, int64_t index, void *input, int32_t *targets) {
    const text_source *s = self;
    const uint8_t *from = s->bytes + index * s->stride;
    int32_t *tokens = input;
    for (int64_t i = 0; i < s->length; i++) {
        tokens[i] = from[i];
        targets[i] = from[i + 1];
    }
}

static void text_source_close(void *self) {
    text_source *s = self;
    free(s->owned);
    free(s);
}

/* Every byte must be a token of the model's. */
static int check_bytes(const qd_sample_spec *spec, const char *path, const uint8_t *bytes,
                       size_t length) {
    for (size_t i = 0; i < length; i++)
        if (bytes[i] >= spec->classes)
            return qd_error_set(QD_ECONFIG,
                                "%s: byte %zu is %d; model.vocabulary %lld allows 0 to %lld; 256 "
                                "allows all",
                                path, i, bytes[i], (long long)spec->classes,
                                (long long)spec->classes - 1);
    return 0;
}

static int make_source(const uint8_t *bytes, int64_t count, int64_t length, int64_t stride,
                       qd_source *out) {
    text_source *s = calloc(1, sizeof *s);
    if (!s)
        return qd_error_set(QD_ENOMEM, "no memory for a text's samples");
    *s = (text_source){.bytes = bytes, .stride = stride, .length = length};
    *out = (qd_source){.samples = (count - length - 1) / stride + 1,
                       .self = s,
                       .get = text_source_get,
                       .close = text_source_close};
    return 0;
}

/* Validation takes windows that do not overlap, from the end of the text. */
static int split_text(const qd_job *job, const qd_sample_spec *spec, const char *path,
                      const uint8_t *bytes, int64_t count, qd_source *train,
                      qd_source *validation) {
    int64_t apart = (int64_t)(job->data.validation_share * (double)count);
    int64_t window = spec->inputs + 1;
    if (count - apart < window)
        return qd_error_set(QD_EDATA,
                            "%s: %lld bytes are left for training; a sample of model.length %lld "
                            "takes %lld",
                            path, (long long)(count - apart), (long long)spec->inputs,
                            (long long)window);
    if (apart > 0 && apart < window)
        return qd_error_set(QD_ECONFIG,
                            "%s: data.validation_share %g sets %lld bytes apart; a sample of "
                            "model.length %lld takes %lld; use 0 or at least %.3g",
                            path, job->data.validation_share, (long long)apart,
                            (long long)spec->inputs, (long long)window,
                            (double)(window + 1) / (double)count);
    int rc = make_source(bytes, count - apart, spec->inputs, job->data.stride, train);
    if (!rc && apart > 0)
        rc = make_source(bytes + count - apart, apart, spec->inputs, spec->inputs, validation);
    return rc;
}

static int text_source_open(const qd_job *job, const qd_sample_spec *spec, qd_source *train,
                            qd_source *validation, qd_source *test) {
    (void)test;
    char path[PATH_MAX], *bytes = NULL;
    size_t length = 0;
    if (spec->input_dtype != QD_I32 || spec->targets != spec->inputs)
        return qd_error_set(QD_ECONFIG, "data.format text is for models that predict the next "
                                        "token; use model.family gpt");
    int rc = qd_path_join(path, sizeof path, job->data.folder, job->data.text);
    if (!rc)
        rc = qd_file_read(path, MAX_BYTES, &bytes, &length);
    if (rc)
        return rc;
    rc = check_bytes(spec, path, (const uint8_t *)bytes, length);
    if (!rc)
        rc =
            split_text(job, spec, path, (const uint8_t *)bytes, (int64_t)length, train, validation);
    if (rc) {
        qd_source_close(train);
        free(bytes);
        return rc;
    }
    ((text_source *)train->self)->owned = bytes;
    return 0;
}

const qd_source_format qd_source_text = {.name = "text", .open = text_source_open};
