#include <stdlib.h>
#include <string.h>

#include "collectives/elements.h"
#include "runtime/error.h"
#include "worker/cpu/cpu.h"
#include "worker/cpu/onednn.h"

static int create(int threads, qd_backend_context **context) {
    if (threads < 1)
        return qd_error_set(QD_ECONFIG, "cpu: %d threads; at least 1 is needed", threads);
    qd_isa isa;
    int rc = qd_isa_in_use(&isa);
    if (!rc)
        rc = qd_onednn_limit_isa(isa);
    if (!rc)
        rc = qd_onednn_make_sgemm(threads);
    if (rc)
        return qd_error_context(rc, "cpu");
    qd_backend_context *c = calloc(1, sizeof *c);
    if (!c)
        return qd_error_set(QD_ENOMEM, "cpu: no memory for a context");
    c->threads = threads;
    c->isa = isa;
    rc = isa >= QD_ISA_AVX512_BF16 ? qd_bf16_products_create(threads, &c->products) : 0;
    if (rc) {
        free(c);
        return rc;
    }
    c->kernels = isa == QD_ISA_AVX2 ? &qd_cpu_kernels_avx2 : &qd_cpu_kernels_avx512;
    *context = c;
    return 0;
}

static const qd_cpu_op *op_of(const qd_backend_context *context, const qd_node *node) {
    return context->kernels->ops[node->op->kind];
}

static void destroy(qd_backend_context *context) {
    if (!context)
        return;
    for (int n = 0; context->prepared && n < context->graph->node_count; n++)
        if (context->prepared[n])
            op_of(context, &context->graph->nodes[n])->release(context->prepared[n]);
    qd_bf16_products_destroy(context->products);
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
        const qd_cpu_op *op = op_of(context, node);
        if (!op)
            return qd_error_set(QD_EINTERNAL, "cpu: %s: there is no kernel for %s", node->name,
                                node->op->name);
        int rc = op->prepare ? op->prepare(context, graph, node, &context->prepared[n]) : 0;
        if (rc)
            return qd_error_context(rc, "%s", node->name);
    }
    return 0;
}

/* ---- memory, which is the host's ---- */

static int copy(qd_backend_context *context, void *to, const void *from, size_t bytes) {
    (void)context;
    memcpy(to, from, bytes);
    return 0;
}

static int clear(qd_backend_context *context, void *to, size_t bytes) {
    (void)context;
    memset(to, 0, bytes);
    return 0;
}

static int fill(qd_backend_context *context, float *to, float value, int64_t count) {
    (void)context;
    for (int64_t i = 0; i < count; i++)
        to[i] = value;
    return 0;
}

static int blend(qd_backend_context *context, float *into, const float *from, float weight,
                 int64_t count) {
    (void)context;
    for (int64_t i = 0; i < count; i++)
        into[i] += weight * (from[i] - into[i]);
    return 0;
}

/* ---- computing ---- */

static int forward(qd_backend_context *context, const qd_graph *graph, const qd_node *node,
                   const qd_operands *operands) {
    return op_of(context, node)->forward(context, graph, node, operands);
}

static int backward(qd_backend_context *context, const qd_graph *graph, const qd_node *node,
                    const qd_operands *operands) {
    return op_of(context, node)->backward(context, graph, node, operands);
}

static int narrow(qd_backend_context *context, void *to, const float *from, int64_t count) {
    context->kernels->narrow(to, from, count);
    return 0;
}

static int round_bf16(qd_backend_context *context, float *values, int64_t count) {
    (void)context;
    qd_elements_round(QD_WIRE_BF16, values, (size_t)count);
    return 0;
}

static int add(qd_backend_context *context, float *into, const float *from, int64_t count) {
    context->kernels->add_floats(into, from, count);
    return 0;
}

static int score(qd_backend_context *context, const float *losses, const float *logits,
                 const int32_t *targets, const int32_t *ignored, int64_t n, int64_t classes,
                 double *loss_sum, int64_t *correct) {
    context->kernels->score(losses, logits, targets, ignored, n, classes, loss_sum, correct);
    return 0;
}

static int greatest(qd_backend_context *context, const float *logits, int64_t n, int64_t classes,
                    int64_t first, float *found) {
    context->kernels->greatest(logits, n, classes, first, found);
    return 0;
}

static int norm_squared(qd_backend_context *context, const float *x, int64_t rows, int64_t columns,
                        int64_t stride, double *sum) {
    *sum = context->kernels->norm_squared(x, rows, columns, stride);
    return 0;
}

static int measure(qd_backend_context *context, const qd_optimizer_spec *spec,
                   const qd_optimizer_scalars *scalars, const qd_optimizer_tensor *tensor,
                   double *weights, double *moves) {
    return context->kernels->measure(spec, scalars, tensor, weights, moves);
}

static int update(qd_backend_context *context, const qd_optimizer_spec *spec,
                  const qd_optimizer_scalars *scalars, const qd_optimizer_tensor *tensor) {
    return context->kernels->updates[spec->kind](context, spec, scalars, tensor);
}

static int begin_move(qd_backend_context *context, const qd_optimizer_spec *spec,
                      const qd_optimizer_scalars *scalars, const qd_optimizer_tensor *tensor,
                      float *to) {
    return context->kernels->begin_move(context, spec, scalars, tensor, to);
}

static int orthogonalize(qd_backend_context *context, int64_t rows, int64_t columns, float *scratch,
                         float **orthogonal) {
    return context->kernels->orthogonalize(context, rows, columns, scratch, orthogonal);
}

static int end_move(qd_backend_context *context, const qd_optimizer_spec *spec,
                    const qd_optimizer_scalars *scalars, const qd_optimizer_tensor *tensor,
                    const float *orthogonal) {
    return context->kernels->end_move(context, spec, scalars, tensor, orthogonal);
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
    .write = copy,
    .read = copy,
    .copy = copy,
    .clear = clear,
    .fill = fill,
    .blend = blend,
    .forward = forward,
    .backward = backward,
    .narrow = narrow,
    .add = add,
    .round_bf16 = round_bf16,
    .score = score,
    .greatest = greatest,
    .norm_squared = norm_squared,
    .measure = measure,
    .update = update,
    .begin_move = begin_move,
    .orthogonalize = orthogonalize,
    .end_move = end_move,
    .wait = wait_done,
};
