#include "test/worker/op_check.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/error.h"
#include "runtime/random.h"

enum { GUARD = 16 };
#define DEFAULT_TOLERANCE 2e-5

/* The operator alone in a graph, with its buffers. */
typedef struct bench {
    const op_case *c;
    qd_graph *graph;
    qd_backend_context *context;
    const qd_node *node;
    qd_operands operands;
    qd_run_state run;
    double *inputs[QD_MAX_OPERANDS], *params[QD_MAX_OPERANDS]; /* the same in double */
    int64_t outputs;
} bench;

/* Buffers start as NaN and end in a guard. */
static float *buffer(int64_t count) {
    float *data = aligned_alloc(64, ((size_t)(count + GUARD) * sizeof(float) + 63) / 64 * 64);
    for (int64_t i = 0; i < count + GUARD; i++)
        data[i] = NAN;
    return data;
}

static float *random_buffer(int64_t count, uint32_t site) {
    float *data = buffer(count);
    for (int64_t i = 0; i < count; i++)
        data[i] = 2 * qd_random_uniform((qd_random_key){5, site}, 0, (uint64_t)i) - 1;
    return data;
}

/* Drops what bf16 does not hold. */
static void truncate_to_bf16(float *data, int64_t count) {
    for (int64_t i = 0; i < count; i++) {
        uint32_t bits;
        memcpy(&bits, &data[i], sizeof bits);
        bits &= 0xffff0000u;
        memcpy(&data[i], &bits, sizeof bits);
    }
}

static double *widen(const float *data, int64_t count) {
    ck_assert_int_gt(count, 0);
    double *wide = calloc((size_t)count, sizeof *wide);
    for (int64_t i = 0; i < count; i++)
        wide[i] = (double)data[i];
    return wide;
}

/* Check writes to a pipe at each assertion, so loops assert on failure only. */
static void assert_written(const char *what, const float *data, int64_t count) {
    for (int64_t i = 0; i < count + GUARD; i++) {
        if (i < count && isnan(data[i]))
            ck_abort_msg("%s: element %ld was not written", what, (long)i);
        if (i >= count && !isnan(data[i]))
            ck_abort_msg("%s: wrote %ld behind the end", what, (long)(i - count));
    }
}

static void assert_close(const bench *b, const char *what, const float *actual,
                         const double *expected, int64_t count) {
    double tolerance = b->c->tolerance > 0 ? b->c->tolerance : DEFAULT_TOLERANCE;
    assert_written(what, actual, count);
    for (int64_t i = 0; i < count; i++)
        if (!(fabs((double)actual[i] - expected[i]) <= tolerance * (1 + fabs(expected[i]))))
            ck_abort_msg("%s %s: element %ld of %ld is %.9g, not %.9g", b->c->op->name, what,
                         (long)i, (long)count, (double)actual[i], expected[i]);
}

static int64_t count_of(const qd_shape *shape) {
    return qd_shape_elements(shape);
}

static void build_graph(bench *b) {
    const op_case *c = b->c;
    int inputs[QD_MAX_OPERANDS], params[QD_MAX_OPERANDS];
    ck_assert_int_eq(qd_graph_create(c->inputs[0].dim[0], &b->graph), 0);
    b->graph->tensor_slots = c->tensor_slots ? c->tensor_slots : 1;
    b->graph->deals_rows = c->by_rows;
    b->graph->precision = c->precision;
    if (c->class_weights)
        ck_assert_int_eq(
            qd_graph_set_class_weights(b->graph, c->class_weights, c->class_weight_count), 0);
    for (int i = 0; i < c->input_count; i++) {
        inputs[i] =
            qd_graph_add_value(b->graph, "x", c->is_target[i] ? QD_VALUE_TARGET : QD_VALUE_INPUT,
                               c->indices[i] ? QD_I32 : QD_F32, &c->inputs[i]);
        b->graph->values[inputs[i]].by_rows = c->by_rows && c->op->rows == QD_ROWS_KEPT;
        b->graph->values[inputs[i]].whole = c->inputs[i];
        b->graph->values[inputs[i]].needs_grad = !c->indices[i] && !c->is_target[i];
    }
    for (int i = 0; i < c->param_count; i++) {
        char name[] = {'p', (char)('0' + i), '\0'};
        bool statistic = i >= c->param_count - c->statistic_count;
        params[i] = qd_graph_add_param(b->graph, name, &c->params[i], (qd_init){0});
        if (statistic)
            qd_graph_make_statistic(b->graph, params[i], 0.1f);
    }
    int output = qd_graph_add_node_with(b->graph, c->op, "node", inputs, c->input_count, params,
                                        c->param_count, c->attributes);
    ck_assert_msg(output >= 0, "%s", qd_error_message());
    ck_assert_int_eq(qd_backend_cpu.create(c->threads ? c->threads : 1, &b->context), 0);
    ck_assert_msg(qd_backend_cpu.prepare(b->context, b->graph) == 0, "%s", qd_error_message());
    b->node = &b->graph->nodes[0];
    b->outputs = count_of(&b->graph->values[output].shape);
}

