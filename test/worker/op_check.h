/*
 * op_check.h: holds one operator, run alone through the CPU backend's table, against a float64
 * reference written in the test and central differences of it.
 */
#ifndef QD_TEST_WORKER_OP_CHECK_H
#define QD_TEST_WORKER_OP_CHECK_H

#include "models/op.h"
#include "worker/backend.h"

typedef struct op_case op_case;

struct op_case {
    const qd_op *op;
    qd_op_attributes attributes;
    int input_count, param_count;
    qd_shape inputs[QD_MAX_OPERANDS]; /* dimension 0 of the first counts the samples */
    qd_shape params[QD_MAX_OPERANDS];
    const int32_t *indices[QD_MAX_OPERANDS]; /* the input's contents, where it holds integers */
    const float *floats[QD_MAX_OPERANDS]; /* likewise, where random floats won't do; NULL: random */
    bool is_target[QD_MAX_OPERANDS];      /* the input takes no gradient */
    qd_precision precision; /* bf16: what is random is representable in it, so that products are
                               exact and the same tolerance holds */
    int tensor_slots;       /* 0: 1 */
    bool by_rows;           /* they deal out the rows of the inputs and of the output */
    const double *class_weights; /* of the graph; NULL: none */
    int64_t class_weight_count;
    int threads;                                /* 0: 1 */
    const float *param_floats[QD_MAX_OPERANDS]; /* as floats, for params */
    bool evaluates;                             /* forward as in an evaluation; no backward */
    double tolerance; /* of |a - b| <= tolerance (1 + |b|); 0: the default */
    /* The last params that are statistics, and what they are expected to measure of the inputs:
     * measured[i] has room for the i-th of them. */
    int statistic_count;
    void (*measure)(const op_case *c, double *const *inputs, double *const *measured);
    /* y from the inputs (NULL where they are integers) and params, all in double. */
    void (*reference)(const op_case *c, double *const *inputs, double *const *params, double *y);
};

#define SHAPE(...)                                                                                 \
    ((qd_shape){.dims = (int)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)),                 \
                .dim = {__VA_ARGS__}})

/*
 * Forward against the reference, and again with the same bits; the gradients of all float inputs
 * and parameters against central differences; again with gradients added to what stands there; and
 * again without the inputs' gradients. What is written behind an end, or not written, is found.
 * Aborts the test on failure.
 */
void op_check(const op_case *c);

#endif
