/*
 * numbers.h: what becomes of a number from a file: a normalised float, a token, a class, or the
 * float that a model is to come near to. Shared by the formats of plain numbers (npy, csv).
 */
#ifndef QD_WORKER_DATA_NUMBERS_H
#define QD_WORKER_DATA_NUMBERS_H

#include <stdbool.h>
#include <stdint.h>

#include "models/family.h"

enum { QD_NUMBER_BYTES = 4, QD_NUMBER_PROBLEM_BYTES = 160 };

typedef struct qd_number_rule {
    qd_dtype dtype;
    double mean, std; /* QD_F32: a number v becomes (v - mean) / std, in double, rounded once */
    int64_t classes;  /* QD_I32: whole, 0 .. classes-1 */
    const char *key;  /* of the job, that classes comes from */
    bool has_ignored; /* QD_I32: or this one */
    int32_t ignored;
} qd_number_rule;

/* QD_ECONFIG when the job wants tokens normalised. */
int qd_number_rule_inputs(const qd_job *job, const qd_sample_spec *spec, qd_number_rule *rule);

qd_number_rule qd_number_rule_targets(const qd_sample_spec *spec);

/* Whether number fits; else problem says what it is and what would be accepted. */
bool qd_number_fits(const qd_number_rule *rule, double number,
                    char problem[QD_NUMBER_PROBLEM_BYTES]);

/* Puts a number that fits into a slot of QD_NUMBER_BYTES. */
void qd_number_store(const qd_number_rule *rule, double number, void *slot);

#endif
