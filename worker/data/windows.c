#include "worker/data/windows.h"

#include <endian.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/error.h"

/* Sample i begins at token first + i stride. */
typedef struct windows {
    qd_tokens tokens; /* released by the source that owns them: the first one made of them */
    bool owner;
    int64_t first, stride;
    int64_t length; /* of a window: its inputs */
} windows;

static uint32_t token_at(const qd_tokens *tokens, int64_t index) {
    const uint8_t *at = tokens->bytes + index * tokens->width;
    uint16_t narrow;
    uint32_t wide;
    switch (tokens->width) {
    case 1:
        return *at;
    case 2:
        memcpy(&narrow, at, sizeof narrow);
        return le16toh(narrow);
    default:
        memcpy(&wide, at, sizeof wide);
        return le32toh(wide);
    }
}

static void windows_get(const void *self, int64_t index, void *input, int32_t *targets) {
    const windows *w = self;
    int64_t from = w->first + index * w->stride;
    int32_t *inputs = input;
    for (int64_t i = 0; i < w->length; i++) {
        inputs[i] = (int32_t)token_at(&w->tokens, from + i);
        targets[i] = (int32_t)token_at(&w->tokens, from + i + 1);
    }
}

static void windows_close(void *self) {
    windows *w = self;
    if (w->owner)
        w->tokens.release(&w->tokens);
    free(w);
}

int qd_windows_check_model(const qd_job *job, const qd_sample_spec *spec) {
    if (spec->next_token)
        return 0;
    return qd_error_set(QD_ECONFIG,
                        "data.format %s is for models that predict the next token; use "
                        "model.family gpt, or layers with next_token",
                        qd_source_format_of(job)->name);
}

static int check_tokens(const qd_sample_spec *spec, const char *path, const qd_tokens *tokens) {
    for (int64_t i = 0; i < tokens->count; i++)
        if (token_at(tokens, i) >= spec->classes)
            return qd_error_set(
                QD_ECONFIG, "%s: %s %lld is %" PRIu32 "; model.vocabulary %lld allows 0 to %lld%s",
                path, tokens->unit, (long long)i, token_at(tokens, i), (long long)spec->classes,
                (long long)spec->classes - 1, tokens->width == 1 ? "; 256 allows all" : "");
    return 0;
}

static int make_source(const qd_tokens *tokens, int64_t first, int64_t count, int64_t length,
                       int64_t stride, qd_source *out) {
    windows *w = calloc(1, sizeof *w);
    if (!w)
        return qd_error_set(QD_ENOMEM, "no memory for the samples of a text");
    *w = (windows){.tokens = *tokens, .first = first, .stride = stride, .length = length};
    *out = (qd_source){.samples = (count - length - 1) / stride + 1,
                       .self = w,
                       .get = windows_get,
                       .close = windows_close};
    return 0;
}

static int check_parts(const qd_job *job, const qd_sample_spec *spec, const char *path,
                       const qd_tokens *tokens, int64_t apart) {
    int64_t window = spec->inputs + 1;
    if (tokens->count - apart < window)
        return qd_error_set(QD_EDATA,
                            "%s: %lld %ss are left for training; a sample of model.length %lld "
                            "takes %lld",
                            path, (long long)(tokens->count - apart), tokens->unit,
                            (long long)spec->inputs, (long long)window);
    if (apart > 0 && apart < window)
        return qd_error_set(QD_ECONFIG,
                            "%s: data.validation_share %g sets %lld %ss apart; a sample of "
                            "model.length %lld takes %lld; use 0 or at least %.3g",
                            path, job->data.validation_share, (long long)apart, tokens->unit,
                            (long long)spec->inputs, (long long)window,
                            (double)(window + 1) / (double)tokens->count);
    return 0;
}

static int split_tokens(const qd_job *job, const qd_sample_spec *spec, const char *path,
                        const qd_tokens *tokens, qd_source *train, qd_source *validation) {
    int64_t apart = (int64_t)(job->data.validation_share * (double)tokens->count);
    int64_t left = tokens->count - apart;
    int rc = check_tokens(spec, path, tokens);
    if (!rc)
        rc = check_parts(job, spec, path, tokens, apart);
    if (!rc)
        rc = make_source(tokens, 0, left, spec->inputs, job->data.stride, train);
    if (!rc && apart > 0)
        rc = make_source(tokens, left, apart, spec->inputs, spec->inputs, validation);
    return rc;
}

/* The source that is to release the tokens, and counts their memory. */
static void own_tokens(qd_source *source) {
    windows *w = source->self;
    size_t bytes = (size_t)(w->tokens.count * w->tokens.width);
    w->owner = true;
    if (w->tokens.mapped)
        source->memory = (qd_source_memory){.mapped = bytes};
    else
        source->memory = (qd_source_memory){.heap = bytes, .opening = bytes};
}

int qd_windows_open(const qd_job *job, const qd_sample_spec *spec, const char *path,
                    qd_tokens *tokens, qd_source *train, qd_source *validation) {
    int rc = split_tokens(job, spec, path, tokens, train, validation);
    if (rc) {
        qd_source_close(train);
        tokens->release(tokens);
        return rc;
    }
    own_tokens(train);
    return 0;
}

int qd_windows_open_validation(const qd_sample_spec *spec, const char *path, qd_tokens *tokens,
                               qd_source *validation) {
    int64_t window = spec->inputs + 1;
    int rc = check_tokens(spec, path, tokens);
    if (!rc && tokens->count < window)
        rc = qd_error_set(QD_EDATA, "%s: %lld %ss; a sample of model.length %lld takes %lld", path,
                          (long long)tokens->count, tokens->unit, (long long)spec->inputs,
                          (long long)window);
    if (!rc)
        rc = make_source(tokens, 0, tokens->count, spec->inputs, spec->inputs, validation);
    if (rc) {
        tokens->release(tokens);
        return rc;
    }
    own_tokens(validation);
    return 0;
}
