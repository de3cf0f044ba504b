#include "models/graph.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "models/op.h"
#include "runtime/align.h"
#include "runtime/error.h"

enum { FIRST_CAPACITY = 8 };

/* Elements of one tensor, at most: sums over tensors and sizes in bytes then fit into 64 bits. */
#define MAX_ELEMENTS (INT64_C(1) << 44)

size_t qd_dtype_bytes(qd_dtype dtype) {
    static const size_t bytes[] = {[QD_F32] = sizeof(float), [QD_I32] = sizeof(int32_t)};
    return bytes[dtype];
}

int64_t qd_shape_elements(const qd_shape *shape) {
    int64_t elements = 1;
    for (int i = 0; i < shape->dims; i++)
        elements *= shape->dim[i];
    return elements;
}

bool qd_shape_equals(const qd_shape *a, const qd_shape *b) {
    bool same = a->dims == b->dims;
    for (int i = 0; same && i < a->dims; i++)
        same = a->dim[i] == b->dim[i];
    return same;
}

const char *qd_shape_text(const qd_shape *shape, char *text, size_t size) {
    size_t used = 0;
    for (int i = 0; i < shape->dims && used < size; i++)
        used +=
            (size_t)snprintf(text + used, size - used, "%s%" PRId64, i ? ", " : "[", shape->dim[i]);
    if (used < size)
        snprintf(text + used, size - used, shape->dims ? "]" : "[]");
    return text;
}

int qd_graph_create(int64_t samples, qd_graph **graph) {
    if (samples < 1)
        return qd_error_set(QD_ECONFIG, "a graph needs at least 1 sample, not %" PRId64, samples);
    qd_graph *g = calloc(1, sizeof *g);
    if (!g)
        return qd_error_set(QD_ENOMEM, "no memory for a graph");
    g->samples = samples;
    g->tensor_slots = g->tensor_members = 1;
    g->open_block = -1;
    g->input = g->target = g->logits = g->loss = -1;
    *graph = g;
    return 0;
}

void qd_graph_destroy(qd_graph *graph) {
    if (!graph)
        return;
    free(graph->values);
    free(graph->params);
    free(graph->nodes);
    free(graph->class_weights);
    free(graph->taken);
    free(graph->handed);
    free(graph);
}

/* Room for one more in an array of count entries that grows at 0 and at powers of two. */
static int grow(void **array, int count, size_t entry_bytes) {
    bool full = count == 0 || (count >= FIRST_CAPACITY && (count & (count - 1)) == 0);
    if (!full)
        return 0;
    size_t capacity = count == 0 ? FIRST_CAPACITY : 2 * (size_t)count;
    void *larger = realloc(*array, capacity * entry_bytes);
    if (!larger)
        return qd_error_set(QD_ENOMEM, "no memory for a graph of %zu entries", capacity);
    *array = larger;
    return 0;
}

static int set_name(char name[QD_MAX_NAME], const char *text) {
    if (text[0] == '\0' || strlen(text) >= QD_MAX_NAME)
        return qd_error_set(QD_ECONFIG, "\"%s\" can't name a part of a model; use 1 to %d bytes",
                            text, QD_MAX_NAME - 1);
    strcpy(name, text);
    return 0;
}

static int check_shape(const char *name, const qd_shape *shape) {
    char text[64];
    int64_t elements = 1;
    if (shape->dims < 1 || shape->dims > QD_MAX_DIMS)
        return qd_error_set(QD_ECONFIG, "%s: %d dimensions; a tensor has 1 to %d", name,
                            shape->dims, QD_MAX_DIMS);
    for (int i = 0; i < shape->dims; i++) {
        int64_t dim = shape->dim[i];
        if (dim < 1)
            return qd_error_set(QD_ECONFIG, "%s: shape %s; every dimension is at least 1", name,
                                qd_shape_text(shape, text, sizeof text));
        if (dim > MAX_ELEMENTS / elements)
            return qd_error_set(QD_ECONFIG, "%s: shape %s; a tensor has at most 2^44 elements",
                                name, qd_shape_text(shape, text, sizeof text));
        elements *= dim;
    }
    return 0;
}

static int check_value(const qd_graph *graph, const qd_value *value) {
    char text[64];
    int rc = check_shape(value->name, &value->shape);
    if (rc)
        return rc;
    if (qd_value_whole(value)->dim[0] != graph->samples)
        return qd_error_set(QD_ECONFIG, "%s: shape %s; dimension 0 counts the %" PRId64 " samples",
                            value->name, qd_shape_text(&value->shape, text, sizeof text),
                            graph->samples);
    return 0;
}

