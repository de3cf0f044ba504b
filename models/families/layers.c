/*
 * A list of layers, as the job file has it (models/layer_list.h): each reads what the one above it
 * gives, or another by name. What layers start from is what PyTorch's modules of their names do.
 */
#include "models/families/layers.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "models/family.h"
#include "models/layers.h"
#include "runtime/error.h"
#include "runtime/nearest.h"

typedef struct builder {
    const qd_model_spec *model;
    qd_graph *graph;
    int outputs[QD_LIST_MAX_LAYERS]; /* values */
    int lengths; /* of texts, without the padding behind them; QD_NO_LENGTHS until one asks */
} builder;

/* Each adds one layer that reads the value x; returns its output's value. */
typedef int (*add_layer)(builder *b, const qd_layer_spec *l, int x);

static const qd_shape *shape_of(const builder *b, int value) {
    return &b->graph->values[value].shape;
}

static int64_t last_dim(const builder *b, int value) {
    const qd_shape *shape = shape_of(b, value);
    return shape->dim[shape->dims - 1];
}

/* For layers whose parameters could not even be named before the operator looks at x. */
static int expect(const builder *b, const qd_layer_spec *l, int x, qd_dtype dtype, int dims,
                  const char *takes) {
    const qd_value *value = &b->graph->values[x];
    char text[64];
    if (value->dtype == dtype && value->shape.dims == dims)
        return 0;
    return qd_error_set(QD_ECONFIG, "%s: input %s of %s; %s takes %s", l->name,
                        qd_shape_text(&value->shape, text, sizeof text),
                        value->dtype == QD_F32 ? "float" : "integers", qd_layer_kind_word(l->kind),
                        takes);
}

/* Lengths of the samples where they are texts padded to one length. */
static int lengths_of(builder *b) {
    if (b->model->context && !b->model->next_token && b->lengths == QD_NO_LENGTHS)
        b->lengths = qd_layer_apply(b->graph, &qd_op_token_lengths, "lengths", b->graph->input);
    return b->lengths;
}

/* ---- layers with parameters ---- */

static int add_linear(builder *b, const qd_layer_spec *l, int x) {
    qd_linear_spec spec = qd_layer_linear_start(last_dim(b, x));
    spec.without_bias = !l->bias;
    return qd_layer_linear(b->graph, l->name, x, l->width, spec);
}

/* Whether the layer below is a relu that alone reads this one: then it costs no pass of its own. */
static bool is_rectified(const builder *b, const qd_layer_spec *l) {
    const qd_layer_spec *end = b->model->list + b->model->list_count, *next = l + 1;
    if (next == end || next->kind != QD_LAYER_RELU || next->from[0])
        return false;
    for (const qd_layer_spec *other = next; other < end; other++)
        if (strcmp(other->from, l->name) == 0 || strcmp(other->with, l->name) == 0)
            return false;
    return true;
}

static int add_convolution(builder *b, const qd_layer_spec *l, int x) {
    int64_t in = last_dim(b, x);
    int rc = expect(b, l, x, QD_F32, 4, "images [n, height, width, channels]");
    if (rc)
        return rc;
    if (in % l->groups || l->width % l->groups)
        return qd_error_set(QD_ECONFIG,
                            "%s: groups %" PRId64 " must divide the %" PRId64
                            " channels that come in and the %" PRId64 " filters",
                            l->name, l->groups, in, l->width);
    qd_convolution_spec spec = {.out = l->width,
                                .kernel = l->window,
                                .stride = l->stride,
                                .padding = l->padding,
                                .groups = l->groups,
                                .without_bias = !l->bias,
                                .rectifies = is_rectified(b, l)};
    return qd_layer_convolve(b->graph, l->name, x, spec);
}

static int add_relu(builder *b, const qd_layer_spec *l, int x) {
    const qd_layer_spec *above = l - 1;
    bool done = l > b->model->list && above->kind == QD_LAYER_CONVOLUTION && is_rectified(b, above);
    return done ? x : qd_layer_apply(b->graph, &qd_op_relu, l->name, x);
}

static int add_embedding(builder *b, const qd_layer_spec *l, int x) {
    int rc = expect(b, l, x, QD_I32, 2, "the model's input where it is tokens");
    return rc ? rc
              : qd_layer_embedding(b->graph, l->name, x, b->model->vocabulary, l->width,
                                   (qd_init){QD_INIT_NORMAL, (float)l->std});
}

static const char positions[] = "[n, length, width]";

static int add_position(builder *b, const qd_layer_spec *l, int x) {
    int rc = expect(b, l, x, QD_F32, 3, positions);
    return rc ? rc
              : qd_layer_position(b->graph, l->name, x, (qd_init){QD_INIT_NORMAL, (float)l->std});
}

