#include <stdio.h>

#include "models/family.h"
#include "models/layers.h"
#include "runtime/error.h"

/* conv0, relu0, pool0, conv1 ... */
static int add_convolutions(qd_graph *g, const qd_model_spec *model, int x) {
    char name[QD_MAX_NAME];
    for (int i = 0; i < model->filters_count; i++) {
        snprintf(name, sizeof name, "conv%d", i);
        bool relu = model->activation == QD_ACTIVATION_RELU;
        x = qd_layer_convolution(g, name, x, model->filters[i], 3, 1, relu);
        snprintf(name, sizeof name, "conv%d.activation", i);
        if (!relu)
            x = qd_layer_activation(g, model->activation, name, x);
        snprintf(name, sizeof name, "pool%d", i);
        x = qd_layer_max_pool(g, name, x, 2, 2, 0);
    }
    return x;
}

static int build(const qd_job *job, qd_graph *g) {
    const qd_model_spec *model = &job->model;
    qd_shape input = {.dims = 4,
                      .dim = {g->samples, model->image[0], model->image[1], model->image[2]}};
    g->input = qd_graph_add_value(g, "input", QD_VALUE_INPUT, QD_F32, &input);
    if (g->input < 0)
        return g->input;
    return qd_layer_classify(
        g, qd_layer_perceptron(g, model, add_convolutions(g, model, g->input), model->classes));
}

static qd_sample_spec sample(const qd_job *job) {
    const int64_t *image = job->model.image;
    return (qd_sample_spec){.input_dtype = QD_F32,
                            .inputs = image[0] * image[1] * image[2],
                            .targets = 1,
                            .classes = job->model.classes,
                            .target_dtype = QD_I32};
}

const qd_family qd_family_cnn = {.name = "cnn", .sample = sample, .build = build};