static int append_value(qd_graph *graph, const qd_value *value) {
    int rc = check_value(graph, value);
    if (rc)
        return rc;
    rc = grow((void **)&graph->values, graph->value_count, sizeof *graph->values);
    if (rc)
        return rc;
    graph->values[graph->value_count] = *value;
    return graph->value_count++;
}

int qd_graph_add_value(qd_graph *graph, const char *name, qd_value_kind kind, qd_dtype dtype,
                       const qd_shape *shape) {
    qd_value value = {.kind = kind, .dtype = dtype, .shape = *shape, .producer = -1};
    int rc = set_name(value.name, name);
    return rc ? rc : append_value(graph, &value);
}

static int append_param(qd_graph *graph, const char *name, qd_param param) {
    param.offset = graph->param_elements;
    int rc = set_name(param.name, name);
    if (!rc)
        rc = check_shape(name, &param.whole);
    /* Checkpoints find a parameter by its name alone. */
    for (int i = 0; i < graph->param_count && !rc; i++)
        if (strcmp(graph->params[i].name, name) == 0)
            rc = qd_error_set(QD_ECONFIG, "two parameters are named %s", name);
    if (!rc)
        rc = grow((void **)&graph->params, graph->param_count, sizeof *graph->params);
    if (rc)
        return rc;
    int64_t end = param.offset + qd_shape_elements(&param.shape);
    graph->param_elements = qd_align_floats(end);
    graph->params[graph->param_count] = param;
    return graph->param_count++;
}

int qd_graph_add_param(qd_graph *graph, const char *name, const qd_shape *shape, qd_init init) {
    return append_param(graph, name,
                        (qd_param){.shape = *shape, .whole = *shape, .cut_dim = -1, .init = init});
}

/* The same answer on all members, also on those that would hold something. */
static int check_fed(const qd_graph *graph, const char *name, int64_t extent, int64_t unit) {
    int members = graph->tensor_members;
    if (qd_cut_feeds_all(graph, members, extent, unit))
        return 0;
    int most = 1;
    while (most + 1 < members && qd_cut_feeds_all(graph, most + 1, extent, unit))
        most++;
    return qd_error_set(QD_ECONFIG,
                        "%s: %" PRId64 " part(s) that tensor parallelism may deal out (heads, "
                        "or rows) do not give each of %d ranks one; use layout.tp %d or less",
                        name, extent / (unit > 0 ? unit : 1), members, most);
}

int qd_graph_add_cut_param(qd_graph *graph, const char *name, const qd_shape *whole, int cut_dim,
                           int64_t unit, qd_init init) {
    int64_t extent = whole->dim[cut_dim], first, end;
    if (graph->tensor_slots == 1)
        return qd_graph_add_param(graph, name, whole, init);
    qd_param param = {
        .shape = *whole, .whole = *whole, .cut_dim = cut_dim, .cut_unit = unit, .init = init};
    int rc = check_fed(graph, name, extent, unit);
    if (rc)
        return rc;
    qd_cut_held(graph, extent, unit, &first, &end);
    param.cut_first = first;
    param.shape.dim[cut_dim] = end - first;
    return append_param(graph, name, param);
}

int qd_graph_set_class_weights(qd_graph *graph, const double *weights, int64_t count) {
    float *copy = calloc((size_t)count, sizeof *copy);
    if (!copy)
        return qd_error_set(QD_ENOMEM, "no memory for %" PRId64 " class weights", count);
    for (int64_t i = 0; i < count; i++)
        copy[i] = (float)weights[i];
    free(graph->class_weights);
    graph->class_weights = copy;
    graph->class_weight_count = count;
    return 0;
}

void qd_graph_make_statistic(qd_graph *graph, int param, float momentum) {
    graph->params[param].kind = QD_PARAM_STATISTIC;
    graph->params[param].momentum = momentum;
}

static bool contains(const int *list, int count, int entry) {
    for (int i = 0; i < count; i++)
        if (list[i] == entry)
            return true;
    return false;
}

bool qd_graph_adds_to_input(const qd_graph *graph, int node, int i) {
    const qd_node *self = &graph->nodes[node];
    int value = self->inputs[i];
    if (contains(self->inputs, i, value))
        return true;
    for (int n = node + 1; n < graph->node_count; n++)
        if (contains(graph->nodes[n].inputs, graph->nodes[n].input_count, value))
            return true;
    return false;
}

bool qd_graph_adds_to_param(const qd_graph *graph, int node, int i) {
    const qd_node *self = &graph->nodes[node];
    int param = self->params[i];
    if (contains(self->params, i, param))
        return true;
    for (int n = node + 1; n < graph->node_count; n++)
        if (contains(graph->nodes[n].params, graph->nodes[n].param_count, param))
            return true;
    return false;
}