static int add_attention(builder *b, const qd_layer_spec *l, int x) {
    int rc = expect(b, l, x, QD_F32, 3, positions);
    if (rc)
        return rc;
    if (last_dim(b, x) % l->heads || l->heads % l->kv_heads)
        return qd_error_set(QD_ECONFIG,
                            "%s: heads %" PRId64 " must divide the width %" PRId64
                            " that comes in, and kv_heads %" PRId64 " must divide heads",
                            l->name, l->heads, last_dim(b, x), l->kv_heads);
    qd_attention_spec spec = {.heads = l->heads,
                              .kv_heads = l->kv_heads,
                              .causal = l->causal,
                              .rotary = l->rotary,
                              .without_bias = !l->bias};
    return qd_layer_attention(b->graph, l->name, x, lengths_of(b), spec);
}

static int add_lstm(builder *b, const qd_layer_spec *l, int x) {
    return qd_layer_lstm(b->graph, l->name, x, lengths_of(b), l->width);
}

static int add_gru(builder *b, const qd_layer_spec *l, int x) {
    return qd_layer_gru(b->graph, l->name, x, lengths_of(b), l->width);
}

static int add_batch_norm(builder *b, const qd_layer_spec *l, int x) {
    return qd_layer_batch_norm(b->graph, l->name, x, (float)l->epsilon, (float)l->momentum);
}

static int add_layer_norm(builder *b, const qd_layer_spec *l, int x) {
    return qd_layer_norm(b->graph, l->name, x, (float)l->epsilon);
}

static int add_rms_norm(builder *b, const qd_layer_spec *l, int x) {
    return qd_layer_rms_norm(b->graph, l->name, x, (float)l->epsilon);
}

/* ---- layers without ---- */

static int add_max_pool(builder *b, const qd_layer_spec *l, int x) {
    return qd_layer_max_pool(b->graph, l->name, x, l->window, l->stride, l->padding);
}

static int add_mean_pool(builder *b, const qd_layer_spec *l, int x) {
    return qd_layer_mean_pool(b->graph, l->name, x, l->window, l->stride, l->padding);
}

static int reshape(builder *b, const char *name, int x, qd_shape shape) {
    return x < 0 ? x
                 : qd_graph_add_node_with(b->graph, &qd_op_reshape, name, &x, 1, NULL, 0,
                                          (qd_op_attributes){.reshape = {shape}});
}

/* [n, .., c] -> [n, .. c] */
static int flatten(builder *b, const char *name, int x) {
    if (x < 0)
        return x;
    int64_t n = b->graph->samples;
    qd_shape shape = {.dims = 2, .dim = {n, qd_shape_elements(shape_of(b, x)) / n}};
    return reshape(b, name, x, shape);
}

static int add_flatten(builder *b, const qd_layer_spec *l, int x) {
    return flatten(b, l->name, x);
}

static int add_global_mean_pool(builder *b, const qd_layer_spec *l, int x) {
    char name[QD_MAX_NAME];
    snprintf(name, sizeof name, "%s.flatten", l->name);
    return flatten(b, name, qd_layer_global_mean(b->graph, l->name, x));
}

static int add_reshape(builder *b, const qd_layer_spec *l, int x) {
    qd_shape shape = {.dims = 1 + l->shape_count, .dim = {b->graph->samples}};
    int64_t left = qd_shape_elements(shape_of(b, x)) / b->graph->samples;
    for (int i = 0; i < l->shape_count; i++) {
        shape.dim[1 + i] = l->shape[i];
        left = left % l->shape[i] ? 0 : left / l->shape[i];
    }
    char text[64];
    if (left != 1)
        return qd_error_set(QD_ECONFIG,
                            "%s: the product of shape's entries is not the number of elements of "
                            "input %s, the first dimension, samples, apart",
                            l->name, qd_shape_text(shape_of(b, x), text, sizeof text));
    return reshape(b, l->name, x, shape);
}

static int add_position_mean(builder *b, const qd_layer_spec *l, int x) {
    int lengths = lengths_of(b);
    if (lengths == QD_NO_LENGTHS)
        return qd_layer_apply(b->graph, &qd_op_position_mean, l->name, x);
    return qd_layer_apply_lengths(b->graph, &qd_op_position_mean_lengths, l->name, x, lengths,
                                  (qd_op_attributes){0});
}

static int add_position_take(builder *b, const qd_layer_spec *l, int x) {
    int64_t last = shape_of(b, x)->dim[1] - 1;
    return qd_layer_position_take(b->graph, l->name, x, l->position < 0 ? last : l->position);
}

