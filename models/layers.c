#include "models/layers.h"

#include <stdio.h>

#include "runtime/error.h"

/* Adds the parameter NAME.SUFFIX. */
static int add_param(qd_graph *graph, const char *name, const char *suffix, const qd_shape *shape,
                     qd_init init) {
    char full[2 * QD_MAX_NAME];
    snprintf(full, sizeof full, "%s.%s", name, suffix);
    return qd_graph_add_param(graph, full, shape, init);
}

static int64_t last_dim(const qd_graph *graph, int value) {
    const qd_shape *shape = &graph->values[value].shape;
    return shape->dim[shape->dims - 1];
}

int qd_layer_linear(qd_graph *graph, const char *name, int x, int64_t out, qd_init weight,
                    qd_init bias) {
    if (x < 0)
        return x;
    qd_shape weight_shape = {.dims = 2, .dim = {out, last_dim(graph, x)}};
    qd_shape bias_shape = {.dims = 1, .dim = {out}};
    int params[2] = {add_param(graph, name, "weight", &weight_shape, weight), 0};
    if (params[0] < 0)
        return params[0];
    params[1] = add_param(graph, name, "bias", &bias_shape, bias);
    if (params[1] < 0)
        return params[1];
    return qd_graph_add_node(graph, &qd_op_linear, name, &x, 1, params, 2);
}

int qd_layer_norm(qd_graph *graph, const char *name, int x, float epsilon) {
    if (x < 0)
        return x;
    qd_shape shape = {.dims = 1, .dim = {last_dim(graph, x)}};
    int params[2] = {add_param(graph, name, "weight", &shape, (qd_init){QD_INIT_ONE, 0}), 0};
    if (params[0] < 0)
        return params[0];
    params[1] = add_param(graph, name, "bias", &shape, (qd_init){QD_INIT_ZERO, 0});
    if (params[1] < 0)
        return params[1];
    return qd_graph_add_node_with(graph, &qd_op_layer_norm, name, &x, 1, params, 2,
                                  (qd_op_attributes){.norm = {epsilon}});
}

int qd_layer_apply(qd_graph *graph, const qd_op *op, const char *name, int x) {
    return x < 0 ? x : qd_graph_add_node(graph, op, name, &x, 1, NULL, 0);
}

int qd_layer_add(qd_graph *graph, const char *name, int a, int b) {
    if (a < 0 || b < 0)
        return a < 0 ? a : b;
    return qd_graph_add_node(graph, &qd_op_add, name, (int[]){a, b}, 2, NULL, 0);
}
