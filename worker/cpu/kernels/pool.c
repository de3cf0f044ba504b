#include <string.h>

#include "worker/cpu/kernels/kernels.h"

/* One window: the rows and columns of the image in it, and the pixel that it makes. */
typedef struct window {
    int64_t top, bottom, left, right; /* bottom and right not included */
} window;

typedef struct sizes {
    int64_t samples, height, width, channels; /* of the input */
    int64_t rows, columns;                    /* of the output */
    const qd_pool_attributes *how;
} sizes;

static sizes sizes_of(const qd_graph *graph, const qd_node *node) {
    const qd_shape *x = &graph->values[node->inputs[0]].shape;
    const qd_shape *y = &graph->values[node->output].shape;
    return (sizes){
        x->dim[0], x->dim[1], x->dim[2], x->dim[3], y->dim[1], y->dim[2], &node->attributes.pool};
}

static int64_t clamp(int64_t value, int64_t end) {
    return value < 0 ? 0 : value > end ? end : value;
}

static window window_at(const sizes *s, int64_t row, int64_t column) {
    int64_t top = row * s->how->stride[0] - s->how->padding[0];
    int64_t left = column * s->how->stride[1] - s->how->padding[1];
    return (window){clamp(top, s->height), clamp(top + s->how->window[0], s->height),
                    clamp(left, s->width), clamp(left + s->how->window[1], s->width)};
}

/* y and places of the first pixel of a window; then, pixel for pixel, what is greater. A NaN is
 * taken over, and stays. */
static void take_first(float *restrict y, int32_t *restrict places, const float *restrict x,
                       int32_t place, int64_t channels) {
    for (int64_t c = 0; c < channels; c++) {
        y[c] = x[c];
        places[c] = place;
    }
}

static void take_greater(float *restrict y, int32_t *restrict places, const float *restrict x,
                         int32_t place, int64_t channels) {
    for (int64_t c = 0; c < channels; c++) {
        int greater = !(x[c] <= y[c]) & (y[c] == y[c]);
        y[c] = greater ? x[c] : y[c];
        places[c] = greater ? place : places[c];
    }
}

/* Places are pixels of the sample's image. */
static void max_window(const sizes *s, window w, const float *x, float *y, int32_t *places) {
    for (int64_t i = w.top; i < w.bottom; i++)
        for (int64_t j = w.left; j < w.right; j++) {
            int64_t pixel = i * s->width + j;
            bool first = i == w.top && j == w.left;
            (first ? take_first : take_greater)(y, places, x + pixel * s->channels, (int32_t)pixel,
                                                s->channels);
        }
}

/* The sum of the pixels of a window, times share. */
static void mean_window(const sizes *s, window w, const float *x, float *y) {
    float share = 1.0f / (float)((w.bottom - w.top) * (w.right - w.left));
    memset(y, 0, (size_t)s->channels * sizeof *y);
    for (int64_t i = w.top; i < w.bottom; i++)
        for (int64_t j = w.left; j < w.right; j++)
            QD_CPU(add_floats)(y, x + (i * s->width + j) * s->channels, s->channels);
    for (int64_t c = 0; c < s->channels; c++)
        y[c] *= share;
}

static int max_forward(qd_backend_context *context, const qd_graph *graph, const qd_node *node,
                       const qd_operands *operands) {
    (void)context;
    sizes s = sizes_of(graph, node);
    const float *x = operands->inputs[0];
    float *y = operands->output;
    int32_t *places = operands->saved;
    for (int64_t n = 0; n < s.samples; n++, x += s.height * s.width * s.channels)
        for (int64_t i = 0; i < s.rows; i++)
            for (int64_t j = 0; j < s.columns; j++, y += s.channels, places += s.channels)
                max_window(&s, window_at(&s, i, j), x, y, places);
    return 0;
}

static void clear_unless_added(const sizes *s, const qd_operands *operands) {
    size_t count = (size_t)(s->samples * s->height * s->width * s->channels);
    if (!operands->input_adds[0])
        memset(operands->input_grads[0], 0, count * sizeof(float));
}

/* Where windows neither overlap nor reach beyond the image, every pixel in one gets its gradient,
 * or zero, at once. */
static bool are_disjoint(const sizes *s) {
    const qd_pool_attributes *how = s->how;
    return how->padding[0] == 0 && how->padding[1] == 0 && how->stride[0] >= how->window[0] &&
           how->stride[1] >= how->window[1];
}