static int fill_operands(const qd_graph *graph, const int *inputs, int input_count,
                         const int *params, int param_count, qd_node *node) {
    const qd_op *op = node->op;
    if (input_count != op->inputs || param_count > op->params ||
        param_count < op->params - op->optional)
        return qd_error_set(QD_ECONFIG,
                            "%s: %s takes %d inputs and %d parameters, but was given %d and %d",
                            node->name, op->name, op->inputs, op->params, input_count, param_count);
    for (int i = 0; i < input_count; i++) {
        if (inputs[i] < 0 || inputs[i] >= graph->value_count)
            return qd_error_set(QD_ECONFIG, "%s: input %d is no value of the graph", node->name, i);
        node->inputs[i] = inputs[i];
    }
    for (int i = 0; i < param_count; i++) {
        if (params[i] < 0 || params[i] >= graph->param_count)
            return qd_error_set(QD_ECONFIG, "%s: parameter %d is not in the graph", node->name, i);
        node->params[i] = params[i];
    }
    node->input_count = input_count;
    node->param_count = param_count;
    return 0;
}

int qd_graph_add_node(qd_graph *graph, const qd_op *op, const char *name, const int *inputs,
                      int input_count, const int *params, int param_count) {
    return qd_graph_add_node_with(graph, op, name, inputs, input_count, params, param_count,
                                  (qd_op_attributes){0});
}

/* Rows that members share can be taken, and what becomes of them. */
static int deal_rows(const qd_graph *graph, const qd_node *node, qd_value *output) {
    for (int i = 0; i < node->input_count; i++) {
        const qd_value *input = &graph->values[node->inputs[i]];
        if (qd_rows_are_shared(graph, input) && node->op->rows == QD_ROWS_WHOLE)
            return qd_error_set(QD_ECONFIG,
                                "%s: %s takes all rows of %s, which tensor parallelism shares out; "
                                "use layout.sequence_parallel false",
                                node->name, node->op->name, input->name);
        if (!input->by_rows || node->op->rows != QD_ROWS_KEPT)
            continue;
        output->by_rows = true;
        output->whole = input->whole;
        output->first_row = input->first_row;
    }
    return 0;
}

int qd_graph_add_node_with(qd_graph *graph, const qd_op *op, const char *name, const int *inputs,
                           int input_count, const int *params, int param_count,
                           qd_op_attributes attributes) {
    qd_node node = {.op = op, .attributes = attributes, .block = graph->open_block};
    qd_value output = {
        .kind = QD_VALUE_ACTIVATION, .needs_grad = param_count > 0, .producer = graph->node_count};
    int rc = set_name(node.name, name);
    if (!rc)
        rc = fill_operands(graph, inputs, input_count, params, param_count, &node);
    if (!rc)
        rc = op->infer(graph, &node, &output);
    if (!rc)
        rc = deal_rows(graph, &node, &output);
    if (!rc)
        rc = grow((void **)&graph->nodes, graph->node_count, sizeof *graph->nodes);
    if (rc)
        return rc;
    strcpy(output.name, node.name);
    for (int i = 0; i < input_count; i++)
        output.needs_grad |= graph->values[inputs[i]].needs_grad;
    node.output = append_value(graph, &output);
    if (node.output < 0)
        return node.output;
    node.scratch = op->scratch ? op->scratch(graph, &node) : 0;
    graph->nodes[graph->node_count++] = node;
    return node.output;
}

void qd_graph_begin_block(qd_graph *graph) {
    graph->open_block = graph->block_count++;
}

void qd_graph_end_block(qd_graph *graph) {
    graph->open_block = -1;
}

int64_t qd_graph_targets_per_sample(const qd_graph *graph) {
    return qd_shape_elements(&graph->values[graph->target].shape) / graph->samples;
}

int64_t qd_graph_losses_per_sample(const qd_graph *graph) {
    return qd_shape_elements(&graph->values[graph->loss].shape) / graph->samples;
}

bool qd_graph_classifies(const qd_graph *graph) {
    return graph->values[graph->target].dtype == QD_I32;
}

int64_t qd_graph_param_count(const qd_graph *graph) {
    int64_t count = 0;
    for (int i = 0; i < graph->param_count; i++)
        if (graph->params[i].kind == QD_PARAM_TRAINED)
            count += qd_shape_elements(&graph->params[i].shape);
    return count;
}

double qd_graph_forward_flops(const qd_graph *graph) {
    double flops = 0;
    for (int i = 0; i < graph->node_count; i++)
        flops += graph->nodes[i].op->forward_flops(graph, &graph->nodes[i]);
    return flops;
}

double qd_graph_backward_flops(const qd_graph *graph) {
    double flops = 0;
    for (int i = 0; i < graph->node_count; i++)
        flops += graph->nodes[i].op->backward_flops(graph, &graph->nodes[i]);
    return flops;
}
