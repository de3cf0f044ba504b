#include <limits.h>

#include "runtime/error.h"
#include "runtime/file.h"
#include "worker/data/mapping.h"
#include "worker/data/source.h"
#include "worker/data/windows.h"

static void release(qd_tokens *tokens) {
    qd_mapping mapping = {tokens->bytes, (size_t)(tokens->count * tokens->width)};
    qd_mapping_close(&mapping);
}

static int map_tokens(const qd_job *job, const char *name, char path[PATH_MAX], qd_tokens *tokens) {
    int width = job->data.token_dtype == QD_TOKENS_UINT16 ? 2 : 4;
    qd_mapping mapping = {0};
    int rc = qd_path_join(path, PATH_MAX, job->data.folder, name);
    if (!rc)
        rc = qd_mapping_open(path, &mapping);
    if (rc)
        return rc;
    if (mapping.size % (size_t)width) {
        rc = qd_error_set(QD_EDATA,
                          "%s: %zu bytes are no whole number of tokens; data.dtype uint%d takes %d "
                          "bytes for each",
                          path, mapping.size, 8 * width, width);
        qd_mapping_close(&mapping);
        return rc;
    }
    *tokens = (qd_tokens){.bytes = mapping.bytes,
                          .width = width,
                          .count = (int64_t)(mapping.size / (size_t)width),
                          .unit = "token",
                          .mapped = true,
                          .release = release};
    return 0;
}

static int tokens_source_open(const qd_job *job, const qd_sample_spec *spec, qd_source *train,
                              qd_source *validation, qd_source *test) {
    (void)test;
    char path[PATH_MAX];
    qd_tokens tokens;
    int rc = qd_windows_check_model(job, spec);
    if (!rc)
        rc = map_tokens(job, job->data.text, path, &tokens);
    if (!rc)
        rc = qd_windows_open(job, spec, path, &tokens, train, validation);
    if (rc || !job->data.validation_file[0])
        return rc;
    rc = map_tokens(job, job->data.validation_file, path, &tokens);
    if (!rc)
        rc = qd_windows_open_validation(spec, path, &tokens, validation);
    if (rc)
        qd_source_close(train);
    return rc;
}

const qd_source_format qd_source_tokens = {.name = "tokens", .open = tokens_source_open};
