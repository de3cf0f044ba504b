#include <stdlib.h>
#include <string.h>

#include "runtime/error.h"
#include "worker/cpu/clones.h"
#include "worker/cpu/cpu.h"

static const qd_cpu_op *const ops[QD_OP_KINDS] = {
    [QD_OP_LINEAR] = &qd_cpu_linear,
    [QD_OP_ADD] = &qd_cpu_add,
    [QD_OP_LAYER_NORM] = &qd_cpu_layer_norm,
    [QD_OP_RMS_NORM] = &qd_cpu_rms_norm,
    [QD_OP_BATCH_NORM] = &qd_cpu_batch_norm,
    [QD_OP_DROPOUT] = &qd_cpu_dropout,
    [QD_OP_EMBEDDING] = &qd_cpu_embedding,
    [QD_OP_POSITION] = &qd_cpu_position,
    [QD_OP_ATTENTION] = &qd_cpu_attention,
    [QD_OP_CONVOLUTION] = &qd_cpu_convolution,
    [QD_OP_MAX_POOL] = &qd_cpu_max_pool,
    [QD_OP_MEAN_POOL] = &qd_cpu_mean_pool,
    [QD_OP_RELU] = &qd_cpu_activation,
    [QD_OP_GELU] = &qd_cpu_activation,
    [QD_OP_GELU_TANH] = &qd_cpu_activation,
    [QD_OP_SILU] = &qd_cpu_activation,
    [QD_OP_TANH] = &qd_cpu_activation,
    [QD_OP_SIGMOID] = &qd_cpu_activation,
    [QD_OP_SOFTMAX] = &qd_cpu_softmax,
    [QD_OP_CONCAT] = &qd_cpu_concat,
    [QD_OP_POSITION_MEAN] = &qd_cpu_position_mean,
    [QD_OP_RESHAPE] = &qd_cpu_reshape,
    [QD_OP_CROSS_ENTROPY] = &qd_cpu_cross_entropy,
    [QD_OP_MSE] = &qd_cpu_elementwise_loss,
    [QD_OP_HUBER] = &qd_cpu_elementwise_loss,
    [QD_OP_BINARY_CROSS_ENTROPY] = &qd_cpu_elementwise_loss,
    [QD_OP_KL] = &qd_cpu_kl,
};

static int create(int threads, qd_backend_context **context) {
    if (threads < 1)
        return qd_error_set(QD_ECONFIG, "cpu: %d threads; at least 1 is needed", threads);
    qd_backend_context *c = calloc(1, sizeof *c);
    if (!c)
        return qd_error_set(QD_ENOMEM, "cpu: no memory for a context");
    c->threads = threads;
    *context = c;
    return 0;
}

static void destroy(qd_backend_context *context) {
    if (!context)
        return;
    for (int n = 0; context->prepared && n < context->graph->node_count; n++)
        if (context->prepared[n])
            ops[context->graph->nodes[n].op->kind]->release(context->prepared[n]);
    free(context->prepared);
    free(context);
}

static int prepare(qd_backend_context *context, qd_graph *graph) {
    context->graph = graph;
    context->prepared = calloc((size_t)graph->node_count, sizeof *context->prepared);
    if (!context->prepared)
        return qd_error_set(QD_ENOMEM, "cpu: no memory for %d operators", graph->node_count);
    for (int n = 0; n < graph->node_count; n++) {
        qd_node *node = &graph->nodes[n];
        const qd_cpu_op *op = ops[node->op->kind];
        int rc = op->prepare ? op->prepare(context, graph, node, &context->prepared[n]) : 0;
        if (rc)
            return qd_error_context(rc, "%s", node->name);
    }
    return 0;
}

static int forward(qd_backend_context *context, const qd_graph *graph, const qd_node *node,
                   const qd_operands *operands) {
    return ops[node->op->kind]->forward(context, graph, node, operands);
}

static int backward(qd_backend_context *context, const qd_graph *graph, const qd_node *node,
                    const qd_operands *operands) {
    return ops[node->op->kind]->backward(context, graph, node, operands);
}

QD_CLONES
void qd_cpu_add_floats(float *restrict into, const float *restrict from, int64_t count) {
    for (int64_t i = 0; i < count; i++)
        into[i] += from[i];
}

void qd_cpu_hand_on(float *restrict dx, const float *restrict dy, int64_t count, bool adds) {
    if (adds)
        qd_cpu_add_floats(dx, dy, count);
    else
        memcpy(dx, dy, (size_t)count * sizeof *dx);
}

static int add(qd_backend_context *context, float *into, const float *from, int64_t count) {
    (void)context;
    qd_cpu_add_floats(into, from, count);
    return 0;
}

/* Every call above is done when it returns. */
static int wait_done(qd_backend_context *context) {
    (void)context;
    return 0;
}

const qd_backend qd_backend_cpu = {
    .name = "cpu",
    .create = create,
    .destroy = destroy,
    .prepare = prepare,
    .alloc = qd_cpu_alloc,
    .release = qd_cpu_release,
    .forward = forward,
    .backward = backward,
    .add = add,
    .score = qd_cpu_score,
    .wait = wait_done,
};
