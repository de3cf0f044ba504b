#include <string.h>

#include "worker/cpu/kernels/kernels.h"
#include "worker/cpu/kernels/rows.h"
#include "worker/tensor_exchange.h"

typedef struct sizes {
    int64_t samples, length;
    int64_t position;
    qd_rows x;
} sizes;

static sizes sizes_of(const qd_graph *graph, const qd_node *node) {
    const int64_t *dim = qd_value_whole(&graph->values[node->inputs[0]])->dim;
    return (sizes){dim[0], dim[1], node->attributes.position_take.position,
                   qd_rows_of(graph, node)};
}

/* Of a sample's position among the rows that are held; -1: another member has it. */
static int64_t row_of(sizes s, int64_t sample) {
    int64_t row = sample * s.length + s.position - s.x.first;
    return row >= 0 && row < s.x.count ? row : -1;
}

static int forward(qd_backend_context *context, const qd_graph *graph, const qd_node *node,
                   const qd_operands *operands) {
    (void)context;
    sizes s = sizes_of(graph, node);
    const qd_tensor_exchange *x = operands->exchange;
    const float *from = operands->inputs[0];
    float *y = operands->output;
    int64_t width = s.x.width;
    for (int64_t n = 0; n < s.samples; n++) {
        int64_t row = row_of(s, n);
        if (row >= 0)
            memcpy(y + n * width, from + row * width, (size_t)width * sizeof *y);
        for (int64_t i = 0; i < width && row < 0; i++)
            y[n * width + i] = -0.0f;
    }
    return s.x.shared ? x->unite(x->context, y, s.samples * width) : 0;
}

/* The other positions get gradient 0. */
static int backward(qd_backend_context *context, const qd_graph *graph, const qd_node *node,
                    const qd_operands *operands) {
    (void)context;
    sizes s = sizes_of(graph, node);
    const float *dy = operands->output_grad;
    float *dx = operands->input_grads[0];
    bool adds = operands->input_adds[0];
    if (!dx)
        return 0;
    if (!adds)
        memset(dx, 0, (size_t)(s.x.count * s.x.width) * sizeof *dx);
    for (int64_t n = 0; n < s.samples; n++)
        if (row_of(s, n) >= 0)
            QD_CPU(hand_on)(dx + row_of(s, n) * s.x.width, dy + n * s.x.width, s.x.width, adds);
    return 0;
}

const qd_cpu_op QD_CPU(position_take) = {.forward = forward, .backward = backward};
