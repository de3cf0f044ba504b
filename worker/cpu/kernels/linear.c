#include <string.h>

#include "runtime/align.h"
#include "worker/cpu/kernels/product.h"
#include "worker/cpu/kernels/tensor_slots.h"

/* A linear layer at work. Leading dimensions are rows like any other. */
typedef struct layer {
    qd_backend_context *context;
    int64_t n, in, out;
    int slots;     /* of tensor parallelism; 1: not cut */
    bool cuts_out; /* the slots share the outputs; else the inputs */
    int64_t unit;  /* of outputs or inputs, which is not cut */
    const float *b, *dy;
    qd_tensor x, w, dy_taken; /* as products take them */
    float *parts;             /* scratch for the partial results of slots */
} layer;

static layer layer_of(qd_backend_context *context, const qd_graph *graph, const qd_node *node,
                      const qd_operands *operands) {
    const qd_shape *weight = &graph->params[node->params[0]].shape;
    int64_t elements = qd_shape_elements(&graph->values[node->inputs[0]].shape);
    return (layer){
        .context = context,
        .n = elements / weight->dim[1],
        .in = weight->dim[1],
        .out = weight->dim[0],
        .slots = qd_op_tensor_slots(graph, node),
        .cuts_out = node->attributes.linear.cut == QD_CUT_OUT,
        .unit = node->attributes.linear.unit,
        .b = operands->params[1],
        .dy = operands->output_grad,
        .parts = operands->scratch,
    };
}

/* Scratch: the partial results of slots (which the operator asks for), then what products take of
 * x, w and dy. */
static int prepare(qd_backend_context *context, const qd_graph *graph, qd_node *node, void **made) {
    layer l = layer_of(context, graph, node, &(qd_operands){0});
    node->scratch = qd_align_floats(node->scratch) +
                    QD_CPU(take_scratch)(context, graph, l.n * l.in) +
                    QD_CPU(take_scratch)(context, graph, l.n * l.out) +
                    QD_CPU(take_param_scratch)(context, graph, l.in * l.out);
    *made = NULL;
    return 0;
}

/* Brings x and w, and in backward dy, into the form that products take. */
static void take(layer *l, const qd_graph *graph, const qd_node *node,
                 const qd_operands *operands) {
    qd_backend_context *c = l->context;
    int64_t parts = node->op->scratch(graph, node);
    float *scratch = l->parts ? l->parts + qd_align_floats(parts) : NULL;
    l->x = QD_CPU(take)(c, graph, operands->inputs[0], l->n * l->in, &scratch);
    l->w = QD_CPU(take_param)(c, graph, operands->params[0], operands->narrow_params[0],
                              l->in * l->out, &scratch);
    if (l->dy)
        l->dy_taken = QD_CPU(take)(c, graph, l->dy, l->n * l->out, &scratch);
}

static void range_of(const layer *l, int slot, int64_t *first, int64_t *end) {
    qd_cut_range(l->slots, l->cuts_out ? l->out : l->in, l->unit, slot, first, end);
}

static void add_bias(float *restrict y, const float *restrict b, int64_t n, int64_t out) {
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < out; j++)
            y[i * out + j] += b[j];
}

/* ---- forward ---- */

/* The outputs [first, end): every row starts as the bias, and the product is added to it, which
 * takes one pass less than the other way round. */
static int forward_outputs(const layer *l, int64_t first, int64_t end, float *y) {
    for (int64_t i = 0; i < l->n && l->b; i++)
        memcpy(y + i * l->out + first, l->b + first, (size_t)(end - first) * sizeof *y);
    return QD_CPU(product)(l->context, l->n, end - first, l->in, (qd_operand){.tensor = l->x},
                           (qd_operand){l->w, first * l->in, .transposed = true},
                           (qd_product){y + first, l->out, l->b ? 1.0f : 0.0f});
}

/* What the inputs [first, end) contribute to all outputs, without the bias. */
static int forward_part(const void *context, int64_t first, int64_t end, float *part) {
    const layer *l = context;
    return QD_CPU(product)(
        l->context, l->n, l->out, end - first, (qd_operand){l->x, first, .stride = l->in},
        (qd_operand){l->w, first, .transposed = true, .stride = l->in}, (qd_product){.data = part});
}

