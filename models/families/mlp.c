#include "models/family.h"
#include "models/layers.h"

static int build(const qd_job *job, qd_graph *g) {
    qd_shape input = {.dims = 2, .dim = {g->samples, job->model.inputs}};
    g->input = qd_graph_add_value(g, "input", QD_VALUE_INPUT, QD_F32, &input);
    if (g->input < 0)
        return g->input;
    return qd_layer_classify(g, &job->model,
                             qd_layer_perceptron(g, &job->model, g->input, job->model.classes));
}

static qd_sample_spec sample(const qd_job *job) {
    return (qd_sample_spec){.input_dtype = QD_F32,
                            .inputs = job->model.inputs,
                            .targets = 1,
                            .classes = job->model.classes,
                            .target_dtype = QD_I32};
}

const qd_family qd_family_mlp = {.name = "mlp", .sample = sample, .build = build};
