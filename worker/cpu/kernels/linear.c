#include <string.h>

#include "runtime/align.h"
#include "worker/cpu/kernels/product.h"
#include "worker/cpu/kernels/tensor_slots.h"

/* A linear layer at work. Leading dimensions are rows like any other. */
typedef struct layer {
    qd_backend_context *context;
    int64_t n, in, out; /* rows on any grid; in and out: what is held */
    qd_slots slots;     /* of tensor parallelism */
    qd_slots bias;      /* that deal out the rows of y, where the slots share the inputs */
    qd_rows x_rows, y_rows;
    const qd_tensor_exchange *exchange;
    bool cuts_out; /* the slots share the outputs; else the inputs */
    const float *b, *dy;
    qd_tensor x, w, dy_taken; /* as products take them */
    float *parts;             /* scratch for the partial results of slots */
    /* Scratch for what a slot has of rows of n, of rows of out, and of a result, packed. */
    float *rows, *columns, *result;
    float *panels; /* scratch of products over rows */
} layer;

static layer layer_of(qd_backend_context *context, const qd_graph *graph, const qd_node *node,
                      const qd_operands *operands) {
    const qd_param *weight = &graph->params[node->params[0]];
    int64_t elements = qd_shape_elements(qd_value_whole(&graph->values[node->inputs[0]]));
    layer l = {
        .context = context,
        .n = elements / weight->shape.dim[1],
        .in = weight->shape.dim[1],
        .out = weight->shape.dim[0],
        .x_rows = qd_rows_of(graph, node),
        .y_rows = qd_rows_of_value(graph, node->output),
        .exchange = operands->exchange,
        .cuts_out = node->attributes.linear.cut == QD_CUT_OUT,
        .b = operands->params[1],
        .dy = operands->output_grad,
        .parts = operands->scratch,
    };
    l.slots = QD_CPU(slots_of)(graph, node, weight->whole.dim[l.cuts_out ? 0 : 1],
                               node->attributes.linear.unit, operands->exchange);
    l.bias = QD_CPU(slots_of_rows)(graph, node->output, operands->exchange);
    return l;
}

/* Scratch of what products take of x, or of dy. */
static int64_t taken_room(qd_backend_context *context, const qd_graph *graph, qd_rows rows) {
    return rows.shared ? QD_CPU(gather_scratch)(context, graph, rows)
                       : QD_CPU(take_scratch)(context, graph, rows.count * rows.width);
}

static int64_t rows_room(const layer *l) {
    return l->slots.count > 1 ? qd_align_floats(l->n * qd_slots_widest(&l->slots)) : 0;
}

static int64_t columns_room(const layer *l) {
    bool cuts_in = l->slots.count > 1 && !l->cuts_out;
    return cuts_in ? qd_align_floats(l->out * qd_slots_widest(&l->slots)) : 0;
}

static int64_t result_room(const layer *l) {
    int64_t rows = rows_room(l), columns = columns_room(l);
    return rows > columns ? rows : columns;
}

/* Of the gradient of the weights of each slot. */
static int64_t panels_room(const layer *l) {
    int64_t most = 0;
    if (l->slots.count == 1)
        return QD_CPU(product_over_rows_scratch)(l->out, l->in, l->n);
    for (int slot = 0; slot < l->slots.count; slot++) {
        int64_t first, end;
        qd_slots_range(&l->slots, slot, &first, &end);
        int64_t out = l->cuts_out ? end - first : l->out, in = l->cuts_out ? l->in : end - first;
        int64_t room = QD_CPU(product_over_rows_scratch)(out, in, l->n);
        most = room > most ? room : most;
    }
    return most;
}

/* Scratch: the partial results of slots (which the operator asks for), then what products take of
 * x, w and dy, what a slot has of them, and panels. */
static int prepare(qd_backend_context *context, const qd_graph *graph, qd_node *node, void **made) {
    layer l = layer_of(context, graph, node, &(qd_operands){0});
    node->scratch = qd_align_floats(node->scratch) + taken_room(context, graph, l.x_rows) +
                    taken_room(context, graph, l.y_rows) +
                    QD_CPU(take_param_scratch)(context, graph, l.in * l.out) + rows_room(&l) +
                    columns_room(&l) + result_room(&l) + panels_room(&l);
    *made = NULL;
    return 0;
}

/* x or dy, of which members may have their rows. */
static int take_rows(const layer *l, const qd_graph *graph, const float *x, qd_rows rows,
                     float **scratch, qd_tensor *taken) {
    int rc = 0;
    if (rows.shared) {
        rc = QD_CPU(gather)(l->context, graph, x, rows, l->exchange, *scratch, taken);
        *scratch += QD_CPU(gather_scratch)(l->context, graph, rows);
    } else {
        *taken = QD_CPU(take)(l->context, graph, x, rows.count * rows.width, scratch);
    }
    return rc;
}

