#include <limits.h>
#include <stdlib.h>

#include "runtime/file.h"
#include "worker/data/source.h"
#include "worker/data/windows.h"

/* The text is read whole: what is too long for that is a case for token files. */
#define MAX_BYTES ((size_t)1 << 34)

static void release(qd_tokens *tokens) {
    free((void *)tokens->bytes);
}

/* Each byte of the file is a token. */
static int text_source_open(const qd_job *job, const qd_sample_spec *spec, qd_source *train,
                            qd_source *validation, qd_source *test) {
    (void)test;
    char path[PATH_MAX], *bytes = NULL;
    size_t length = 0;
    int rc = qd_windows_check_model(job, spec);
    if (!rc)
        rc = qd_path_join(path, sizeof path, job->data.folder, job->data.text);
    if (!rc)
        rc = qd_file_read(path, MAX_BYTES, &bytes, &length);
    if (rc)
        return rc;
    qd_tokens tokens = {.bytes = (const uint8_t *)bytes,
                        .width = 1,
                        .count = (int64_t)length,
                        .unit = "byte",
                        .release = release};
    return qd_windows_open(job, spec, path, &tokens, train, validation);
}

const qd_source_format qd_source_text = {.name = "text", .open = text_source_open};
