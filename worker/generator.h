/*
 * generator.h: continues a sequence of tokens with a trained model that predicts the next one. Each
 * token is drawn from the model's distribution by a counter-based random number, so that the same
 * seed gives the same text. Not for serving: every token takes a forward pass over the context.
 */
#ifndef QD_WORKER_GENERATOR_H
#define QD_WORKER_GENERATOR_H

#include <stdint.h>

#include "models/job.h"

typedef struct qd_generator qd_generator;

typedef struct qd_sampling {
    double temperature; /* logits are divided by it; 0: always the likeliest token */
    int64_t top_k;      /* of this many likeliest tokens only; 0: of all */
    uint64_t seed;
} qd_sampling;

/* Loads the newest checkpoint of a run. threads >= 1. QD_ECONFIG where its model does not predict
 * the next token, QD_EDATA where there is no checkpoint or it is damaged, QD_EIO, QD_ENOMEM. */
int qd_generator_open(const char *run_folder, int threads, qd_generator **generator);
void qd_generator_close(qd_generator *generator);

/* The job that was trained. */
const qd_job *qd_generator_job(const qd_generator *generator);

/* Appends a token to the sequence. QD_EDATA where the model knows no such token. Of a sequence
 * longer than the context the end counts. */
int qd_generator_append(qd_generator *generator, int32_t token);

/* Draws the next token and appends it. The sequence must not be empty. QD_EINTERNAL. */
int qd_generator_next(qd_generator *generator, const qd_sampling *sampling, int32_t *token);

#endif
