/* Numbers from numbers: linear layers with an activation between each two, none of them hidden for
 * linear regression. */
#include "models/family.h"
#include "models/layers.h"

static const qd_op *const losses[] = {[QD_LOSS_MSE] = &qd_op_mse, [QD_LOSS_HUBER] = &qd_op_huber};

static int build(const qd_job *job, qd_graph *g) {
    const qd_model_spec *model = &job->model;
    qd_shape input = {.dims = 2, .dim = {g->samples, model->inputs}};
    qd_shape target = {.dims = 2, .dim = {g->samples, model->outputs}};
    qd_op_attributes attributes = {0};
    if (model->loss == QD_LOSS_HUBER)
        attributes.huber.delta = 1.0f; /* PyTorch's */
    g->input = qd_graph_add_value(g, "input", QD_VALUE_INPUT, QD_F32, &input);
    if (g->input < 0)
        return g->input;
    g->target = qd_graph_add_value(g, "target", QD_VALUE_TARGET, QD_F32, &target);
    if (g->target < 0)
        return g->target;
    g->logits = qd_layer_perceptron(g, model, g->input, model->outputs);
    if (g->logits < 0)
        return g->logits;
    g->loss = qd_graph_add_node_with(g, losses[model->loss], "loss", (int[]){g->logits, g->target},
                                     2, NULL, 0, attributes);
    return g->loss < 0 ? g->loss : 0;
}

static qd_sample_spec sample(const qd_job *job) {
    return (qd_sample_spec){.input_dtype = QD_F32,
                            .inputs = job->model.inputs,
                            .targets = job->model.outputs,
                            .target_dtype = QD_F32};
}

const qd_family qd_family_regression = {.name = "regression", .sample = sample, .build = build};
