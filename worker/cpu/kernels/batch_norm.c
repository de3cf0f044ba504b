#include <math.h>
#include <string.h>

#include "worker/cpu/kernels/kernels.h"

/* Rows that are summed up in float before they go to a sum in double: few enough that a float
 * loses nothing that counts, many enough that the doubles cost nothing. */
enum { BLOCK_ROWS = 64 };

typedef struct rows {
    int64_t count, channels;
} rows;

static rows rows_of(const qd_graph *graph, const qd_node *node) {
    const qd_shape *x = &graph->values[node->inputs[0]].shape;
    int64_t channels = x->dim[x->dims - 1];
    return (rows){qd_shape_elements(x) / channels, channels};
}

/* Two sums a channel over all rows, in the scratch: float for a block, double for all. */
typedef struct sums {
    double *a, *b;
    float *block_a, *block_b;
} sums;

static sums sums_in(void *scratch, int64_t channels) {
    sums s = {.a = scratch, .b = (double *)scratch + channels};
    s.block_a = (float *)(s.b + channels);
    s.block_b = s.block_a + channels;
    memset(scratch, 0, (size_t)channels * 2 * (sizeof(double) + sizeof(float)));
    return s;
}

static void end_block(double *restrict sum, float *restrict block, int64_t channels) {
    for (int64_t c = 0; c < channels; c++) {
        sum[c] += (double)block[c];
        block[c] = 0;
    }
}

static void add_row(float *restrict sum, const float *restrict x, int64_t channels) {
    for (int64_t c = 0; c < channels; c++)
        sum[c] += x[c];
}

static void add_squares(float *restrict sum, const float *restrict x, const float *restrict mean,
                        int64_t channels) {
    for (int64_t c = 0; c < channels; c++)
        sum[c] += (x[c] - mean[c]) * (x[c] - mean[c]);
}

/* Sums of dy and of dy x_hat. */
static void add_gradients(float *restrict sum, float *restrict product, const float *restrict dy,
                          const float *restrict x, const float *restrict mean,
                          const float *restrict inverse, int64_t channels) {
    for (int64_t c = 0; c < channels; c++) {
        sum[c] += dy[c];
        product[c] += dy[c] * ((x[c] - mean[c]) * inverse[c]);
    }
}

/* Mean and inverse deviation of each channel, in two passes. */
static void measure(const float *x, rows r, float epsilon, float *mean, float *inverse,
                    void *scratch) {
    sums s = sums_in(scratch, r.channels);
    for (int64_t n = 0; n < r.count; n++) {
        add_row(s.block_a, x + n * r.channels, r.channels);
        if (n % BLOCK_ROWS == BLOCK_ROWS - 1 || n == r.count - 1)
            end_block(s.a, s.block_a, r.channels);
    }
    for (int64_t c = 0; c < r.channels; c++)
        mean[c] = (float)(s.a[c] / (double)r.count);
    for (int64_t n = 0; n < r.count; n++) {
        add_squares(s.block_b, x + n * r.channels, mean, r.channels);
        if (n % BLOCK_ROWS == BLOCK_ROWS - 1 || n == r.count - 1)
            end_block(s.b, s.block_b, r.channels);
    }
    for (int64_t c = 0; c < r.channels; c++)
        inverse[c] = (float)(1.0 / sqrt(s.b[c] / (double)r.count + (double)epsilon));
}

static void normalise(float *restrict y, const float *restrict x, const float *restrict mean,
                      const float *restrict inverse, const float *restrict gain,
                      const float *restrict bias, rows r) {
    for (int64_t n = 0; n < r.count; n++, x += r.channels, y += r.channels)
        for (int64_t c = 0; c < r.channels; c++)
            y[c] = (x[c] - mean[c]) * inverse[c] * gain[c] + bias[c];
}