static void *integers(const int32_t *indices, int64_t count) {
    return memcpy(malloc((size_t)count * sizeof *indices), indices,
                  (size_t)count * sizeof *indices);
}

static float *given_or_random(const float *given, int64_t count, uint32_t site) {
    float *data = random_buffer(count, site);
    if (given)
        memcpy(data, given, (size_t)count * sizeof *data);
    return data;
}

static void narrow_param(bench *b, int i) {
    int64_t count = count_of(&b->c->params[i]);
    truncate_to_bf16(b->operands.params[i], count);
    b->operands.narrow_params[i] = buffer((count + 1) / 2);
    ck_assert_int_eq(qd_backend_cpu.narrow(b->context, b->operands.narrow_params[i],
                                           b->operands.params[i], count),
                     0);
}

static void fill(bench *b) {
    const op_case *c = b->c;
    qd_operands *o = &b->operands;
    for (int i = 0; i < c->input_count; i++) {
        int64_t count = count_of(&c->inputs[i]);
        o->inputs[i] = c->indices[i]
                           ? integers(c->indices[i], count)
                           : (void *)given_or_random(c->floats[i], count, (uint32_t)(1 + i));
        if (c->precision == QD_PRECISION_BF16 && !c->indices[i])
            truncate_to_bf16(o->inputs[i], count);
        b->inputs[i] = c->indices[i] ? NULL : widen(o->inputs[i], count);
    }
    for (int i = 0; i < c->param_count; i++) {
        o->params[i] =
            given_or_random(c->param_floats[i], count_of(&c->params[i]), (uint32_t)(11 + i));
        if (c->precision == QD_PRECISION_BF16)
            narrow_param(b, i);
        b->params[i] = widen(o->params[i], count_of(&c->params[i]));
    }
    o->output = buffer(b->outputs);
    o->output_grad = random_buffer(b->outputs, 21);
    if (c->precision == QD_PRECISION_BF16)
        truncate_to_bf16(o->output_grad, b->outputs);
    if (c->op->saved)
        o->saved = buffer(c->op->saved(b->graph, b->node));
    if (b->node->scratch)
        o->scratch = buffer(b->node->scratch);
}

static void open_bench(bench *b, const op_case *c) {
    *b = (bench){.c = c, .run = {.training = !c->evaluates, .seed = 7, .step = 3, .share = 1}};
    b->operands.run = &b->run;
    build_graph(b);
    fill(b);
}

static void close_bench(bench *b) {
    qd_operands *o = &b->operands;
    for (int i = 0; i < QD_MAX_OPERANDS; i++) {
        free(o->inputs[i]);
        free(o->params[i]);
        free(o->narrow_params[i]);
        free(b->inputs[i]);
        free(b->params[i]);
    }
    free(o->output);
    free(o->output_grad);
    free(o->saved);
    free(o->scratch);
    qd_backend_cpu.destroy(b->context);
    qd_graph_destroy(b->graph);
}

/* Nothing behind the end; inside it there may be anything. */
static void assert_scratch_kept(const bench *b) {
    if (!b->node->scratch)
        return;
    const float *end = (const float *)b->operands.scratch + b->node->scratch;
    for (int i = 0; i < GUARD; i++)
        if (!isnan(end[i]))
            ck_abort_msg("%s: wrote %d behind its scratch", b->c->op->name, i);
}

/* Recomputation (models/timeline.h) runs forward a second time, and counts on the same bits. What
 * the first run left in the scratch stays there. */
static void check_second_forward(bench *b) {
    qd_operands *o = &b->operands;
    int64_t saved = b->c->op->saved ? b->c->op->saved(b->graph, b->node) : 0;
    void *first_output = o->output, *first_saved = o->saved;
    o->output = buffer(b->outputs);
    o->saved = saved ? buffer(saved) : NULL;
    ck_assert_int_eq(qd_backend_cpu.forward(b->context, b->graph, b->node, o), 0);
    if (memcmp(o->output, first_output, (size_t)b->outputs * sizeof(float)) != 0 ||
        (saved && memcmp(o->saved, first_saved, (size_t)saved * sizeof(float)) != 0))
        ck_abort_msg("%s: forward gives other bits the second time", b->c->op->name);
    free(first_output);
    free(first_saved);
}

