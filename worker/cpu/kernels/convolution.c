#include <stdlib.h>
#include <string.h>

#include "runtime/align.h"
#include "runtime/error.h"
#include "worker/cpu/kernels/product.h"
#include "worker/cpu/onednn_convolution.h"

/*
 * What is made for a node. A 1 x 1 kernel with a stride reads some pixels only: they are gathered
 * first, and the library sees a stride of 1. (Its own way of doing that writes beyond its workspace
 * for images with few channels: github.com/uxlfoundation/oneDNN/issues/6035.)
 *
 * Scratch: what the operator asks for, for gradients that are to be added; gathered pixels; the
 * result's gradient where it was rectified; what
 * products take of image, weights and result; the library's.
 */
typedef struct prepared {
    qd_convolution *library;
    bool gathers;
    qd_shape seen;                                        /* the image as the library sees it */
    int64_t gathered_at, masked_at, taken_at, library_at; /* floats into the scratch */
} prepared;

static bool gathers(const qd_shape *weight, const qd_convolution_attributes *how) {
    return weight->dim[2] == 1 && weight->dim[3] == 1 && how->padding[0] == 0 &&
           how->padding[1] == 0 && (how->stride[0] > 1 || how->stride[1] > 1);
}

static int prepare(qd_backend_context *context, const qd_graph *graph, qd_node *node, void **made) {
    const qd_shape *image = &graph->values[node->inputs[0]].shape;
    const qd_shape *weight = &graph->params[node->params[0]].shape;
    const qd_shape *result = &graph->values[node->output].shape;
    qd_convolution_attributes how = node->attributes.convolution;
    prepared *p = calloc(1, sizeof *p);
    if (!p)
        return qd_error_set(QD_ENOMEM, "no memory for a convolution");
    p->seen = *image;
    p->gathers = gathers(weight, &how);
    p->gathered_at = p->taken_at = qd_align_floats(node->scratch);
    if (p->gathers) {
        p->seen.dim[1] = result->dim[1];
        p->seen.dim[2] = result->dim[2];
        how.stride[0] = how.stride[1] = 1;
        p->taken_at += qd_align_floats(qd_shape_elements(&p->seen));
    }
    /* What is left of the result's gradient where it was rectified. */
    p->masked_at = p->taken_at;
    if (how.rectifies)
        p->taken_at += qd_align_floats(qd_shape_elements(result));
    p->library_at = p->taken_at +
                    QD_CPU(take_scratch)(context, graph, qd_shape_elements(&p->seen)) +
                    QD_CPU(take_scratch)(context, graph, qd_shape_elements(result)) +
                    QD_CPU(take_param_scratch)(context, graph, qd_shape_elements(weight));
    int rc =
        qd_convolution_create(context->threads, &p->seen, weight, result, node->param_count == 2,
                              QD_CPU(takes_narrow)(context, graph), how, &p->library);
    if (rc) {
        free(p);
        return rc;
    }
    node->scratch =
        p->library_at + (int64_t)(qd_convolution_scratch_bytes(p->library) / sizeof(float));
    *made = p;
    return 0;
}

static void release(void *made) {
    prepared *p = made;
    qd_convolution_destroy(p->library);
    free(p);
}

/* ---- gathering ---- */

/* Calls for each pixel that is read: where it lies in the image, and among those gathered. */
typedef void visit_pixel(float *image, float *gathered, int64_t channels);

static void visit(const prepared *p, const qd_shape *image, const int64_t stride[2],
                  visit_pixel *visitor, float *x, float *gathered) {
    int64_t rows = p->seen.dim[1], columns = p->seen.dim[2], channels = p->seen.dim[3];
    for (int64_t n = 0; n < p->seen.dim[0]; n++)
        for (int64_t i = 0; i < rows; i++)
            for (int64_t j = 0; j < columns; j++, gathered += channels) {
                int64_t pixel = (n * image->dim[1] + i * stride[0]) * image->dim[2] + j * stride[1];
                visitor(x + pixel * channels, gathered, channels);
            }
}

static void take_pixel(float *image, float *gathered, int64_t channels) {
    memcpy(gathered, image, (size_t)channels * sizeof *gathered);
}

static void add_pixel(float *image, float *gathered, int64_t channels) {
    QD_CPU(add_floats)(image, gathered, channels);
}

static float *scratch_at(const qd_operands *operands, int64_t floats) {
    return (float *)operands->scratch + floats;
}

/* The operands of a call as products take them. */
typedef struct operands_taken {
    qd_tensor x, w, dy;
} operands_taken;

/* The image as the library is to see it. */
static const float *seen_image(const prepared *p, const qd_graph *graph, const qd_node *node,
                               const qd_operands *operands) {
    float *gathered = scratch_at(operands, p->gathered_at);
    if (!p->gathers)
        return operands->inputs[0];
    visit(p, &graph->values[node->inputs[0]].shape, node->attributes.convolution.stride, take_pixel,
          operands->inputs[0], gathered);
    return gathered;
}

