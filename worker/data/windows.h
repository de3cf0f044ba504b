/*
 * windows.h: samples for models that predict the next token: windows of a sequence of tokens, at a
 * stride; the targets are the tokens that follow the inputs, each moved by one. Where the tokens
 * come from is the business of the formats (text_source.c, tokens_source.c).
 */
#ifndef QD_WORKER_DATA_WINDOWS_H
#define QD_WORKER_DATA_WINDOWS_H

#include <stdbool.h>
#include <stdint.h>

#include "worker/data/source.h"

typedef struct qd_tokens {
    const uint8_t *bytes; /* little-endian */
    int width;            /* bytes of a token: 1, 2 or 4 */
    int64_t count;
    const char *unit; /* what a token is called in messages: "byte" */
    bool mapped;      /* from a file, rather than on the heap */
    void (*release)(struct qd_tokens *tokens);
} qd_tokens;

/* Whether the model predicts the next token. QD_ECONFIG. */
int qd_windows_check_model(const qd_job *job, const qd_sample_spec *spec);

/*
 * Checks every token and makes the sources: training windows at data.stride, and validation windows
 * that do not overlap over the last data.validation_share of the tokens. Takes the tokens over, on
 * error too. path: for messages. QD_EDATA, QD_ECONFIG, QD_ENOMEM.
 */
int qd_windows_open(const qd_job *job, const qd_sample_spec *spec, const char *path,
                    qd_tokens *tokens, qd_source *train, qd_source *validation);

/* As above, with all the tokens for validation. */
int qd_windows_open_validation(const qd_sample_spec *spec, const char *path, qd_tokens *tokens,
                               qd_source *validation);

#endif
