#include "worker/product_rate.h"

#include <stdlib.h>

#include "models/op.h"
#include "runtime/align.h"
#include "runtime/clock.h"
#include "runtime/error.h"
#include "runtime/random.h"
#include "worker/backend.h"

enum { ROUNDS = 9, MOST_BUFFERS = 8, PRODUCTS = 3 /* one forward, two backward */ };
enum { CACHES_BYTES = 64 << 20 };

static const double round_s = 0.02; /* a round lasts so long at least */

typedef struct product {
    const qd_backend *backend;
    qd_backend_context *context;
    qd_graph *graph;
    qd_operands operands;
    qd_run_state run;
    size_t batch_bytes; /* of x, y, dx or dy, of which there are so many: a step meets each once */
    int batches;
    struct {
        void *memory;
        size_t bytes;
    } buffers[MOST_BUFFERS];
    int buffer_count;
} product;

static int build(int64_t rows, int64_t size, qd_precision precision, qd_graph **graph) {
    qd_shape batch = {.dims = 2, .dim = {rows, size}}, shape = {.dims = 2, .dim = {size, size}};
    int rc = qd_graph_create(rows, graph);
    if (rc)
        return rc;
    (*graph)->precision = precision;
    (*graph)->tensor_slots = 1;
    int x = qd_graph_add_value(*graph, "x", QD_VALUE_INPUT, QD_F32, &batch);
    int w = qd_graph_add_param(*graph, "w", &shape, (qd_init){QD_INIT_ZERO, 0});
    if (x < 0 || w < 0)
        return x < 0 ? x : w;
    int y = qd_graph_add_node(*graph, &qd_op_linear, "product", &x, 1, &w, 1);
    return y < 0 ? y : 0;
}

static int take(product *p, size_t bytes, void **memory) {
    int rc = p->backend->alloc(p->context, qd_align_bytes(bytes), memory);
    if (rc)
        return rc;
    p->buffers[p->buffer_count].memory = *memory;
    p->buffers[p->buffer_count++].bytes = qd_align_bytes(bytes);
    return 0;
}

static int write_noise(product *p, float *to, int64_t rows, int64_t size) {
    float *row = malloc((size_t)size * sizeof *row);
    int rc = row ? 0 : qd_error_set(QD_ENOMEM, "no memory for a row of %lld", (long long)size);
    for (int64_t r = 0; r < rows && !rc; r++) {
        for (int64_t i = 0; i < size; i++)
            row[i] = qd_random_uniform((qd_random_key){1, (uint32_t)r}, 0, (uint64_t)i) - 0.5f;
        rc = p->backend->write(p->context, to + r * size, row, (size_t)size * sizeof *row);
        if (!rc)
            rc = p->backend->wait(p->context);
    }
    free(row);
    return rc;
}

static int take_buffers(product *p, int64_t rows, int64_t size) {
    qd_operands *o = &p->operands;
    size_t bytes = (size_t)(size * size) * sizeof(float);
    p->batch_bytes = qd_align_bytes((size_t)(rows * size) * sizeof(float));
    p->batches = (int)(CACHES_BYTES / (4 * p->batch_bytes)) + 1;
    size_t all = (size_t)p->batches * p->batch_bytes;
    int rc = take(p, all, &o->inputs[0]);
    if (!rc)
        rc = take(p, all, &o->output);
    if (!rc)
        rc = take(p, all, &o->output_grad);
    if (!rc)
        rc = take(p, all, &o->input_grads[0]);
    if (!rc)
        rc = take(p, bytes, &o->params[0]);
    if (!rc)
        rc = take(p, bytes, &o->param_grads[0]);
    if (!rc && p->graph->precision == QD_PRECISION_BF16)
        rc = take(p, bytes / 2, &o->narrow_params[0]);
    if (!rc && p->graph->nodes[0].scratch > 0)
        rc = take(p, (size_t)p->graph->nodes[0].scratch * sizeof(float), &o->scratch);
    return rc;
}

/* Zeros cost less power, and so less time, than what training multiplies. */
static int fill_buffers(product *p, int64_t rows, int64_t size) {
    const qd_operands *o = &p->operands;
    int rc = write_noise(p, o->params[0], size, size);
    for (int i = 0; i < p->batches && !rc; i++) {
        size_t at = (size_t)i * p->batch_bytes;
        rc = write_noise(p, (float *)((char *)o->inputs[0] + at), rows, size);
        if (!rc)
            rc = write_noise(p, (float *)((char *)o->output_grad + at), rows, size);
    }
    if (!rc && p->graph->precision == QD_PRECISION_BF16)
        rc = p->backend->narrow(p->context, o->narrow_params[0], o->params[0], size * size);
    return rc;
}

static int open_product(product *p, int64_t rows, int64_t size, qd_precision precision) {
    p->backend = qd_backend_of_this_machine();
    int rc = p->backend->create(1, &p->context);
    if (!rc)
        rc = build(rows, size, precision, &p->graph);
    if (!rc)
        rc = p->backend->prepare(p->context, p->graph);
    if (!rc)
        rc = take_buffers(p, rows, size);
    if (!rc)
        rc = fill_buffers(p, rows, size);
    p->run = (qd_run_state){.training = true, .step = 1, .share = 1};
    p->operands.run = &p->run;
    return rc;
}

static void close_product(product *p) {
    for (int i = 0; i < p->buffer_count; i++)
        p->backend->release(p->context, p->buffers[i].memory, p->buffers[i].bytes);
    if (p->context)
        p->backend->destroy(p->context);
    qd_graph_destroy(p->graph);
}

/* Batch after batch, so that none is in a cache when its turn comes. */
static qd_operands batch_of(const product *p, int64_t number) {
    qd_operands o = p->operands;
    size_t at = (size_t)(number % p->batches) * p->batch_bytes;
    o.inputs[0] = (char *)o.inputs[0] + at;
    o.output = (char *)o.output + at;
    o.output_grad = (char *)o.output_grad + at;
    o.input_grads[0] = (char *)o.input_grads[0] + at;
    return o;
}

static int run(product *p, int64_t times, double *seconds) {
    int64_t from = qd_clock_now_ns();
    int rc = 0;
    const qd_node *node = &p->graph->nodes[0];
    for (int64_t i = 0; i < times && !rc; i++) {
        qd_operands operands = batch_of(p, i);
        rc = p->backend->forward(p->context, p->graph, node, &operands);
        if (!rc)
            rc = p->backend->backward(p->context, p->graph, node, &operands);
    }
    if (!rc)
        rc = p->backend->wait(p->context);
    *seconds = (double)(qd_clock_now_ns() - from) * 1e-9 / (double)times / PRODUCTS;
    return rc;
}

static int ascending(const void *left, const void *right) {
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

int qd_product_seconds(int64_t rows, int64_t size, qd_precision precision, double *seconds) {
    product p = {0};
    double once, round[ROUNDS];
    int rc = open_product(&p, rows, size, precision);
    if (!rc)
        rc = run(&p, p.batches, &once); /* touches all pages, too */
    double all = PRODUCTS * once;
    int64_t times = !rc && all < round_s ? (int64_t)(round_s / (all > 1e-9 ? all : 1e-9)) : 1;
    for (int i = 0; i < ROUNDS && !rc; i++)
        rc = run(&p, times, &round[i]);
    close_product(&p);
    if (rc)
        return rc;
    qsort(round, ROUNDS, sizeof *round, ascending);
    *seconds = round[ROUNDS / 2];
    return 0;
}