static int forward(qd_backend_context *context, const qd_graph *graph, const qd_node *node,
                   const qd_operands *operands) {
    layer l = layer_of(context, graph, node, operands);
    float *y = operands->output;
    int rc = 0;
    l.dy = NULL;
    take(&l, graph, node, operands);
    if (l.slots == 1)
        return forward_outputs(&l, 0, l.out, y);
    for (int slot = 0; slot < l.slots && l.cuts_out && !rc; slot++) {
        int64_t first, end;
        range_of(&l, slot, &first, &end);
        rc = first < end ? forward_outputs(&l, first, end, y) : 0;
    }
    if (l.cuts_out)
        return rc;
    rc = QD_CPU(sum_slots)(l.slots, l.in, l.unit, forward_part, &l, y, l.n * l.out, false, l.parts);
    if (!rc && l.b)
        add_bias(y, l.b, l.n, l.out);
    return rc;
}

/* ---- backward ---- */

/* sum[out] of the rows of dy[n, out], from the first to the last; behind what stands there where
 * adds is set. */
static void sum_rows(float *restrict sum, const float *restrict dy, int64_t n, int64_t out,
                     bool adds) {
    if (!adds)
        memset(sum, 0, (size_t)out * sizeof *sum);
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < out; j++)
            sum[j] += dy[i * out + j];
}

/* dW of the outputs [out_first, out_end) by the inputs [in_first, in_end): dy^T x. */
static int weight_grad(const layer *l, int64_t out_first, int64_t out_end, int64_t in_first,
                       int64_t in_end, float *dw, bool adds) {
    if (out_first == out_end || in_first == in_end)
        return 0;
    return QD_CPU(product)(
        l->context, out_end - out_first, in_end - in_first, l->n,
        (qd_operand){l->dy_taken, out_first, .transposed = true, .stride = l->out},
        (qd_operand){l->x, in_first, .stride = l->in},
        (qd_product){dw + out_first * l->in + in_first, l->in, adds ? 1.0f : 0.0f});
}

static int weight_grads(const layer *l, float *dw, bool adds) {
    int rc = 0;
    for (int slot = 0; slot < l->slots && !rc; slot++) {
        int64_t first, end;
        range_of(l, slot, &first, &end);
        rc = l->cuts_out || l->slots == 1
                 ? weight_grad(l, l->slots == 1 ? 0 : first, l->slots == 1 ? l->out : end, 0, l->in,
                               dw, adds)
                 : weight_grad(l, 0, l->out, first, end, dw, adds);
    }
    return rc;
}

/* dx of the inputs [first, end): dy W. */
static int input_grad(const layer *l, int64_t first, int64_t end, float *dx, bool adds) {
    if (first == end)
        return 0;
    return QD_CPU(product)(l->context, l->n, end - first, l->out,
                           (qd_operand){.tensor = l->dy_taken},
                           (qd_operand){l->w, first, .stride = l->in},
                           (qd_product){dx + first, l->in, adds ? 1.0f : 0.0f});
}

/* What the outputs [first, end) contribute to the gradient of all inputs. */
static int input_grad_part(const void *context, int64_t first, int64_t end, float *part) {
    const layer *l = context;
    return QD_CPU(product)(
        l->context, l->n, l->in, end - first, (qd_operand){l->dy_taken, first, .stride = l->out},
        (qd_operand){.tensor = l->w, .first = first * l->in}, (qd_product){.data = part});
}

static int input_grads(const layer *l, float *dx, bool adds) {
    int rc = 0;
    if (l->slots == 1)
        return input_grad(l, 0, l->in, dx, adds);
    if (l->cuts_out)
        return QD_CPU(sum_slots)(l->slots, l->out, l->unit, input_grad_part, l, dx, l->n * l->in,
                                 adds, l->parts);
    for (int slot = 0; slot < l->slots && !rc; slot++) {
        int64_t first, end;
        range_of(l, slot, &first, &end);
        rc = input_grad(l, first, end, dx, adds);
    }
    return rc;
}

static int backward(qd_backend_context *context, const qd_graph *graph, const qd_node *node,
                    const qd_operands *operands) {
    layer l = layer_of(context, graph, node, operands);
    int rc = 0;
    take(&l, graph, node, operands);
    if (operands->param_grads[1])
        sum_rows(operands->param_grads[1], l.dy, l.n, l.out, operands->param_adds[1]);
    if (operands->param_grads[0])
        rc = weight_grads(&l, operands->param_grads[0], operands->param_adds[0]);
    if (!rc && operands->input_grads[0])
        rc = input_grads(&l, operands->input_grads[0], operands->input_adds[0]);
    return rc;
}

const qd_cpu_op QD_CPU(linear) = {.forward = forward, .backward = backward, .prepare = prepare};