/* Brings x (where it is wanted) and w, and in backward dy, into the form that products take. */
static int take(layer *l, const qd_graph *graph, const qd_node *node, const qd_operands *operands,
                bool x_wanted) {
    int64_t parts = node->op->scratch(graph, node);
    float *scratch = l->parts ? l->parts + qd_align_floats(parts) : NULL;
    int rc = 0;
    l->w = QD_CPU(take_param)(l->context, graph, operands->params[0], operands->narrow_params[0],
                              l->in * l->out, &scratch);
    if (x_wanted)
        rc = take_rows(l, graph, operands->inputs[0], l->x_rows, &scratch, &l->x);
    if (!rc && l->dy)
        rc = take_rows(l, graph, l->dy, l->y_rows, &scratch, &l->dy_taken);
    l->rows = scratch;
    l->columns = l->rows + rows_room(l);
    l->result = l->columns + columns_room(l);
    l->panels = l->result + result_room(l);
    return rc;
}

static void add_bias(float *restrict y, const float *restrict b, int64_t n, int64_t out) {
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < out; j++)
            y[i * out + j] += b[j];
}

/* ---- forward ---- */

/* Every row starts as the bias, and the product is added to it, which takes one pass less than the
 * other way round. Outputs [first, end), as rows of y of end - first. */
static int forward_outputs(const layer *l, int64_t first, int64_t end, float *y) {
    int64_t width = end - first;
    for (int64_t i = 0; i < l->n && l->b; i++)
        memcpy(y + i * width, l->b + first, (size_t)width * sizeof *y);
    return QD_CPU(product)(l->context, l->n, width, l->in, (qd_operand){.tensor = l->x},
                           (qd_operand){l->w, first * l->in, .transposed = true},
                           (qd_product){y, width, l->b ? 1.0f : 0.0f});
}

/* What the inputs [first, end) contribute to all outputs, without the bias. */
static int forward_part(const void *context, int64_t first, int64_t end, float *part) {
    const layer *l = context;
    int64_t width = end - first;
    qd_tensor x = QD_CPU(pack)(l->x, l->n, l->in, first, width, l->rows);
    qd_tensor w = QD_CPU(pack)(l->w, l->out, l->in, first, width, l->columns);
    return QD_CPU(product)(l->context, l->n, l->out, width, (qd_operand){.tensor = x},
                           (qd_operand){.tensor = w, .transposed = true},
                           (qd_product){.data = part});
}

static int forward_slots(const layer *l, float *y) {
    int rc = 0;
    for (int slot = l->slots.first; slot < l->slots.end && !rc; slot++) {
        int64_t first, end;
        qd_slots_range(&l->slots, slot, &first, &end);
        if (first == end)
            continue;
        rc = forward_outputs(l, first, end, l->result);
        QD_CPU(unpack_floats)(y, l->result, l->n, l->out, first, end - first, false);
    }
    return rc;
}