static void put_pixel(float *restrict dx, const float *restrict dy, const int32_t *restrict places,
                      int32_t place, int64_t channels, bool adds) {
    if (adds)
        for (int64_t c = 0; c < channels; c++)
            dx[c] += places[c] == place ? dy[c] : 0.0f;
    else
        for (int64_t c = 0; c < channels; c++)
            dx[c] = places[c] == place ? dy[c] : 0.0f;
}

static void put_window(const sizes *s, window w, float *dx, const float *dy, const int32_t *places,
                       bool adds) {
    for (int64_t i = w.top; i < w.bottom; i++)
        for (int64_t j = w.left; j < w.right; j++) {
            int64_t pixel = i * s->width + j;
            put_pixel(dx + pixel * s->channels, dy, places, (int32_t)pixel, s->channels, adds);
        }
}

/* Whether the windows leave no pixel out, so that nothing need be cleared before. */
static bool cover_all(const sizes *s) {
    const qd_pool_attributes *how = s->how;
    return how->stride[0] == how->window[0] && how->stride[1] == how->window[1] &&
           s->rows * how->stride[0] == s->height && s->columns * how->stride[1] == s->width;
}

static void put_all(const sizes *s, const qd_operands *operands, bool adds) {
    const float *dy = operands->output_grad;
    const int32_t *places = operands->saved;
    float *dx = operands->input_grads[0];
    for (int64_t n = 0; n < s->samples; n++, dx += s->height * s->width * s->channels)
        for (int64_t i = 0; i < s->rows; i++)
            for (int64_t j = 0; j < s->columns; j++, dy += s->channels, places += s->channels)
                put_window(s, window_at(s, i, j), dx, dy, places, adds);
}

static int max_backward(qd_backend_context *context, const qd_graph *graph, const qd_node *node,
                        const qd_operands *operands) {
    (void)context;
    sizes s = sizes_of(graph, node);
    const float *dy = operands->output_grad;
    const int32_t *places = operands->saved;
    float *dx = operands->input_grads[0];
    if (!dx)
        return 0;
    if (!are_disjoint(&s) || !cover_all(&s))
        clear_unless_added(&s, operands);
    if (are_disjoint(&s)) {
        put_all(&s, operands, operands->input_adds[0]);
        return 0;
    }
    for (int64_t n = 0; n < s.samples; n++, dx += s.height * s.width * s.channels)
        for (int64_t p = 0; p < s.rows * s.columns; p++, dy += s.channels, places += s.channels)
            for (int64_t c = 0; c < s.channels; c++)
                dx[places[c] * s.channels + c] += dy[c];
    return 0;
}

static int mean_forward(qd_backend_context *context, const qd_graph *graph, const qd_node *node,
                        const qd_operands *operands) {
    (void)context;
    sizes s = sizes_of(graph, node);
    const float *x = operands->inputs[0];
    float *y = operands->output;
    for (int64_t n = 0; n < s.samples; n++, x += s.height * s.width * s.channels)
        for (int64_t i = 0; i < s.rows; i++)
            for (int64_t j = 0; j < s.columns; j++, y += s.channels)
                mean_window(&s, window_at(&s, i, j), x, y);
    return 0;
}

static void add_share(float *restrict dx, const float *restrict dy, float share, int64_t channels) {
    for (int64_t c = 0; c < channels; c++)
        dx[c] += dy[c] * share;
}

static int mean_backward(qd_backend_context *context, const qd_graph *graph, const qd_node *node,
                         const qd_operands *operands) {
    (void)context;
    sizes s = sizes_of(graph, node);
    const float *dy = operands->output_grad;
    float *dx = operands->input_grads[0];
    if (!dx)
        return 0;
    clear_unless_added(&s, operands);
    for (int64_t n = 0; n < s.samples; n++, dx += s.height * s.width * s.channels)
        for (int64_t p = 0; p < s.rows * s.columns; p++, dy += s.channels) {
            window w = window_at(&s, p / s.columns, p % s.columns);
            float share = 1.0f / (float)((w.bottom - w.top) * (w.right - w.left));
            for (int64_t i = w.top; i < w.bottom; i++)
                for (int64_t j = w.left; j < w.right; j++)
                    add_share(dx + (i * s.width + j) * s.channels, dy, share, s.channels);
        }
    return 0;
}

const qd_cpu_op QD_CPU(max_pool) = {.forward = max_forward, .backward = max_backward};
const qd_cpu_op QD_CPU(mean_pool) = {.forward = mean_forward, .backward = mean_backward};
