/*
 * cpu.h: what the files of the CPU backend share: its context, how an operator is computed, and the
 * set of kernels of one instruction set. Only for worker/cpu/.
 */
#ifndef QD_WORKER_CPU_CPU_H
#define QD_WORKER_CPU_CPU_H

#include "runtime/isa.h"
#include "worker/backend.h"
#include "worker/cpu/onednn_bf16.h"

typedef int qd_cpu_run(qd_backend_context *context, const qd_graph *graph, const qd_node *node,
                       const qd_operands *operands);

/* How one kind of operator is computed; contract as qd_backend's forward and backward. */
typedef struct qd_cpu_op {
    qd_cpu_run *forward;
    qd_cpu_run *backward;
    /* As qd_backend's prepare, for one node; NULL: nothing to make. *made is handed to release. */
    int (*prepare)(qd_backend_context *context, const qd_graph *graph, qd_node *node, void **made);
    void (*release)(void *made);
} qd_cpu_op;

typedef int qd_cpu_update(qd_backend_context *context, const qd_optimizer_spec *spec,
                          const qd_optimizer_scalars *scalars, const qd_optimizer_tensor *tensor);

/* Everything that is compiled once for each instruction set (worker/cpu/kernels/isa.h). */
typedef struct qd_cpu_kernels {
    const qd_cpu_op *ops[QD_OP_KINDS];
    void (*narrow)(qd_bf16 *restrict to, const float *restrict from, int64_t count);
    void (*add_floats)(float *restrict into, const float *restrict from, int64_t count);
    void (*score)(const float *losses, const float *logits, const int32_t *targets,
                  const int32_t *ignored, int64_t n, int64_t classes, double *loss_sum,
                  int64_t *correct);
    void (*greatest)(const float *logits, int64_t n, int64_t classes, int64_t first,
                     float *greatest);
    double (*norm_squared)(const float *x, int64_t rows, int64_t columns, int64_t stride);
    int (*measure)(const qd_optimizer_spec *spec, const qd_optimizer_scalars *scalars,
                   const qd_optimizer_tensor *tensor, double *weights, double *moves);
    qd_cpu_update *updates[QD_OPTIMIZER_KINDS];
    int (*begin_move)(qd_backend_context *context, const qd_optimizer_spec *spec,
                      const qd_optimizer_scalars *scalars, const qd_optimizer_tensor *tensor,
                      float *to);
    int (*orthogonalize)(qd_backend_context *context, int64_t rows, int64_t columns, float *scratch,
                         float **orthogonal);
    int (*end_move)(qd_backend_context *context, const qd_optimizer_spec *spec,
                    const qd_optimizer_scalars *scalars, const qd_optimizer_tensor *tensor,
                    const float *orthogonal);
} qd_cpu_kernels;

extern const qd_cpu_kernels qd_cpu_kernels_avx2, qd_cpu_kernels_avx512;

struct qd_backend_context {
    int threads;
    qd_isa isa;
    const qd_cpu_kernels *kernels;
    qd_bf16_products *products; /* where the processor knows bf16 */
    const qd_graph *graph;      /* the one prepared for */
    void **prepared; /* [graph->node_count] what an operator made for a node; NULL: nothing */
};

/* What prepare made for a node. */
static inline void *qd_cpu_prepared(const qd_backend_context *context, const qd_node *node) {
    return context->prepared[node - context->graph->nodes];
}

/* As qd_backend's functions of these names. alloc: QD_ENOMEM. */
int qd_cpu_alloc(qd_backend_context *context, size_t bytes, void **memory);
void qd_cpu_release(qd_backend_context *context, void *memory, size_t bytes);

#endif