static int forward(qd_backend_context *context, const qd_graph *graph, const qd_node *node,
                   const qd_operands *operands) {
    (void)context;
    rows r = rows_of(graph, node);
    float epsilon = node->attributes.norm.epsilon;
    const float *running_mean = operands->params[2], *running_variance = operands->params[3];
    float *mean = operands->saved, *inverse = mean + r.channels;
    if (operands->run->training) {
        measure(operands->inputs[0], r, epsilon, mean, inverse, operands->scratch);
    } else {
        memcpy(mean, running_mean, (size_t)r.channels * sizeof *mean);
        for (int64_t c = 0; c < r.channels; c++)
            inverse[c] = 1.0f / sqrtf(running_variance[c] + epsilon);
    }
    normalise(operands->output, operands->inputs[0], mean, inverse, operands->params[0],
              operands->params[1], r);
    return 0;
}

/* dx = gain inverse (dy - mean(dy) - x_hat mean(dy x_hat)); adds: to what stands there. */
static void input_grads(float *restrict dx, const float *restrict dy, const float *restrict x,
                        const float *restrict mean, const float *restrict inverse,
                        const float *restrict gain, const float *restrict mean_dy,
                        const float *restrict mean_product, rows r, bool adds) {
    for (int64_t n = 0; n < r.count; n++, x += r.channels, dy += r.channels, dx += r.channels) {
        if (!adds)
            memset(dx, 0, (size_t)r.channels * sizeof *dx);
        for (int64_t c = 0; c < r.channels; c++) {
            float x_hat = (x[c] - mean[c]) * inverse[c];
            dx[c] += gain[c] * inverse[c] * (dy[c] - mean_dy[c] - x_hat * mean_product[c]);
        }
    }
}

static void put(float *grad, float value, bool adds) {
    *grad = adds ? *grad + value : value;
}

/* What this slot adds to the measurements of the step: its share of the mean over slots. */
static void put_measured(const qd_operands *operands, rows r, float epsilon) {
    const float *mean = operands->saved, *inverse = mean + r.channels;
    float *to_mean = operands->param_grads[2], *to_variance = operands->param_grads[3];
    double unbiased = (double)r.count / (double)(r.count - 1), share = (double)operands->run->share;
    for (int64_t c = 0; c < r.channels; c++) {
        double deviation = 1.0 / (double)inverse[c];
        double variance = fmax(deviation * deviation - (double)epsilon, 0) * unbiased;
        put(&to_mean[c], (float)((double)mean[c] * share), operands->param_adds[2]);
        put(&to_variance[c], (float)(variance * share), operands->param_adds[3]);
    }
}

static int backward(qd_backend_context *context, const qd_graph *graph, const qd_node *node,
                    const qd_operands *operands) {
    (void)context;
    rows r = rows_of(graph, node);
    const float *x = operands->inputs[0], *dy = operands->output_grad;
    const float *mean = operands->saved, *inverse = mean + r.channels;
    float *dgain = operands->param_grads[0], *dbias = operands->param_grads[1];
    sums s = sums_in(operands->scratch, r.channels);
    for (int64_t n = 0; n < r.count; n++) {
        add_gradients(s.block_a, s.block_b, dy + n * r.channels, x + n * r.channels, mean, inverse,
                      r.channels);
        if (n % BLOCK_ROWS == BLOCK_ROWS - 1 || n == r.count - 1) {
            end_block(s.a, s.block_a, r.channels);
            end_block(s.b, s.block_b, r.channels);
        }
    }
    for (int64_t c = 0; c < r.channels; c++) {
        put(&dbias[c], (float)s.a[c], operands->param_adds[1]);
        put(&dgain[c], (float)s.b[c], operands->param_adds[0]);
        s.block_a[c] = (float)(s.a[c] / (double)r.count);
        s.block_b[c] = (float)(s.b[c] / (double)r.count);
    }
    put_measured(operands, r, node->attributes.norm.epsilon);
    if (operands->input_grads[0])
        input_grads(operands->input_grads[0], dy, x, mean, inverse, operands->params[0], s.block_a,
                    s.block_b, r, operands->input_adds[0]);
    return 0;
}

const qd_cpu_op QD_CPU(batch_norm) = {.forward = forward, .backward = backward};
