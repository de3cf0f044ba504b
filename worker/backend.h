/*
 * backend.h: a device that runs operators, as a table of functions. Code above this line never
 * names a device, and reaches its memory by these functions alone. Two pointers are still handed
 * out as if a device's memory were the host's: the partial sums, which collectives/ adds up, and
 * the state, which a checkpoint copies (worker/engine.h: qd_engine_parts, qd_engine_state).
 *
 * Asynchronous in form: calls enqueue, in order, and what they write on the host stands there once
 * wait has returned; on the CPU a call is done when it returns.
 */
#ifndef QD_WORKER_BACKEND_H
#define QD_WORKER_BACKEND_H

#include <stdbool.h>
#include <stdint.h>

#include "models/graph.h"
#include "models/op.h"
#include "worker/optimizer.h"
#include "worker/tensor_exchange.h"

typedef struct qd_backend_context qd_backend_context; /* opaque, one for each engine */

/* What differs from one run of a graph to the next; kernels read it from memory (DESIGN 3.8). */
typedef struct qd_run_state {
    bool training; /* else evaluating: no dropout, batch norms by their running statistics */
    uint64_t seed;
    uint32_t step;        /* 1 for the first */
    int64_t first_sample; /* which sample of the global batch stands first in the graph's */
    float share;          /* of this run in what statistics measure: 1 / runs of a step */
} qd_run_state;

/* Operands of one node as device pointers, in the order of the node. Gradients that are not
 * wanted are NULL; where ..._adds is set, backward adds to what stands there. */
typedef struct qd_operands {
    void *inputs[QD_MAX_OPERANDS];
    void *params[QD_MAX_OPERANDS];
    void *narrow_params[QD_MAX_OPERANDS]; /* in bf16, where the graph's precision is that */
    void *output;
    void *input_grads[QD_MAX_OPERANDS];
    void *param_grads[QD_MAX_OPERANDS];
    void *output_grad;
    void *saved;   /* floats, op->saved of them, from forward to backward; NULL: none */
    void *scratch; /* floats, node->scratch of them, for the length of a call; NULL: none */
    const qd_run_state *run;
    const qd_tensor_exchange *exchange; /* where the graph has not all tensor slots; else unused */
    bool input_adds[QD_MAX_OPERANDS];
    bool param_adds[QD_MAX_OPERANDS];
} qd_operands;

