/* Numbers from numbers: linear layers with an activation between each two, none of them hidden for
 * linear regression. */
#include "models/family.h"
#include "models/layers.h"

static int build(const qd_job *job, qd_graph *g) {
    const qd_model_spec *model = &job->model;
    qd_shape input = {.dims = 2, .dim = {g->samples, model->inputs}};
    g->input = qd_graph_add_value(g, "input", QD_VALUE_INPUT, QD_F32, &input);
    if (g->input < 0)
        return g->input;
    return qd_layer_regress(g, model, qd_layer_perceptron(g, model, g->input, model->outputs));
}

static qd_sample_spec sample(const qd_job *job) {
    return (qd_sample_spec){.input_dtype = QD_F32,
                            .inputs = job->model.inputs,
                            .targets = job->model.outputs,
                            .target_dtype = QD_F32};
}

const qd_family qd_family_regression = {.name = "regression", .sample = sample, .build = build};
