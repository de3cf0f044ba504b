#include "models/layers.h"

#include <math.h>
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

int64_t qd_layer_held(const qd_graph *graph, int64_t units) {
    int64_t first, end;
    qd_cut_held(graph, units, 1, &first, &end);
    return end - first;
}

/* Adds the parameter NAME.SUFFIX of a layer that is cut, along a dimension of it. */
static int add_cut_param(qd_graph *graph, const char *name, const char *suffix,
                         const qd_shape *shape, int cut_dim, int64_t unit, qd_init init) {
    char full[2 * QD_MAX_NAME];
    snprintf(full, sizeof full, "%s.%s", name, suffix);
    return qd_graph_add_cut_param(graph, full, shape, cut_dim, unit, init);
}

/* The weight [out, in] and bias [out] of a layer, or the part of each that the graph holds. */
static int add_linear_params(qd_graph *graph, const char *name, int64_t out, int64_t in,
                             const qd_linear_spec *spec, int params[2]) {
    qd_shape weight = {.dims = 2, .dim = {out, in}}, bias = {.dims = 1, .dim = {out}};
    params[0] = spec->cut == QD_CUT_NONE
                    ? add_param(graph, name, "weight", &weight, spec->weight)
                    : add_cut_param(graph, name, "weight", &weight, spec->cut == QD_CUT_OUT ? 0 : 1,
                                    spec->unit, spec->weight);
    if (params[0] < 0 || spec->without_bias)
        return params[0];
    params[1] = spec->cut == QD_CUT_OUT
                    ? add_cut_param(graph, name, "bias", &bias, 0, spec->unit, spec->bias)
                    : add_param(graph, name, "bias", &bias, spec->bias);
    return params[1];
}

static int add_linear(qd_graph *graph, const char *name, int x, int64_t out, bool flatten,
                      qd_linear_spec spec) {
    const qd_shape *shape = &graph->values[x].shape;
    int64_t in = flatten ? qd_shape_elements(shape) / graph->samples : last_dim(graph, x);
    int params[2];
    int rc = add_linear_params(graph, name, out, spec.cut == QD_CUT_IN && spec.in ? spec.in : in,
                               &spec, params);
    if (rc < 0)
        return rc;
    qd_op_attributes attributes = {
        .linear = {.flatten = flatten, .cut = spec.cut, .unit = spec.unit}};
    return qd_graph_add_node_with(graph, &qd_op_linear, name, &x, 1, params,
                                  spec.without_bias ? 1 : 2, attributes);
}

int qd_layer_linear(qd_graph *graph, const char *name, int x, int64_t out, qd_linear_spec spec) {
    return x < 0 ? x : add_linear(graph, name, x, out, false, spec);
}

static qd_init within(double fan_in) {
    return (qd_init){QD_INIT_UNIFORM, (float)(1.0 / sqrt(fan_in))};
}

qd_linear_spec qd_layer_linear_start(int64_t in) {
    return (qd_linear_spec){.weight = within((double)in), .bias = within((double)in)};
}

int qd_layer_dense(qd_graph *graph, const char *name, int x, int64_t out) {
    if (x < 0)
        return x;
    int64_t in = qd_shape_elements(&graph->values[x].shape) / graph->samples;
    return add_linear(graph, name, x, out, true, qd_layer_linear_start(in));
}

static const qd_op *const activations[] = {
    [QD_ACTIVATION_RELU] = &qd_op_relu,       [QD_ACTIVATION_GELU] = &qd_op_gelu,
    [QD_ACTIVATION_SILU] = &qd_op_silu,       [QD_ACTIVATION_TANH] = &qd_op_tanh,
    [QD_ACTIVATION_SIGMOID] = &qd_op_sigmoid,
};

int qd_layer_activation(qd_graph *graph, qd_activation_kind kind, const char *name, int x) {
    return qd_layer_apply(graph, activations[kind], name, x);
}

