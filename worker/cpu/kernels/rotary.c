#include <math.h>
#include <stdlib.h>

#include "runtime/error.h"
#include "worker/cpu/kernels/kernels.h"

/* The angles of a node, made once: of each position, width / 2 cosines and as many sines. */
typedef struct angles {
    float *cosines, *sines; /* [length, half] */
} angles;

typedef struct sizes {
    int64_t samples, length;
    int64_t groups, turned; /* heads of a group that are turned: its queries and its key */
    int64_t half;           /* of a head's width */
} sizes;

static sizes sizes_of(const qd_graph *graph, const qd_node *node) {
    const qd_shape *x = &graph->values[node->inputs[0]].shape;
    int64_t heads = node->attributes.rotary.heads, groups = node->attributes.rotary.kv_heads;
    return (sizes){.samples = x->dim[0],
                   .length = x->dim[1],
                   .groups = groups,
                   .turned = heads / groups + 1,
                   .half = x->dim[2] / (heads + 2 * groups) / 2};
}

static void release(void *made) {
    angles *a = made;
    if (!a)
        return;
    free(a->cosines);
    free(a);
}

/* In double, since a float holds the angle of a far position to few digits. */
static int prepare(qd_backend_context *context, const qd_graph *graph, qd_node *node, void **made) {
    (void)context;
    sizes s = sizes_of(graph, node);
    int64_t count = s.length * s.half;
    angles *a = calloc(1, sizeof *a);
    if (a)
        a->cosines = calloc(2 * (size_t)count, sizeof *a->cosines);
    if (!a || !a->cosines) {
        release(a);
        return qd_error_set(QD_ENOMEM, "no memory for the angles of %lld positions",
                            (long long)s.length);
    }
    a->sines = a->cosines + count;
    for (int64_t i = 0; i < s.half; i++) {
        double speed = pow((double)node->attributes.rotary.theta, -(double)i / (double)s.half);
        for (int64_t t = 0; t < s.length; t++) {
            a->cosines[t * s.half + i] = (float)cos((double)t * speed);
            a->sines[t * s.half + i] = (float)sin((double)t * speed);
        }
    }
    *made = a;
    return 0;
}

/* Turns the pairs (x[i], x[i + half]) of one head. */
static void turn(float *restrict y, const float *restrict x, const float *restrict cosines,
                 const float *restrict sines, int64_t half) {
    for (int64_t i = 0; i < half; i++) {
        y[i] = x[i] * cosines[i] - x[i + half] * sines[i];
        y[i + half] = x[i + half] * cosines[i] + x[i] * sines[i];
    }
}

/* The other way, which is the gradient: written, or added to what stands there. */
static void turn_back(float *restrict dx, const float *restrict dy, const float *restrict cosines,
                      const float *restrict sines, int64_t half) {
    for (int64_t i = 0; i < half; i++) {
        dx[i] = dy[i] * cosines[i] + dy[i + half] * sines[i];
        dx[i + half] = dy[i + half] * cosines[i] - dy[i] * sines[i];
    }
}

static void add_turned_back(float *restrict dx, const float *restrict dy,
                            const float *restrict cosines, const float *restrict sines,
                            int64_t half) {
    for (int64_t i = 0; i < half; i++) {
        dx[i] += dy[i] * cosines[i] + dy[i + half] * sines[i];
        dx[i + half] += dy[i + half] * cosines[i] - dy[i] * sines[i];
    }
}

typedef void turning(float *restrict to, const float *restrict from, const float *restrict cosines,
                     const float *restrict sines, int64_t half);

/* Group for group: queries and key are turned, the value is handed on. */
static void turn_all(float *to, const float *from, const angles *a, sizes s, turning *by,
                     bool adds) {
    int64_t width = 2 * s.half;
    for (int64_t n = 0; n < s.samples; n++)
        for (int64_t t = 0; t < s.length; t++)
            for (int64_t g = 0; g < s.groups; g++) {
                for (int64_t h = 0; h < s.turned; h++, to += width, from += width)
                    by(to, from, a->cosines + t * s.half, a->sines + t * s.half, s.half);
                QD_CPU(hand_on)(to, from, width, adds);
                to += width;
                from += width;
            }
}

static int forward(qd_backend_context *context, const qd_graph *graph, const qd_node *node,
                   const qd_operands *operands) {
    turn_all(operands->output, operands->inputs[0], qd_cpu_prepared(context, node),
             sizes_of(graph, node), turn, false);
    return 0;
}

static int backward(qd_backend_context *context, const qd_graph *graph, const qd_node *node,
                    const qd_operands *operands) {
    bool adds = operands->input_adds[0];
    if (operands->input_grads[0])
        turn_all(operands->input_grads[0], operands->output_grad, qd_cpu_prepared(context, node),
                 sizes_of(graph, node), adds ? add_turned_back : turn_back, adds);
    return 0;
}

const qd_cpu_op QD_CPU(rotary) = {
    .forward = forward, .backward = backward, .prepare = prepare, .release = release};