static void mask(float *restrict to, const float *restrict dy, const float *restrict y,
                 int64_t count) {
    for (int64_t i = 0; i < count; i++)
        to[i] = y[i] <= 0.0f ? 0.0f : dy[i];
}

/* The gradient of what the library computes. */
static const float *result_grad(const prepared *p, const qd_node *node, int64_t count,
                                const qd_operands *operands) {
    float *masked = scratch_at(operands, p->masked_at);
    if (!node->attributes.convolution.rectifies)
        return operands->output_grad;
    mask(masked, operands->output_grad, operands->output, count);
    return masked;
}

static operands_taken take(const qd_backend_context *context, const prepared *p,
                           const qd_graph *graph, const qd_node *node, const qd_operands *operands,
                           bool backward) {
    const qd_shape *weight = &graph->params[node->params[0]].shape;
    const qd_shape *result = &graph->values[node->output].shape;
    float *scratch = scratch_at(operands, p->taken_at);
    operands_taken t = {0};
    t.x = QD_CPU(take)(context, graph, seen_image(p, graph, node, operands),
                       qd_shape_elements(&p->seen), &scratch);
    t.w = QD_CPU(take_param)(context, graph, operands->params[0], operands->narrow_params[0],
                             qd_shape_elements(weight), &scratch);
    if (backward)
        t.dy =
            QD_CPU(take)(context, graph, result_grad(p, node, qd_shape_elements(result), operands),
                         qd_shape_elements(result), &scratch);
    return t;
}

static const void *data_of(qd_tensor tensor) {
    return tensor.wide ? (const void *)tensor.wide : tensor.narrow;
}

/* ---- forward and backward ---- */

static int forward(qd_backend_context *context, const qd_graph *graph, const qd_node *node,
                   const qd_operands *operands) {
    const prepared *p = qd_cpu_prepared(context, node);
    operands_taken t = take(context, p, graph, node, operands, false);
    return qd_convolution_forward(p->library, data_of(t.x), data_of(t.w), operands->params[1],
                                  operands->output, scratch_at(operands, p->library_at));
}

static int backward_params(const prepared *p, const qd_graph *graph, const qd_node *node,
                           const qd_operands *operands, const operands_taken *t) {
    int64_t weights = qd_shape_elements(&graph->params[node->params[0]].shape);
    int64_t biases = graph->params[node->params[0]].shape.dim[0];
    float *dw = operands->param_grads[0], *db = operands->param_grads[1], *own = operands->scratch;
    float *new_dw = operands->param_adds[0] ? own : dw;
    float *new_db = operands->param_adds[1] ? own + qd_align_floats(weights) : db;
    int rc = qd_convolution_backward_weights(p->library, data_of(t->x), data_of(t->dy), new_dw,
                                             new_db, scratch_at(operands, p->library_at));
    if (!rc && new_dw != dw)
        QD_CPU(add_floats)(dw, new_dw, weights);
    if (!rc && new_db != db)
        QD_CPU(add_floats)(db, new_db, biases);
    return rc;
}

/* Into the pixels that were read; the others get nothing. */
static int backward_gathered(const prepared *p, const qd_graph *graph, const qd_node *node,
                             const qd_operands *operands, const operands_taken *t) {
    const qd_shape *image = &graph->values[node->inputs[0]].shape;
    float *dx = operands->input_grads[0], *gathered = scratch_at(operands, p->gathered_at);
    int rc = qd_convolution_backward_data(p->library, data_of(t->dy), data_of(t->w), gathered,
                                          scratch_at(operands, p->library_at));
    if (rc)
        return rc;
    if (!operands->input_adds[0])
        memset(dx, 0, (size_t)qd_shape_elements(image) * sizeof *dx);
    visit(p, image, node->attributes.convolution.stride, add_pixel, dx, gathered);
    return 0;
}

static int backward_input(const prepared *p, const qd_graph *graph, const qd_node *node,
                          const qd_operands *operands, const operands_taken *t) {
    float *dx = operands->input_grads[0];
    float *new_dx = operands->input_adds[0] ? operands->scratch : dx;
    int rc = qd_convolution_backward_data(p->library, data_of(t->dy), data_of(t->w), new_dx,
                                          scratch_at(operands, p->library_at));
    if (!rc && new_dx != dx)
        QD_CPU(add_floats)(dx, new_dx, qd_shape_elements(&graph->values[node->inputs[0]].shape));
    return rc;
}

static int backward(qd_backend_context *context, const qd_graph *graph, const qd_node *node,
                    const qd_operands *operands) {
    const prepared *p = qd_cpu_prepared(context, node);
    operands_taken t = take(context, p, graph, node, operands, true);
    int rc = operands->param_grads[0] ? backward_params(p, graph, node, operands, &t) : 0;
    if (rc || !operands->input_grads[0])
        return rc;
    return (p->gathers ? backward_gathered : backward_input)(p, graph, node, operands, &t);
}

const qd_cpu_op QD_CPU(convolution) = {
    .forward = forward, .backward = backward, .prepare = prepare, .release = release};