static int add_dropout(builder *b, const qd_layer_spec *l, int x) {
    return qd_layer_dropout(b->graph, l->name, x, l->rate);
}

/* The output of the layer of that name among the first `count`. */
static int find(const builder *b, const char *key, const char *name, int count) {
    const char *names[QD_LIST_MAX_LAYERS + 1] = {"input"};
    if (strcmp(name, names[0]) == 0)
        return b->graph->input;
    for (int i = 0; i < count; i++) {
        names[1 + i] = b->model->list[i].name;
        if (strcmp(name, names[1 + i]) == 0)
            return b->outputs[i];
    }
    const char *nearest = qd_nearest(name, names, (size_t)count + 1);
    if (nearest)
        return qd_error_set(QD_ECONFIG, "%s: no layer above is called %s; did you mean %s?", key,
                            name, nearest);
    return qd_error_set(
        QD_ECONFIG, "%s: no layer above is called %s; give the name of one, or input", key, name);
}

static int join(builder *b, const qd_layer_spec *l, const qd_op *op, int x) {
    int other = find(b, "with", l->with, (int)(l - b->model->list));
    if (other < 0)
        return other;
    return qd_graph_add_node(b->graph, op, l->name, (int[]){x, other}, 2, NULL, 0);
}

static int add_add(builder *b, const qd_layer_spec *l, int x) {
    return join(b, l, &qd_op_add, x);
}

static int add_concat(builder *b, const qd_layer_spec *l, int x) {
    return join(b, l, &qd_op_concat, x);
}

static int add_elementwise(builder *b, const qd_layer_spec *l, int x) {
    static const qd_op *const ops[QD_LAYER_KINDS] = {
        [QD_LAYER_GELU] = &qd_op_gelu,       [QD_LAYER_GELU_TANH] = &qd_op_gelu_tanh,
        [QD_LAYER_SILU] = &qd_op_silu,       [QD_LAYER_TANH] = &qd_op_tanh,
        [QD_LAYER_SIGMOID] = &qd_op_sigmoid, [QD_LAYER_SOFTMAX] = &qd_op_softmax,
    };
    return qd_layer_apply(b->graph, ops[l->kind], l->name, x);
}

static const add_layer adders[QD_LAYER_KINDS] = {
    [QD_LAYER_LINEAR] = add_linear,
    [QD_LAYER_CONVOLUTION] = add_convolution,
    [QD_LAYER_EMBEDDING] = add_embedding,
    [QD_LAYER_POSITION] = add_position,
    [QD_LAYER_ATTENTION] = add_attention,
    [QD_LAYER_LSTM] = add_lstm,
    [QD_LAYER_GRU] = add_gru,
    [QD_LAYER_BATCH_NORM] = add_batch_norm,
    [QD_LAYER_LAYER_NORM] = add_layer_norm,
    [QD_LAYER_RMS_NORM] = add_rms_norm,
    [QD_LAYER_MAX_POOL] = add_max_pool,
    [QD_LAYER_MEAN_POOL] = add_mean_pool,
    [QD_LAYER_GLOBAL_MEAN_POOL] = add_global_mean_pool,
    [QD_LAYER_POSITION_MEAN] = add_position_mean,
    [QD_LAYER_POSITION_TAKE] = add_position_take,
    [QD_LAYER_FLATTEN] = add_flatten,
    [QD_LAYER_RESHAPE] = add_reshape,
    [QD_LAYER_ADD] = add_add,
    [QD_LAYER_CONCAT] = add_concat,
    [QD_LAYER_DROPOUT] = add_dropout,
    [QD_LAYER_RELU] = add_relu,
    [QD_LAYER_GELU] = add_elementwise,
    [QD_LAYER_GELU_TANH] = add_elementwise,
    [QD_LAYER_SILU] = add_elementwise,
    [QD_LAYER_TANH] = add_elementwise,
    [QD_LAYER_SIGMOID] = add_elementwise,
    [QD_LAYER_SOFTMAX] = add_elementwise,
};

/* ---- the whole ---- */

static int add_input(builder *b) {
    const qd_model_spec *m = b->model;
    qd_shape shape = {.dims = 2, .dim = {b->graph->samples, m->context ? m->context : m->inputs}};
    if (m->image_count)
        return qd_layer_image_input(b->graph, m);
    b->graph->input =
        qd_graph_add_value(b->graph, "input", QD_VALUE_INPUT, m->context ? QD_I32 : QD_F32, &shape);
    return b->graph->input;
}