typedef struct qd_backend {
    const char *name; /* "cpu" */

    /* Whether this machine has such a device; NULL: every machine has. */
    bool (*present)(void);

    int (*create)(int threads, qd_backend_context **context);
    void (*destroy)(qd_backend_context *context);

    /* Makes what the nodes' calls need (library handles, kernels), before the first of them; raises
     * node->scratch where this device needs more than the operator's own. The graph must stay
     * where it is. QD_ENOMEM, QD_EINTERNAL. */
    int (*prepare)(qd_backend_context *context, qd_graph *graph);

    /* Device memory, 64-byte aligned, huge pages where it can, touched once, all zero. */
    int (*alloc)(qd_backend_context *context, size_t bytes, void **memory);
    void (*release)(qd_backend_context *context, void *memory, size_t bytes);

    /* From the host to the device, `from` being the caller's again when write returns; and back. */
    int (*write)(qd_backend_context *context, void *to, const void *from, size_t bytes);
    int (*read)(qd_backend_context *context, void *to, const void *from, size_t bytes);

    /* From one place of the device to another. */
    int (*copy)(qd_backend_context *context, void *to, const void *from, size_t bytes);

    /* Zeros; to[i] = value; into[i] += weight (from[i] - into[i]). */
    int (*clear)(qd_backend_context *context, void *to, size_t bytes);
    int (*fill)(qd_backend_context *context, float *to, float value, int64_t count);
    int (*blend)(qd_backend_context *context, float *into, const float *from, float weight,
                 int64_t count);

    /* Forward writes output and saved. Backward writes the gradients that are asked for, or adds
     * to them, as the operands say. Both may rely on node and graph living as long as the context.
     */
    int (*forward)(qd_backend_context *context, const qd_graph *graph, const qd_node *node,
                   const qd_operands *operands);
    int (*backward)(qd_backend_context *context, const qd_graph *graph, const qd_node *node,
                    const qd_operands *operands);

    /* to[i] = from[i] in bf16, to the nearest, ties to even. */
    int (*narrow)(qd_backend_context *context, void *to, const float *from, int64_t count);

    /* into[i] += from[i] */
    int (*add)(qd_backend_context *context, float *into, const float *from, int64_t count);

    /* values[i] rounded to the nearest bf16, ties to even, as it travels (collectives/elements.h).
     */
    int (*round_bf16)(qd_backend_context *context, float *values, int64_t count);

    /* Sum of losses in order, and how many rows of logits [n, classes] have their first greatest
     * entry at the target (0 where targets is NULL), which is not *ignored (NULL: none is); over
     * the first n rows. */
    int (*score)(qd_backend_context *context, const float *losses, const float *logits,
                 const int32_t *targets, const int32_t *ignored, int64_t n, int64_t classes,
                 double *loss_sum, int64_t *correct);

    /* Of each of n rows of logits [n, classes] the greatest entry and how far behind `first` the
     * first such lies, as a float, side by side; no entry but NaN: -infinity and 2^24. */
    int (*greatest)(qd_backend_context *context, const float *logits, int64_t n, int64_t classes,
                    int64_t first, float *greatest);

    /* Sum of the squares of [rows, columns], rows being `stride` apart, in double and in an order
     * of its own: neither instruction set nor grid shows. */
    int (*norm_squared)(qd_backend_context *context, const float *x, int64_t rows, int64_t columns,
                        int64_t stride, double *sum);

    /* Of a rule that adapts (models/optimizer.h), before update: takes the gradient of a run of a
     * parameter into its moments, and measures: squares of the weights, and of the moves before
     * they are scaled. */
    int (*measure)(qd_backend_context *context, const qd_optimizer_spec *spec,
                   const qd_optimizer_scalars *scalars, const qd_optimizer_tensor *tensor,
                   double *weights, double *moves);

    /* Moves one parameter, or a run of it, by the rule of spec->kind. The gradient counts times
     * scalars->gradient_factor, plus l1 sign(w). */
    int (*update)(qd_backend_context *context, const qd_optimizer_spec *spec,
                  const qd_optimizer_scalars *scalars, const qd_optimizer_tensor *tensor);

    /*
     * What update does with a matrix that Muon makes orthogonal, in three, where others have a part
     * of it: takes the gradient of a part into its momentum, and gives what is to be made
     * orthogonal, to[count], which may be tensor->grads; makes a whole matrix orthogonal, which
     * lies in front of a scratch of qd_optimizer_matrix_scratch(rows, columns), and says where in
     * the scratch it lies then; moves a part by its part of that. tensor: rows and columns are
     * those of the whole, all else of the part.
     */
    int (*begin_move)(qd_backend_context *context, const qd_optimizer_spec *spec,
                      const qd_optimizer_scalars *scalars, const qd_optimizer_tensor *tensor,
                      float *to);
    int (*orthogonalize)(qd_backend_context *context, int64_t rows, int64_t columns, float *scratch,
                         float **orthogonal);
    int (*end_move)(qd_backend_context *context, const qd_optimizer_spec *spec,
                    const qd_optimizer_scalars *scalars, const qd_optimizer_tensor *tensor,
                    const float *orthogonal);

    int (*wait)(qd_backend_context *context);
} qd_backend;

/* The CPU backend: oneDNN for products, our own loops elsewhere (worker/cpu/). */
extern const qd_backend qd_backend_cpu;

/* What the workers on this machine compute with: the first backend of the table in backend.c whose
 * device is present. */
const qd_backend *qd_backend_of_this_machine(void);

#endif
