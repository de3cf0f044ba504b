#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "models/families/layers.h"
#include "models/job.h"
#include "runtime/error.h"

typedef struct rules {
    const char *file;
    const qd_schema_lines *lines;
    qd_model_spec *model;
} rules;

/* "FILE:LINE: ...", the line being that of the key at path. */
__attribute__((format(printf, 3, 4))) static int refuse(const rules *r, const char *path,
                                                        const char *fmt, ...) {
    char text[QD_ERROR_BYTES];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    return qd_error_set(QD_ECONFIG, "%s:%d: %s", r->file, qd_schema_line(r->lines, path), text);
}

typedef struct named_key {
    const char *path;
    bool given;
} named_key;

/* Exactly one of the keys is given; missing: what is said where none is. */
static int check_one(const rules *r, const named_key *keys, int count, const char *missing) {
    const named_key *found = NULL;
    for (int i = 0; i < count; i++) {
        if (keys[i].given && found)
            return refuse(r, keys[i].path, "%s and %s are both given; remove one of them",
                          found->path, keys[i].path);
        found = keys[i].given ? &keys[i] : found;
    }
    return found ? 0 : refuse(r, "model", "%s", missing);
}

static int check_input(const rules *r) {
    const qd_model_spec *m = r->model;
    const named_key keys[] = {{"model.image", m->image_count > 0},
                              {"model.inputs", m->inputs > 0},
                              {"model.context", m->context > 0}};
    int rc = check_one(r, keys, 3,
                       "missing key \"image\", \"inputs\" or \"context\" in model; give one of "
                       "them: a sample is an image, a list of numbers, or a text of tokens");
    if (rc)
        return rc;
    if (m->context && !m->vocabulary)
        return refuse(r, "model",
                      "missing key \"vocabulary\" in model; the tokens of model.context are 0 .. "
                      "vocabulary-1");
    if (m->vocabulary && !m->context)
        return refuse(r, "model.vocabulary",
                      "model.vocabulary: only where samples are tokens (model.context); remove "
                      "vocabulary");
    return 0;
}

/* Classes or tokens are told by cross_entropy, numbers by the other losses. */
static int check_outcome(const rules *r) {
    const qd_model_spec *m = r->model;
    bool tells_classes = m->loss == QD_LOSS_CROSS_ENTROPY;
    if (!tells_classes && !m->outputs)
        return refuse(r, "model",
                      "missing key \"outputs\" in model; all losses but cross_entropy are for that "
                      "many numbers");
    if (tells_classes && m->outputs)
        return refuse(r, "model.outputs",
                      "model.outputs: not for loss cross_entropy (the default); give classes, or "
                      "loss mse, huber, binary_cross_entropy or kl");
    const named_key of_classes[] = {{"model.classes", m->classes > 0},
                                    {"model.next_token", m->next_token},
                                    {"model.label_smoothing", m->label_smoothing > 0},
                                    {"model.ignored_index", m->ignored_index.given},
                                    {"model.class_weights", m->class_weight_count > 0}};
    for (int i = 0; i < 5 && !tells_classes; i++)
        if (of_classes[i].given)
            return refuse(r, of_classes[i].path, "%s: only for loss cross_entropy; remove it",
                          of_classes[i].path);
    if (!tells_classes)
        return 0;
    if (m->next_token && !m->context)
        return refuse(r, "model.next_token",
                      "model.next_token: only where samples are tokens (model.context, "
                      "model.vocabulary)");
    return check_one(r, of_classes, 2,
                     "missing key \"classes\" or \"next_token\" in model; give one of them, or "
                     "outputs and a loss for numbers");
}

static void layer_path(char path[64], int layer, const char *key) {
    snprintf(path, 64, "model.layers[%d]%s", layer, key);
}

static void fill_layer(const rules *r, int layer) {
    qd_layer_spec *l = &r->model->list[layer];
    char path[64];
    bool convolves = l->kind == QD_LAYER_CONVOLUTION;
    if (!l->name[0])
        snprintf(l->name, sizeof l->name, "%s%d", qd_layer_kind_word(l->kind), layer);
    if (!l->kv_heads)
        l->kv_heads = l->heads;
    if (!l->stride)
        l->stride = convolves ? 1 : l->window;
    layer_path(path, layer, ".padding");
    if (convolves && !qd_schema_given(r->lines, path))
        l->padding = (l->window - 1) / 2;
}

static int check_name(const rules *r, int layer) {
    static const char *const taken[] = {"input", "target", "lengths", "loss"};
    const qd_layer_spec *list = r->model->list;
    char path[64];
    layer_path(path, layer, ".name");
    for (size_t i = 0; i < sizeof taken / sizeof *taken; i++)
        if (strcmp(list[layer].name, taken[i]) == 0)
            return refuse(r, path, "%s: %s is a part of every model; choose another name", path,
                          taken[i]);
    for (int i = 0; i < layer; i++)
        if (strcmp(list[layer].name, list[i].name) == 0)
            return refuse(r, path, "%s: model.layers[%d] is called %s, too; choose another name",
                          path, i, list[i].name);
    return 0;
}

static int check_layer(const rules *r, int layer) {
    const qd_layer_spec *l = &r->model->list[layer];
    char path[64];
    layer_path(path, layer, "");
    if (l->kind == QD_LAYER_ATTENTION && r->model->next_token && !l->causal)
        return refuse(r, path,
                      "%s: attention that sees the next token can't learn to predict it; set "
                      "causal: true",
                      path);
    return check_name(r, layer);
}

int qd_layer_list_resolve(const char *file, const qd_schema_lines *lines, qd_job *job) {
    rules r = {file, lines, &job->model};
    int rc;
    if (job->model.family != QD_FAMILY_LAYERS)
        return 0;
    if ((rc = check_input(&r)) || (rc = check_outcome(&r)))
        return rc;
    if (job->model.list_count == 0)
        return refuse(&r, "model.layers", "model.layers is empty; list one layer or more");
    for (int i = 0; i < job->model.list_count && !rc; i++) {
        fill_layer(&r, i);
        rc = check_layer(&r, i);
    }
    return rc;
}

int qd_layer_list_check(const char *file, const qd_schema_lines *lines, const qd_job *job) {
    qd_graph *graph;
    int layer = 0;
    char path[64];
    if (job->model.family != QD_FAMILY_LAYERS)
        return 0;
    int rc = qd_graph_create(qd_job_graph_samples(job), &graph);
    if (rc)
        return rc;
    rc = qd_layer_list_build(job, graph, &layer);
    qd_graph_destroy(graph);
    layer_path(path, layer, "");
    return rc ? qd_error_context(rc, "%s:%d: %s", file, qd_schema_line(lines, path), path) : 0;
}
