/*
 * Residual networks (He et al., "Deep residual learning for image recognition", arXiv 1512.03385,
 * table 1), with the stride of a bottleneck on its 3 x 3 convolution, as torchvision has it.
 */
#include <inttypes.h>
#include <stdio.h>

#include "models/family.h"
#include "models/layers.h"
#include "runtime/error.h"

enum { STAGES = 4 };

typedef struct variant {
    int64_t depth;
    int blocks[STAGES];
    bool bottleneck;
} variant;

static const variant variants[] = {
    {18, {2, 2, 2, 2}, false},
    {34, {3, 4, 6, 3}, false},
    {50, {3, 4, 6, 3}, true},
};

/* One block: its name, what it takes and what it gives. */
typedef struct block {
    char name[32];
    int input;
    int64_t width, stride;
    bool bottleneck, projects; /* projects: the shortcut changes the shape */
} block;

static const char *part(const block *b, const char *what, char name[QD_MAX_NAME]) {
    snprintf(name, QD_MAX_NAME, "%s.%s", b->name, what);
    return name;
}

static int convolve(qd_graph *g, const block *b, const char *what, int x, int64_t out,
                    int64_t kernel, int64_t stride) {
    char name[QD_MAX_NAME];
    return qd_layer_convolution_norm(g, part(b, what, name), x, out, kernel, stride);
}

static int rectify(qd_graph *g, const block *b, const char *what, int x) {
    char name[QD_MAX_NAME];
    return qd_layer_apply(g, &qd_op_relu, part(b, what, name), x);
}

static int add_basic(qd_graph *g, const block *b) {
    int x = convolve(g, b, "conv1", b->input, b->width, 3, b->stride);
    x = rectify(g, b, "relu1", x);
    return convolve(g, b, "conv2", x, b->width, 3, 1);
}

static int add_bottleneck(qd_graph *g, const block *b) {
    int x = convolve(g, b, "conv1", b->input, b->width, 1, 1);
    x = rectify(g, b, "relu1", x);
    x = convolve(g, b, "conv2", x, b->width, 3, b->stride);
    x = rectify(g, b, "relu2", x);
    return convolve(g, b, "conv3", x, 4 * b->width, 1, 1);
}

static int add_block(qd_graph *g, const block *b) {
    char name[QD_MAX_NAME];
    int64_t out = b->bottleneck ? 4 * b->width : b->width;
    int shortcut = b->input;
    if (b->projects)
        shortcut = convolve(g, b, "shortcut", b->input, out, 1, b->stride);
    int x = b->bottleneck ? add_bottleneck(g, b) : add_basic(g, b);
    x = qd_layer_add(g, part(b, "add", name), x, shortcut);
    return rectify(g, b, "relu", x);
}

static int add_stages(qd_graph *g, const variant *v, int64_t width, int x) {
    for (int stage = 0; stage < STAGES; stage++)
        for (int i = 0; i < v->blocks[stage]; i++) {
            block b = {.input = x,
                       .width = width << stage,
                       .stride = stage > 0 && i == 0 ? 2 : 1,
                       .bottleneck = v->bottleneck,
                       .projects = i == 0 && (stage > 0 || v->bottleneck)};
            snprintf(b.name, sizeof b.name, "stage%d.block%d", stage, i);
            qd_graph_begin_block(g);
            x = x < 0 ? x : add_block(g, &b);
            qd_graph_end_block(g);
        }
    return x;
}

/* For small images one convolution that keeps their size; else a quarter of it is left. */
static int add_stem(qd_graph *g, const qd_model_spec *model, int x) {
    bool small = model->stem == QD_STEM_SMALL;
    x = qd_layer_convolution_norm(g, "stem", x, model->width, small ? 3 : 7, small ? 1 : 2);
    x = qd_layer_apply(g, &qd_op_relu, "stem.relu", x);
    return small ? x : qd_layer_max_pool(g, "stem.pool", x, 3, 2, 1);
}

static const variant *find(int64_t depth) {
    for (size_t i = 0; i < sizeof variants / sizeof *variants; i++)
        if (variants[i].depth == depth)
            return &variants[i];
    return NULL;
}

static int build(const qd_job *job, qd_graph *g) {
    const qd_model_spec *model = &job->model;
    const variant *v = find(model->depth);
    if (!v)
        return qd_error_set(QD_ECONFIG, "model.depth %" PRId64 "; use 18, 34 or 50", model->depth);
    int x = add_stages(g, v, model->width, add_stem(g, model, qd_layer_image_input(g, model)));
    x = qd_layer_global_mean(g, "mean", x);
    return qd_layer_classify(g, model, qd_layer_dense(g, "fc", x, model->classes));
}

static qd_sample_spec sample(const qd_job *job) {
    return qd_image_sample(&job->model);
}

static int64_t blocks(const qd_model_spec *model) {
    const variant *v = find(model->depth);
    int64_t count = 0;
    for (int stage = 0; v && stage < STAGES; stage++)
        count += v->blocks[stage];
    return v ? count : INT64_MAX; /* such a depth is refused for itself */
}

const qd_family qd_family_resnet = {
    .name = "resnet", .sample = sample, .blocks = blocks, .build = build};