static void check_forward(bench *b) {
    double *expected = calloc((size_t)b->outputs, sizeof *expected);
    b->c->reference(b->c, b->inputs, b->params, expected);
    int rc = qd_backend_cpu.forward(b->context, b->graph, b->node, &b->operands);
    ck_assert_msg(rc == 0, "%s", qd_error_message());
    assert_close(b, "output", b->operands.output, expected, b->outputs);
    if (b->c->op->saved)
        assert_written("saved", b->operands.saved, b->c->op->saved(b->graph, b->node));
    check_second_forward(b);
    assert_scratch_kept(b);
    free(expected);
}

/* sum(dy y) at the present inputs and parameters */
static double weighted(const bench *b, double *y) {
    const float *dy = b->operands.output_grad;
    double sum = 0;
    b->c->reference(b->c, b->inputs, b->params, y);
    for (int64_t i = 0; i < b->outputs; i++)
        sum += (double)dy[i] * y[i];
    return sum;
}

/* The gradient of weighted() by the tensor x, by central differences. */
static double *differentiate(const bench *b, double *x, int64_t count) {
    const double h = 1e-5;
    double *gradient = calloc((size_t)count, sizeof *gradient);
    double *y = calloc((size_t)b->outputs, sizeof *y);
    for (int64_t i = 0; i < count; i++) {
        double at = x[i];
        x[i] = at + h;
        double up = weighted(b, y);
        x[i] = at - h;
        gradient[i] = (up - weighted(b, y)) / (2 * h);
        x[i] = at;
    }
    free(y);
    return gradient;
}

/* Gradient buffers of one kind of operand, and what backward is expected to leave there. */
typedef struct gradients {
    int count;
    int64_t elements[QD_MAX_OPERANDS]; /* 0: none is wanted */
    double *expected[QD_MAX_OPERANDS];
} gradients;

static void prepare(const gradients *g, bool adds, void **grads, bool *add_flags) {
    for (int i = 0; i < g->count; i++) {
        int64_t n = g->elements[i];
        grads[i] = n == 0 ? NULL : adds ? random_buffer(n, (uint32_t)(31 + i)) : buffer(n);
        add_flags[i] = adds;
    }
}

static void compare(const bench *b, const gradients *g, bool adds, void **grads, const char *what) {
    for (int i = 0; i < g->count; i++) {
        int64_t n = g->elements[i];
        if (n == 0)
            continue;
        float *before = random_buffer(n, (uint32_t)(31 + i));
        double *expected = calloc((size_t)n, sizeof *expected);
        for (int64_t e = 0; e < n; e++)
            expected[e] = g->expected[i][e] + (adds ? (double)before[e] : 0);
        assert_close(b, what, grads[i], expected, n);
        free(before);
        free(expected);
        free(grads[i]);
        grads[i] = NULL;
    }
}

static void check_backward(bench *b, const gradients *inputs, const gradients *params, bool adds) {
    qd_operands *o = &b->operands;
    prepare(inputs, adds, o->input_grads, o->input_adds);
    prepare(params, adds, o->param_grads, o->param_adds);
    int rc = qd_backend_cpu.backward(b->context, b->graph, b->node, o);
    ck_assert_msg(rc == 0, "%s", qd_error_message());
    assert_scratch_kept(b);
    compare(b, inputs, adds, o->input_grads, adds ? "input gradient, added" : "input gradient");
    compare(b, params, adds, o->param_grads, adds ? "param gradient, added" : "param gradient");
}

void op_check(const op_case *c) {
    bench b;
    open_bench(&b, c);
    check_forward(&b);
    if (c->evaluates) {
        close_bench(&b);
        return;
    }
    gradients inputs = {.count = c->input_count}, params = {.count = c->param_count};
    for (int i = 0; i < c->input_count; i++)
        if (!c->indices[i] && !c->is_target[i]) {
            inputs.elements[i] = count_of(&c->inputs[i]);
            inputs.expected[i] = differentiate(&b, b.inputs[i], inputs.elements[i]);
        }
    int trained = c->param_count - c->statistic_count;
    for (int i = 0; i < c->param_count; i++) {
        params.elements[i] = count_of(&c->params[i]);
        params.expected[i] = i < trained ? differentiate(&b, b.params[i], params.elements[i])
                                         : calloc((size_t)params.elements[i], sizeof(double));
    }
    if (c->statistic_count)
        c->measure(c, b.inputs, params.expected + trained);
    check_backward(&b, &inputs, &params, false);
    check_backward(&b, &inputs, &params, true);
    check_backward(&b, &(gradients){.count = c->input_count}, &params, false);
    for (int i = 0; i < QD_MAX_OPERANDS; i++) {
        free(inputs.expected[i]);
        free(params.expected[i]);
    }
    close_bench(&b);
}