int qd_layer_perceptron(qd_graph *graph, const qd_model_spec *model, int x, int64_t out) {
    char name[QD_MAX_NAME];
    for (int layer = 0; layer < model->hidden_count; layer++) {
        snprintf(name, sizeof name, "layer%d", layer);
        x = qd_layer_dense(graph, name, x, model->hidden[layer]);
        snprintf(name, sizeof name, "%s%d", activations[model->activation]->name, layer);
        x = qd_layer_activation(graph, model->activation, name, x);
        snprintf(name, sizeof name, "dropout%d", layer);
        x = qd_layer_dropout(graph, name, x, model->dropout);
    }
    snprintf(name, sizeof name, "layer%d", model->hidden_count);
    return qd_layer_dense(graph, name, x, out);
}

/* weight and bias: how they start; the latter is not looked at where there is none. */
static int add_convolution(qd_graph *graph, const char *name, int x, qd_convolution_spec spec,
                           qd_init weight, qd_init bias) {
    qd_shape weight_shape = {
        .dims = 4, .dim = {spec.out, last_dim(graph, x) / spec.groups, spec.kernel, spec.kernel}};
    qd_shape bias_shape = {.dims = 1, .dim = {spec.out}};
    int params[2] = {add_param(graph, name, "weight", &weight_shape, weight), 0};
    if (params[0] < 0)
        return params[0];
    if (!spec.without_bias)
        params[1] = add_param(graph, name, "bias", &bias_shape, bias);
    if (params[1] < 0)
        return params[1];
    qd_op_attributes attributes = {.convolution = {.stride = {spec.stride, spec.stride},
                                                   .padding = {spec.padding, spec.padding},
                                                   .groups = spec.groups,
                                                   .rectifies = spec.rectifies}};
    return qd_graph_add_node_with(graph, &qd_op_convolution, name, &x, 1, params,
                                  spec.without_bias ? 1 : 2, attributes);
}

int qd_layer_convolve(qd_graph *graph, const char *name, int x, qd_convolution_spec spec) {
    if (x < 0)
        return x;
    double in = (double)(last_dim(graph, x) / spec.groups);
    qd_init init = within(in * (double)(spec.kernel * spec.kernel));
    return add_convolution(graph, name, x, spec, init, init);
}

int qd_layer_convolution(qd_graph *graph, const char *name, int x, int64_t out, int64_t kernel,
                         int64_t stride, bool rectifies) {
    qd_convolution_spec spec = {.out = out,
                                .kernel = kernel,
                                .stride = stride,
                                .padding = (kernel - 1) / 2,
                                .groups = 1,
                                .rectifies = rectifies};
    return qd_layer_convolve(graph, name, x, spec);
}

/* PyTorch's. */
static const float batch_norm_epsilon = 1e-5f, batch_norm_momentum = 0.1f;

int qd_layer_convolution_norm(qd_graph *graph, const char *name, int x, int64_t out, int64_t kernel,
                              int64_t stride) {
    if (x < 0)
        return x;
    qd_convolution_spec spec = {.out = out,
                                .kernel = kernel,
                                .stride = stride,
                                .padding = (kernel - 1) / 2,
                                .groups = 1,
                                .without_bias = true};
    double fan_out = (double)(out * kernel * kernel);
    qd_init init = {QD_INIT_NORMAL, (float)sqrt(2.0 / fan_out)};
    char norm[2 * QD_MAX_NAME];
    snprintf(norm, sizeof norm, "%s.norm", name);
    return qd_layer_batch_norm(graph, norm, add_convolution(graph, name, x, spec, init, init),
                               batch_norm_epsilon, batch_norm_momentum);
}

int qd_layer_batch_norm(qd_graph *graph, const char *name, int x, float epsilon, float momentum) {
    if (x < 0)
        return x;
    qd_shape shape = {.dims = 1, .dim = {last_dim(graph, x)}};
    static const struct {
        const char *suffix;
        qd_init_kind init;
        bool statistic;
    } rows[] = {{"weight", QD_INIT_ONE, false},
                {"bias", QD_INIT_ZERO, false},
                {"mean", QD_INIT_ZERO, true},
                {"variance", QD_INIT_ONE, true}};
    int params[4];
    for (int i = 0; i < 4; i++) {
        params[i] = add_param(graph, name, rows[i].suffix, &shape, (qd_init){rows[i].init, 0});
        if (params[i] < 0)
            return params[i];
        if (rows[i].statistic)
            qd_graph_make_statistic(graph, params[i], momentum);
    }
    return qd_graph_add_node_with(graph, &qd_op_batch_norm, name, &x, 1, params, 4,
                                  (qd_op_attributes){.norm = {epsilon}});
}

