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
    int x = add_convolutions(g, model, qd_layer_image_input(g, model));
    return qd_layer_classify(g, model, qd_layer_perceptron(g, model, x, model->classes));
}

static qd_sample_spec sample(const qd_job *job) {
    return qd_image_sample(&job->model);
}

const qd_family qd_family_cnn = {.name = "cnn", .sample = sample, .build = build};
