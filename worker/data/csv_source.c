#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/error.h"
#include "runtime/file.h"
#include "worker/data/csv.h"
#include "worker/data/source.h"

/* The text is read whole: what is too long for that is a case for arrays (npy). */
#define MAX_BYTES ((size_t)1 << 34)

typedef struct csv_source {
    qd_csv csv;
    size_t inputs_bytes, targets_bytes; /* of a row */
} csv_source;

static void csv_source_get(const void *self, int64_t index, void *input, int32_t *targets) {
    const csv_source *s = self;
    const char *row = s->csv.slots + (size_t)index * (s->inputs_bytes + s->targets_bytes);
    memcpy(input, row, s->inputs_bytes);
    memcpy(targets, row + s->inputs_bytes, s->targets_bytes);
}

static void csv_source_close(void *self) {
    csv_source *s = self;
    qd_csv_fini(&s->csv);
    free(s);
}

static int read_csv(const qd_job *job, const qd_csv_layout *layout, const char *name, qd_csv *csv,
                    size_t *text_bytes) {
    char path[PATH_MAX], *text = NULL;
    size_t length = 0;
    int rc = qd_path_join(path, sizeof path, job->data.folder, name);
    if (!rc)
        rc = qd_file_read(path, MAX_BYTES, &text, &length);
    if (!rc)
        rc = qd_csv_parse(path, text, length, layout, csv);
    free(text);
    *text_bytes = length;
    return rc;
}

static int open_file(const qd_job *job, const qd_csv_layout *layout, const char *name,
                     qd_source *out) {
    size_t text_bytes;
    csv_source *s = calloc(1, sizeof *s);
    if (!s)
        return qd_error_set(QD_ENOMEM, "no memory for %s", name);
    int rc = read_csv(job, layout, name, &s->csv, &text_bytes);
    if (rc) {
        csv_source_close(s);
        return rc;
    }
    s->inputs_bytes = (size_t)layout->inputs * QD_NUMBER_BYTES;
    s->targets_bytes = (size_t)layout->targets * QD_NUMBER_BYTES;
    size_t heap = (size_t)s->csv.rows * (s->inputs_bytes + s->targets_bytes);
    *out = (qd_source){.samples = s->csv.rows,
                       .memory = {.heap = heap, .opening = heap + text_bytes},
                       .self = s,
                       .get = csv_source_get,
                       .close = csv_source_close};
    return 0;
}

static int csv_source_open(const qd_job *job, const qd_sample_spec *spec, qd_source *train,
                           qd_source *validation, qd_source *test) {
    (void)validation;
    qd_csv_layout layout = {.header = job->data.header,
                            .inputs = spec->inputs,
                            .targets = spec->targets,
                            .target_rule = qd_number_rule_targets(spec)};
    int rc = qd_number_rule_inputs(job, spec, &layout.input_rule);
    if (!rc)
        rc = open_file(job, &layout, job->data.train, train);
    if (rc || !job->data.test[0])
        return rc;
    rc = open_file(job, &layout, job->data.test, test);
    if (rc)
        qd_source_close(train);
    return rc;
}

const qd_source_format qd_source_csv = {.name = "csv", .open = csv_source_open};