static int add_pool(qd_graph *graph, const qd_op *op, const char *name, int x, int64_t window,
                    int64_t stride, int64_t padding) {
    qd_op_attributes attributes = {.pool = {.window = {window, window},
                                            .stride = {stride, stride},
                                            .padding = {padding, padding}}};
    return x < 0 ? x : qd_graph_add_node_with(graph, op, name, &x, 1, NULL, 0, attributes);
}

int qd_layer_max_pool(qd_graph *graph, const char *name, int x, int64_t window, int64_t stride,
                      int64_t padding) {
    return add_pool(graph, &qd_op_max_pool, name, x, window, stride, padding);
}

int qd_layer_mean_pool(qd_graph *graph, const char *name, int x, int64_t window, int64_t stride,
                       int64_t padding) {
    return add_pool(graph, &qd_op_mean_pool, name, x, window, stride, padding);
}

int qd_layer_global_mean(qd_graph *graph, const char *name, int x) {
    if (x < 0)
        return x;
    const int64_t *dim = graph->values[x].shape.dim;
    qd_op_attributes attributes = {.pool = {.window = {dim[1], dim[2]}, .stride = {1, 1}}};
    return qd_graph_add_node_with(graph, &qd_op_mean_pool, name, &x, 1, NULL, 0, attributes);
}

int qd_layer_cross_entropy(qd_graph *graph, const qd_model_spec *model, int logits, bool cut) {
    qd_op_attributes attributes = {
        .cross_entropy = {.label_smoothing = (float)model->label_smoothing,
                          .has_ignored_index = model->ignored_index.given,
                          .ignored_index = (int32_t)model->ignored_index.value,
                          .cut = cut,
                          .classes = cut ? model->vocabulary : 0}};
    int rc = 0;
    if (logits < 0)
        return logits;
    if (model->class_weight_count)
        rc = qd_graph_set_class_weights(graph, model->class_weights, model->class_weight_count);
    if (rc)
        return rc;
    graph->logits = logits;
    graph->loss = qd_graph_add_node_with(graph, &qd_op_cross_entropy, "loss",
                                         (int[]){logits, graph->target}, 2, NULL, 0, attributes);
    return graph->loss < 0 ? graph->loss : 0;
}

int qd_layer_classify(qd_graph *graph, const qd_model_spec *model, int logits) {
    qd_shape shape = {.dims = 1, .dim = {graph->samples}};
    if (logits < 0)
        return logits;
    graph->target = qd_graph_add_value(graph, "target", QD_VALUE_TARGET, QD_I32, &shape);
    if (graph->target < 0)
        return graph->target;
    return qd_layer_cross_entropy(graph, model, logits, false);
}

int qd_layer_dropout(qd_graph *graph, const char *name, int x, double rate) {
    qd_op_attributes attributes = {.dropout = {(float)rate}};
    if (x < 0 || rate == 0)
        return x;
    return qd_graph_add_node_with(graph, &qd_op_dropout, name, &x, 1, NULL, 0, attributes);
}

