#include <string.h>

#include "runtime/random.h"
#include "worker/cpu/kernels/kernels.h"
#include "worker/cpu/kernels/rows.h"

/* Draws of a block of random numbers. */
enum { DRAWS = 4 };

/* What of y = keep x is drawn for. */
typedef struct drawing {
    qd_random_key key;
    uint32_t step;
    uint32_t dropped_below; /* a 32-bit number below it drops its element */
    float scale;            /* of what is kept */
    int64_t elements;       /* of a sample */
    int64_t first, end;     /* of the batch's elements, those that are held */
    int64_t first_sample;
} drawing;

static drawing drawing_of(const qd_graph *graph, const qd_node *node, const qd_run_state *run) {
    const qd_value *x = &graph->values[node->inputs[0]];
    qd_rows rows = qd_rows_of(graph, node);
    double rate = (double)node->attributes.dropout.rate;
    return (drawing){
        .key = {run->seed, qd_random_site(node->name)},
        .step = run->step,
        .dropped_below = (uint32_t)(rate * 4294967296.0),
        .scale = (float)(1.0 / (1.0 - rate)),
        .elements = qd_shape_elements(qd_value_whole(x)) / qd_value_whole(x)->dim[0],
        .first = rows.first * rows.width,
        .end = (rows.first + rows.count) * rows.width,
        .first_sample = run->first_sample,
    };
}

/* to = from where kept, scaled, else 0; adds: to what stands there. Elements [begin, end) of a
 * sample, both pointing to the first. A sample's draws start at a block of their own, so that they
 * do not depend on where in the batch's slots it lies, nor on who has which of its elements. */
static void draw_sample(const drawing *d, int64_t sample, int64_t begin, int64_t end, float *to,
                        const float *from, bool adds) {
    uint64_t blocks = (uint64_t)(d->elements + DRAWS - 1) / DRAWS;
    uint64_t first = (uint64_t)(d->first_sample + sample) * blocks;
    for (int64_t i = begin / DRAWS * DRAWS; i < end; i += DRAWS) {
        uint32_t draws[DRAWS];
        qd_random_block(d->key, d->step, first + (uint64_t)i / DRAWS, draws);
        for (int64_t k = i < begin ? begin : i; k < end && k < i + DRAWS; k++) {
            float kept = draws[k - i] < d->dropped_below ? 0.0f : from[k - begin] * d->scale;
            to[k - begin] = adds ? to[k - begin] + kept : kept;
        }
    }
}

static void draw(const drawing *d, float *to, const float *from, bool adds) {
    for (int64_t at = d->first; at < d->end;) {
        int64_t sample = at / d->elements, begin = at % d->elements, left = d->end - at;
        int64_t end = begin + left < d->elements ? begin + left : d->elements;
        draw_sample(d, sample, begin, end, to + at - d->first, from + at - d->first, adds);
        at += end - begin;
    }
}

static int forward(qd_backend_context *context, const qd_graph *graph, const qd_node *node,
                   const qd_operands *operands) {
    (void)context;
    drawing d = drawing_of(graph, node, operands->run);
    if (operands->run->training)
        draw(&d, operands->output, operands->inputs[0], false);
    else
        memcpy(operands->output, operands->inputs[0], (size_t)(d.end - d.first) * sizeof(float));
    return 0;
}

static int backward(qd_backend_context *context, const qd_graph *graph, const qd_node *node,
                    const qd_operands *operands) {
    (void)context;
    drawing d = drawing_of(graph, node, operands->run);
    if (operands->input_grads[0])
        draw(&d, operands->input_grads[0], operands->output_grad, operands->input_adds[0]);
    return 0;
}

const qd_cpu_op QD_CPU(dropout) = {.forward = forward, .backward = backward};
