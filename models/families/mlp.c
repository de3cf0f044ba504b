#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "models/family.h"
#include "models/op.h"
#include "runtime/error.h"

static const qd_op *const activations[] = {[QD_ACTIVATION_RELU] = &qd_op_relu};

/* Weight and bias start as PyTorch's nn.Linear does: uniform within 1 / sqrt(in). */
static int add_linear(qd_graph *graph, int layer, int64_t in, int64_t out, int input) {
    qd_shape weight_shape = {.dims = 2, .dim = {out, in}};
    qd_shape bias_shape = {.dims = 1, .dim = {out}};
    qd_init init = {.kind = QD_INIT_UNIFORM, .scale = (float)(1.0 / sqrt((double)in))};
    char name[QD_MAX_NAME];
    snprintf(name, sizeof name, "layer%d.weight", layer);
    int weight = qd_graph_add_param(graph, name, &weight_shape, init);
    if (weight < 0)
        return weight;
    snprintf(name, sizeof name, "layer%d.bias", layer);
    int bias = qd_graph_add_param(graph, name, &bias_shape, init);
    if (bias < 0)
        return bias;
    snprintf(name, sizeof name, "layer%d", layer);
    return qd_graph_add_node(graph, &qd_op_linear, name, &input, 1, (int[]){weight, bias}, 2);
}

/* All layers; returns the logits' value. */
static int add_layers(qd_graph *graph, const qd_model_spec *model, int input) {
    int64_t width = model->inputs;
    int x = input;
    for (int layer = 0; layer <= model->hidden_count; layer++) {
        bool last = layer == model->hidden_count;
        int64_t out = last ? model->classes : model->hidden[layer];
        x = add_linear(graph, layer, width, out, x);
        if (x < 0 || last)
            return x;
        const qd_op *activation = activations[model->activation];
        char name[QD_MAX_NAME];
        snprintf(name, sizeof name, "%s%d", activation->name, layer);
        x = qd_graph_add_node(graph, activation, name, &x, 1, NULL, 0);
        if (x < 0)
            return x;
        width = out;
    }
    return x;
}

/* Keeps an index of the graph, or passes an error on. */
static int keep(int index, int *where) {
    if (index < 0)
        return index;
    *where = index;
    return 0;
}

static int fill(qd_graph *g, const qd_model_spec *model) {
    qd_shape input = {.dims = 2, .dim = {g->samples, model->inputs}};
    qd_shape target = {.dims = 1, .dim = {g->samples}};
    int rc = keep(qd_graph_add_value(g, "input", QD_VALUE_INPUT, QD_F32, &input), &g->input);
    if (!rc)
        rc = keep(qd_graph_add_value(g, "target", QD_VALUE_TARGET, QD_I32, &target), &g->target);
    if (!rc)
        rc = keep(add_layers(g, model, g->input), &g->logits);
    if (!rc)
        rc = keep(qd_graph_add_node(g, &qd_op_cross_entropy, "loss", (int[]){g->logits, g->target},
                                    2, NULL, 0),
                  &g->loss);
    return rc;
}

static int build(const qd_job *job, int64_t samples, qd_graph **graph) {
    qd_graph *g;
    int rc = qd_graph_create(samples, &g);
    if (rc)
        return rc;
    rc = fill(g, &job->model);
    if (rc) {
        qd_graph_destroy(g);
        return qd_error_context(rc, "model mlp");
    }
    *graph = g;
    return 0;
}

static qd_sample_spec sample(const qd_job *job) {
    return (qd_sample_spec){QD_F32, job->model.inputs, 1, job->model.classes};
}

const qd_family qd_family_mlp = {.name = "mlp", .sample = sample, .build = build};