int qd_layer_regress(qd_graph *graph, const qd_model_spec *model, int outputs) {
    static const qd_op *const losses[] = {[QD_LOSS_MSE] = &qd_op_mse,
                                          [QD_LOSS_HUBER] = &qd_op_huber,
                                          [QD_LOSS_BINARY_CROSS_ENTROPY] =
                                              &qd_op_binary_cross_entropy,
                                          [QD_LOSS_KL] = &qd_op_kl};
    qd_op_attributes attributes = {0};
    if (outputs < 0)
        return outputs;
    if (model->loss == QD_LOSS_HUBER)
        attributes.huber.delta = (float)model->delta;
    graph->logits = outputs;
    graph->target =
        qd_graph_add_value(graph, "target", QD_VALUE_TARGET, QD_F32, &graph->values[outputs].shape);
    if (graph->target < 0)
        return graph->target;
    graph->loss = qd_graph_add_node_with(graph, losses[model->loss], "loss",
                                         (int[]){outputs, graph->target}, 2, NULL, 0, attributes);
    return graph->loss < 0 ? graph->loss : 0;
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

int qd_layer_rms_norm(qd_graph *graph, const char *name, int x, float epsilon) {
    if (x < 0)
        return x;
    qd_shape shape = {.dims = 1, .dim = {last_dim(graph, x)}};
    int gain = add_param(graph, name, "weight", &shape, (qd_init){QD_INIT_ONE, 0});
    return gain < 0 ? gain
                    : qd_graph_add_node_with(graph, &qd_op_rms_norm, name, &x, 1, &gain, 1,
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

int qd_layer_embedding(qd_graph *graph, const char *name, int tokens, int64_t vocabulary,
                       int64_t width, qd_init init) {
    if (tokens < 0)
        return tokens;
    qd_shape shape = {.dims = 2, .dim = {vocabulary, width}};
    int table = add_cut_param(graph, name, "weight", &shape, 0, 1, init);
    return table < 0 ? table
                     : qd_graph_add_node(graph, &qd_op_embedding, name, &tokens, 1, &table, 1);
}

int qd_layer_position(qd_graph *graph, const char *name, int x, qd_init init) {
    if (x < 0)
        return x;
    const int64_t *dim = qd_value_whole(&graph->values[x])->dim;
    qd_shape shape = {.dims = 2, .dim = {dim[1], dim[2]}};
    int table = add_param(graph, name, "weight", &shape, init);
    return table < 0 ? table : qd_graph_add_node(graph, &qd_op_position, name, &x, 1, &table, 1);
}

int qd_layer_image_input(qd_graph *graph, const qd_model_spec *model) {
    const int64_t *image = model->image;
    qd_shape shape = {.dims = 4, .dim = {graph->samples, image[0], image[1], image[2]}};
    return graph->input = qd_graph_add_value(graph, "input", QD_VALUE_INPUT, QD_F32, &shape);
}

qd_sample_spec qd_image_sample(const qd_model_spec *model) {
    const int64_t *image = model->image;
    return (qd_sample_spec){.input_dtype = QD_F32,
                            .inputs = image[0] * image[1] * image[2],
                            .targets = 1,
                            .target_dtype = QD_I32,
                            .classes = model->classes};
}

qd_text_input qd_layer_text_input(qd_graph *graph, const qd_model_spec *model) {
    qd_shape shape = {.dims = 2, .dim = {graph->samples, model->context}};
    graph->input = qd_graph_add_value(graph, "input", QD_VALUE_INPUT, QD_I32, &shape);
    int lengths = qd_layer_apply(graph, &qd_op_token_lengths, "lengths", graph->input);
    return (qd_text_input){lengths < 0 ? lengths : graph->input, lengths};
}

qd_sample_spec qd_text_sample(const qd_model_spec *model) {
    return (qd_sample_spec){.input_dtype = QD_I32,
                            .inputs = model->context,
                            .targets = 1,
                            .target_dtype = QD_I32,
                            .vocabulary = model->vocabulary,
                            .classes = model->classes};
}

int qd_layer_apply_lengths(qd_graph *graph, const qd_op *op, const char *name, int x, int lengths,
                           qd_op_attributes attributes) {
    if (x < 0 || lengths < 0)
        return x < 0 ? x : lengths;
    return qd_graph_add_node_with(graph, op, name, (int[]){x, lengths}, 2, NULL, 0, attributes);
}

/* op is given the lengths too unless there are none. */
static int add_recurrence(qd_graph *graph, const qd_op *op, int64_t gates, const char *name, int x,
                          int lengths, int64_t width) {
    if (x < 0 || lengths < 0)
        return x < 0 ? x : lengths;
    int64_t rows = gates * width;
    const struct {
        const char *suffix;
        qd_shape shape;
    } parts[] = {{"weight_ih", {.dims = 2, .dim = {rows, last_dim(graph, x)}}},
                 {"weight_hh", {.dims = 2, .dim = {rows, width}}},
                 {"bias_ih", {.dims = 1, .dim = {rows}}},
                 {"bias_hh", {.dims = 1, .dim = {rows}}}};
    int params[4];
    for (int i = 0; i < 4; i++) {
        params[i] = add_param(graph, name, parts[i].suffix, &parts[i].shape, within((double)width));
        if (params[i] < 0)
            return params[i];
    }
    return qd_graph_add_node(graph, op, name, (int[]){x, lengths}, op->inputs, params, 4);
}

int qd_layer_lstm(qd_graph *graph, const char *name, int x, int lengths, int64_t width) {
    const qd_op *op = lengths == QD_NO_LENGTHS ? &qd_op_lstm : &qd_op_lstm_lengths;
    return add_recurrence(graph, op, 4, name, x, lengths, width);
}

int qd_layer_gru(qd_graph *graph, const char *name, int x, int lengths, int64_t width) {
    const qd_op *op = lengths == QD_NO_LENGTHS ? &qd_op_gru : &qd_op_gru_lengths;
    return add_recurrence(graph, op, 3, name, x, lengths, width);
}

const float qd_rotary_theta = 10000;

int qd_layer_attention(qd_graph *graph, const char *name, int x, int lengths,
                       qd_attention_spec spec) {
    if (x < 0 || lengths < 0)
        return x < 0 ? x : lengths;
    int64_t width = last_dim(graph, x), head = width / spec.heads;
    int64_t group = spec.heads / spec.kv_heads; /* query heads of a key head */
    int64_t rows = (spec.heads + 2 * spec.kv_heads) * head;
    qd_linear_spec qkv = {.weight = {QD_INIT_UNIFORM, (float)sqrt(6.0 / (double)(width + rows))},
                          .cut = QD_CUT_OUT,
                          .unit = (group + 2) * head,
                          .without_bias = spec.without_bias};
    qd_linear_spec proj = {.weight = within((double)width),
                           .cut = QD_CUT_IN,
                           .unit = group * head,
                           .in = width,
                           .without_bias = spec.without_bias};
    int64_t kv_heads = qd_layer_held(graph, spec.kv_heads);
    qd_op_attributes attributes = {
        .attention = {.heads = kv_heads * group, .kv_heads = kv_heads, .causal = spec.causal}};
    const qd_op *op = lengths == QD_NO_LENGTHS ? &qd_op_attention : &qd_op_attention_lengths;
    char part[2 * QD_MAX_NAME];
    snprintf(part, sizeof part, "%s.qkv", name);
    int y = qd_layer_linear(graph, part, x, rows, qkv);
    snprintf(part, sizeof part, "%s.rotary", name);
    if (spec.rotary)
        y = qd_layer_rotary(graph, part, y, kv_heads * group, kv_heads, qd_rotary_theta);
    if (y < 0)
        return y;
    y = qd_graph_add_node_with(graph, op, name, (int[]){y, lengths}, op->inputs, NULL, 0,
                               attributes);
    snprintf(part, sizeof part, "%s.proj", name);
    return qd_layer_linear(graph, part, y, width, proj);
}

int qd_layer_position_take(qd_graph *graph, const char *name, int x, int64_t position) {
    qd_op_attributes attributes = {.position_take = {position}};
    return x < 0 ? x
                 : qd_graph_add_node_with(graph, &qd_op_position_take, name, &x, 1, NULL, 0,
                                          attributes);
}

int qd_layer_rotary(qd_graph *graph, const char *name, int x, int64_t heads, int64_t kv_heads,
                    float theta) {
    qd_op_attributes attributes = {.rotary = {heads, kv_heads, theta}};
    return x < 0 ? x
                 : qd_graph_add_node_with(graph, &qd_op_rotary, name, &x, 1, NULL, 0, attributes);
}