static int forward(qd_backend_context *context, const qd_graph *graph, const qd_node *node,
                   const qd_operands *operands) {
    layer l = layer_of(context, graph, node, operands);
    float *y = operands->output;
    l.dy = NULL;
    int rc = take(&l, graph, node, operands, true);
    if (rc)
        return rc;
    if (l.slots.count == 1)
        return forward_outputs(&l, 0, l.out, y);
    if (l.cuts_out)
        return forward_slots(&l, y);
    l.slots.rows = l.y_rows.shared ? &l.y_rows : NULL;
    rc = QD_CPU(sum_slots)(&l.slots, forward_part, &l, y, l.n * l.out, false, l.parts);
    if (!rc && l.b)
        add_bias(y, l.b, l.y_rows.count, l.out);
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

/* The rows [first, end) of dy that a slot has. */
static int sum_slot_rows(const void *context, int64_t first, int64_t end, float *part) {
    const layer *l = context;
    sum_rows(part, l->dy + first * l->out, end - first, l->out, false);
    return 0;
}

static int bias_grad(const layer *l, float *db, bool adds) {
    if (l->bias.count > 1)
        return QD_CPU(sum_slots)(&l->bias, sum_slot_rows, l, db, l->out, adds, l->parts);
    sum_rows(db, l->dy, l->n, l->out, adds);
    return 0;
}

/* dW = dy^T x of a layer that is not cut, or of the outputs [first, end), whose rows lie together.
 */
static int weight_grad_of_outputs(const layer *l, int64_t first, int64_t end, float *dw,
                                  bool adds) {
    int64_t width = end - first;
    qd_tensor dy = l->dy_taken;
    if (l->slots.count > 1)
        dy = QD_CPU(pack)(dy, l->n, l->out, first, width, l->rows);
    return QD_CPU(product_over_rows)(
        l->context, width, l->in, l->n, (qd_operand){.tensor = dy}, (qd_operand){.tensor = l->x},
        (qd_product){dw + first * l->in, l->in, adds ? 1.0f : 0.0f}, l->panels);
}

/* The same of the inputs [first, end), by way of a packed result. */
static int weight_grad_of_inputs(const layer *l, int64_t first, int64_t end, float *dw, bool adds) {
    int64_t width = end - first;
    qd_tensor x = QD_CPU(pack)(l->x, l->n, l->in, first, width, l->rows);
    if (adds)
        QD_CPU(pack_floats)(l->result, dw, l->out, l->in, first, width);
    int rc = QD_CPU(product_over_rows)(
        l->context, l->out, width, l->n, (qd_operand){.tensor = l->dy_taken},
        (qd_operand){.tensor = x}, (qd_product){.data = l->result, .beta = adds ? 1.0f : 0.0f},
        l->panels);
    QD_CPU(unpack_floats)(dw, l->result, l->out, l->in, first, width, false);
    return rc;
}

static int weight_grads(const layer *l, float *dw, bool adds) {
    int rc = 0;
    if (l->slots.count == 1)
        return weight_grad_of_outputs(l, 0, l->out, dw, adds);
    for (int slot = l->slots.first; slot < l->slots.end && !rc; slot++) {
        int64_t first, end;
        qd_slots_range(&l->slots, slot, &first, &end);
        if (first < end)
            rc = l->cuts_out ? weight_grad_of_outputs(l, first, end, dw, adds)
                             : weight_grad_of_inputs(l, first, end, dw, adds);
    }
    return rc;
}

/* dx = dy W of a layer that is not cut. */
static int input_grad(const layer *l, float *dx, bool adds) {
    return QD_CPU(product)(l->context, l->n, l->in, l->out, (qd_operand){.tensor = l->dy_taken},
                           (qd_operand){.tensor = l->w},
                           (qd_product){dx, l->in, adds ? 1.0f : 0.0f});
}

/* The same of the inputs [first, end), by way of a packed result. */
static int input_grad_of_inputs(const layer *l, int64_t first, int64_t end, float *dx, bool adds) {
    int64_t width = end - first;
    qd_tensor w = QD_CPU(pack)(l->w, l->out, l->in, first, width, l->columns);
    if (adds)
        QD_CPU(pack_floats)(l->result, dx, l->n, l->in, first, width);
    int rc = QD_CPU(product)(l->context, l->n, width, l->out, (qd_operand){.tensor = l->dy_taken},
                             (qd_operand){.tensor = w},
                             (qd_product){.data = l->result, .beta = adds ? 1.0f : 0.0f});
    QD_CPU(unpack_floats)(dx, l->result, l->n, l->in, first, width, false);
    return rc;
}

/* What the outputs [first, end) contribute to the gradient of all inputs. */
static int input_grad_part(const void *context, int64_t first, int64_t end, float *part) {
    const layer *l = context;
    int64_t width = end - first;
    qd_tensor dy = QD_CPU(pack)(l->dy_taken, l->n, l->out, first, width, l->rows);
    return QD_CPU(product)(l->context, l->n, l->in, width, (qd_operand){.tensor = dy},
                           (qd_operand){.tensor = l->w, .first = first * l->in},
                           (qd_product){.data = part});
}

static int input_grads(const layer *l, float *dx, bool adds) {
    int rc = 0;
    qd_slots slots = l->slots;
    slots.rows = l->x_rows.shared ? &l->x_rows : NULL;
    if (l->slots.count == 1)
        return input_grad(l, dx, adds);
    if (l->cuts_out)
        return QD_CPU(sum_slots)(&slots, input_grad_part, l, dx, l->n * l->in, adds, l->parts);
    for (int slot = l->slots.first; slot < l->slots.end && !rc; slot++) {
        int64_t first, end;
        qd_slots_range(&l->slots, slot, &first, &end);
        if (first < end)
            rc = input_grad_of_inputs(l, first, end, dx, adds);
    }
    return rc;
}

static int backward(qd_backend_context *context, const qd_graph *graph, const qd_node *node,
                    const qd_operands *operands) {
    layer l = layer_of(context, graph, node, operands);
    int rc = take(&l, graph, node, operands, operands->param_grads[0] != NULL);
    if (!rc && operands->param_grads[1])
        rc = bias_grad(&l, operands->param_grads[1], operands->param_adds[1]);
    if (!rc && operands->param_grads[0])
        rc = weight_grads(&l, operands->param_grads[0], operands->param_adds[0]);
    if (!rc && operands->input_grads[0])
        rc = input_grads(&l, operands->input_grads[0], operands->input_adds[0]);
    return rc;
}

const qd_cpu_op QD_CPU(linear) = {.forward = forward, .backward = backward, .prepare = prepare};