static int add_one(builder *b, int layer) {
    const qd_layer_spec *l = &b->model->list[layer];
    int x = layer > 0 ? b->outputs[layer - 1] : b->graph->input;
    if (l->from[0])
        x = find(b, "from", l->from, layer);
    if (x >= 0 && l->kind != QD_LAYER_EMBEDDING && b->graph->values[x].dtype == QD_I32)
        return qd_error_set(QD_ECONFIG,
                            "%s: the input is tokens, which embedding alone takes; put "
                            "one above",
                            l->name);
    return x < 0 ? x : adders[l->kind](b, l, x);
}

static bool is_read(const qd_graph *graph, int value) {
    for (int n = 0; n < graph->node_count; n++)
        for (int i = 0; i < graph->nodes[n].input_count; i++)
            if (graph->nodes[n].inputs[i] == value)
                return true;
    return false;
}

/* What nobody reads would have no gradient. */
static int check_all_are_read(const builder *b, int logits, int *layer) {
    for (int i = 0; i < b->model->list_count; i++) {
        *layer = i;
        if (b->outputs[i] != logits && !is_read(b->graph, b->outputs[i]))
            return qd_error_set(QD_ECONFIG,
                                "no layer reads what %s gives; name it in the from or with of one "
                                "below, or remove it",
                                b->model->list[i].name);
    }
    return 0;
}

/* The width, and its key, that the last layer must have. */
static int64_t width_wanted(const qd_model_spec *m, const char **key) {
    *key = m->outputs ? "outputs" : m->classes ? "classes" : "vocabulary";
    return m->outputs ? m->outputs : m->classes ? m->classes : m->vocabulary;
}

static int check_last(const builder *b, int logits) {
    const qd_model_spec *m = b->model;
    const qd_value *value = &b->graph->values[logits];
    const char *key, *name = m->list[m->list_count - 1].name;
    int64_t width = width_wanted(m, &key);
    qd_shape wanted = {.dims = 2, .dim = {b->graph->samples, width}};
    if (m->next_token)
        wanted = (qd_shape){.dims = 3, .dim = {b->graph->samples, m->context, width}};
    char is[64], needs[64], remedy[64] = "first take a mean, one position, or flatten";
    qd_shape_text(&value->shape, is, sizeof is);
    qd_shape_text(&wanted, needs, sizeof needs);
    if (value->shape.dims == wanted.dims)
        snprintf(remedy, sizeof remedy, "end with {kind: linear, width: %" PRId64 "}", width);
    if (strcmp(is, needs) != 0)
        return qd_error_set(QD_ECONFIG,
                            "the last layer, %s, gives %s; model.%s %" PRId64 " needs %s: %s", name,
                            is, key, width, needs, remedy);
    if (!value->needs_grad)
        return qd_error_set(QD_ECONFIG,
                            "no layer up to %s has parameters to train; add one, such "
                            "as linear",
                            name);
    return 0;
}

static int add_loss(const builder *b, int logits) {
    const qd_model_spec *m = b->model;
    if (m->outputs)
        return qd_layer_regress(b->graph, m, logits);
    qd_shape shape = *shape_of(b, logits);
    shape.dims--;
    b->graph->target = qd_graph_add_value(b->graph, "target", QD_VALUE_TARGET, QD_I32, &shape);
    if (b->graph->target < 0)
        return b->graph->target;
    return qd_layer_cross_entropy(b->graph, m, logits, false);
}

int qd_layer_list_build(const qd_job *job, qd_graph *graph, int *layer) {
    builder b = {.model = &job->model, .graph = graph, .lengths = QD_NO_LENGTHS};
    int rc = add_input(&b);
    *layer = 0;
    for (int i = 0; i < b.model->list_count && rc >= 0; i++) {
        *layer = i;
        rc = b.outputs[i] = add_one(&b, i);
    }
    int logits = rc;
    if (rc >= 0)
        rc = check_last(&b, logits);
    if (!rc)
        rc = check_all_are_read(&b, logits, layer);
    return rc ? rc : add_loss(&b, logits);
}

static int build(const qd_job *job, qd_graph *g) {
    int layer, rc = qd_layer_list_build(job, g, &layer);
    return rc ? qd_error_context(rc, "layers[%d]", layer) : 0;
}

static qd_sample_spec sample(const qd_job *job) {
    const qd_model_spec *m = &job->model;
    qd_sample_spec spec = m->image_count ? qd_image_sample(m) : qd_text_sample(m);
    if (m->inputs) {
        spec.input_dtype = QD_F32;
        spec.inputs = m->inputs;
    }
    if (m->next_token) {
        spec.next_token = true;
        spec.targets = m->context;
        spec.classes = m->vocabulary;
    }
    if (m->outputs) {
        spec.targets = m->outputs;
        spec.target_dtype = QD_F32;
    }
    return spec;
}

const qd_family qd_family_layers = {.name = "layers", .sample = sample, .build = build};
