/*
 * cpu.h: what the files of the CPU backend share: its context, a row for each operator, and the
 * few functions of the backend's table that have a file of their own. Only for worker/cpu/.
 */
#ifndef QD_WORKER_CPU_CPU_H
#define QD_WORKER_CPU_CPU_H

#include "worker/backend.h"

struct qd_backend_context {
    int threads;
    const qd_graph *graph; /* the one prepared for */
    void **prepared;       /* [graph->node_count] what an operator made for a node; NULL: nothing */
};

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

/* What prepare made for a node. */
static inline void *qd_cpu_prepared(const qd_backend_context *context, const qd_node *node) {
    return context->prepared[node - context->graph->nodes];
}

extern const qd_cpu_op qd_cpu_linear;
extern const qd_cpu_op qd_cpu_add;
extern const qd_cpu_op qd_cpu_layer_norm;
extern const qd_cpu_op qd_cpu_rms_norm;
extern const qd_cpu_op qd_cpu_batch_norm;
extern const qd_cpu_op qd_cpu_dropout;
extern const qd_cpu_op qd_cpu_embedding;
extern const qd_cpu_op qd_cpu_position;
extern const qd_cpu_op qd_cpu_attention;
extern const qd_cpu_op qd_cpu_convolution;
extern const qd_cpu_op qd_cpu_max_pool;
extern const qd_cpu_op qd_cpu_mean_pool;
extern const qd_cpu_op qd_cpu_activation;
extern const qd_cpu_op qd_cpu_softmax;
extern const qd_cpu_op qd_cpu_concat;
extern const qd_cpu_op qd_cpu_position_mean;
extern const qd_cpu_op qd_cpu_reshape;
extern const qd_cpu_op qd_cpu_cross_entropy;
extern const qd_cpu_op qd_cpu_elementwise_loss;
extern const qd_cpu_op qd_cpu_kl;

/* into[i] += from[i] */
void qd_cpu_add_floats(float *restrict into, const float *restrict from, int64_t count);

/* A gradient that an operator hands on as it is: written to dx, or added to it. */
void qd_cpu_hand_on(float *restrict dx, const float *restrict dy, int64_t count, bool adds);

/* As qd_backend's functions of these names. alloc: QD_ENOMEM. */
int qd_cpu_alloc(qd_backend_context *context, size_t bytes, void **memory);
void qd_cpu_release(qd_backend_context *context, void *memory, size_t bytes);
int qd_cpu_score(qd_backend_context *context, const float *losses, const float *logits,
                 const int32_t *targets, int64_t n, int64_t classes, double *loss_sum,
                 int64_t *correct);

#endif
