#include <limits.h>
#include <stdlib.h>

#include "runtime/error.h"
#include "runtime/file.h"
#include "worker/data/lines.h"
#include "worker/data/source.h"

/* The text is read whole: what is too long for that is a case for arrays (npy). */
#define MAX_BYTES ((size_t)1 << 34)

typedef struct lines_source {
    char *text;
    qd_lines lines;
    int64_t inputs; /* tokens of a sample */
} lines_source;

/* What is longer than a sample is cut off; what is shorter is padded with 0. */
static void lines_source_get(const void *self, int64_t index, void *input, int32_t *targets) {
    const lines_source *s = self;
    const qd_line *line = &s->lines.line[index];
    int32_t *tokens = input;
    for (int64_t i = 0; i < s->inputs; i++)
        tokens[i] = i < line->length ? (unsigned char)line->text[i] : 0;
    targets[0] = line->label;
}

static void lines_source_close(void *self) {
    lines_source *s = self;
    qd_lines_fini(&s->lines);
    free(s->text);
    free(s);
}

static int read_lines(const qd_job *job, const qd_sample_spec *spec, const char *name,
                      lines_source *s, size_t *length) {
    char path[PATH_MAX];
    int rc = qd_path_join(path, sizeof path, job->data.folder, name);
    if (!rc)
        rc = qd_file_read(path, MAX_BYTES, &s->text, length);
    return rc ? rc : qd_lines_parse(path, s->text, *length, spec, &s->lines);
}

static int open_file(const qd_job *job, const qd_sample_spec *spec, const char *name,
                     qd_source *out) {
    size_t length = 0;
    lines_source *s = calloc(1, sizeof *s);
    if (!s)
        return qd_error_set(QD_ENOMEM, "no memory for %s", name);
    s->inputs = spec->inputs;
    int rc = read_lines(job, spec, name, s, &length);
    if (rc) {
        lines_source_close(s);
        return rc;
    }
    size_t heap = length + (size_t)s->lines.count * sizeof *s->lines.line;
    *out = (qd_source){.samples = s->lines.count,
                       .memory = {.heap = heap, .opening = heap},
                       .self = s,
                       .get = lines_source_get,
                       .close = lines_source_close};
    return 0;
}

static int lines_source_open(const qd_job *job, const qd_sample_spec *spec, qd_source *train,
                             qd_source *validation, qd_source *test) {
    (void)validation;
    if (spec->input_dtype != QD_I32 || spec->target_dtype != QD_I32 || spec->next_token)
        return qd_error_set(QD_ECONFIG,
                            "data.format lines is for models that tell the class of a text; use "
                            "model.family embedding, bert or lstm, or layers with classes");
    int rc = open_file(job, spec, job->data.train, train);
    if (rc || !job->data.test[0])
        return rc;
    rc = open_file(job, spec, job->data.test, test);
    if (rc)
        qd_source_close(train);
    return rc;
}

const qd_source_format qd_source_lines = {.name = "lines", .open = lines_source_open};
