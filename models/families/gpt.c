/*
 * GPT-2 (Radford et al., "Language Models are Unsupervised Multitask Learners", 2019, section 2.3):
 * a decoder of Transformer blocks, norms before the sublayers, learned positions, the output tied
 * to the token embedding. Positions may be rotary, and keys and values shared by groups of query
 * heads, as in Llama 2 (Touvron et al., arXiv 2307.09288). Dropout behind the embeddings and each
 * sublayer, but not on the weights of attention.
 */
#include <math.h>
#include <stdio.h>

#include "models/family.h"
#include "models/layers.h"
#include "models/op.h"
#include "runtime/error.h"

static const float norm_epsilon = 1e-5f;
static const float weight_std = 0.02f;

static qd_init normal(float std) {
    return (qd_init){QD_INIT_NORMAL, std};
}

/* A layer that spreads out from the residual stream: tensor slots deal out its outputs, in units
 * that belong together. */
static qd_linear_spec spread(int64_t unit) {
    return (qd_linear_spec){.weight = normal(weight_std), .cut = QD_CUT_OUT, .unit = unit};
}

/* One that comes back to it, and takes what the slots hold. Such projections start smaller, by the
 * root of their number. */
static qd_linear_spec gather(const qd_model_spec *model, int64_t in, int64_t unit) {
    float std = weight_std / sqrtf(2.0f * (float)model->layers);
    return (qd_linear_spec){.weight = normal(std), .cut = QD_CUT_IN, .unit = unit, .in = in};
}

static const char *part(char name[QD_MAX_NAME], int64_t layer, const char *what) {
    snprintf(name, QD_MAX_NAME, "block%d.%s", (int)layer, what);
    return name;
}

static int add_attention(qd_graph *g, const qd_model_spec *model, int64_t layer, int x) {
    int64_t kv_heads = model->kv_heads, queries = model->heads / kv_heads;
    int64_t head = model->width / model->heads, group = (queries + 2) * head;
    char name[QD_MAX_NAME];
    int y = qd_layer_norm(g, part(name, layer, "norm1"), x, norm_epsilon);
    y = qd_layer_linear(g, part(name, layer, "qkv"), y, kv_heads * group, spread(group));
    int64_t held = qd_layer_held(g, kv_heads);
    if (model->positions == QD_POSITIONS_ROTARY)
        y = qd_layer_rotary(g, part(name, layer, "rotary"), y, held * queries, held,
                            qd_rotary_theta);
    if (y < 0)
        return y;
    qd_op_attributes attributes = {
        .attention = {.heads = held * queries, .kv_heads = held, .causal = true}};
    y = qd_graph_add_node_with(g, &qd_op_attention, part(name, layer, "attention"), &y, 1, NULL, 0,
                               attributes);
    y = qd_layer_linear(g, part(name, layer, "proj"), y, model->width,
                        gather(model, model->width, queries * head));
    y = qd_layer_dropout(g, part(name, layer, "dropout1"), y, model->dropout);
    return qd_layer_add(g, part(name, layer, "add1"), x, y);
}

static int add_feed_forward(qd_graph *g, const qd_model_spec *model, int64_t layer, int x) {
    char name[QD_MAX_NAME];
    int y = qd_layer_norm(g, part(name, layer, "norm2"), x, norm_epsilon);
    y = qd_layer_linear(g, part(name, layer, "up"), y, 4 * model->width, spread(1));
    y = qd_layer_apply(g, &qd_op_gelu_tanh, part(name, layer, "gelu"), y);
    y = qd_layer_linear(g, part(name, layer, "down"), y, model->width,
                        gather(model, 4 * model->width, 1));
    y = qd_layer_dropout(g, part(name, layer, "dropout2"), y, model->dropout);
    return qd_layer_add(g, part(name, layer, "add2"), x, y);
}

/* The table has a row for each position of the context, also where samples are shorter. */
static int add_positions(qd_graph *g, const qd_model_spec *model, int x) {
    qd_shape shape = {.dims = 2, .dim = {model->context, model->width}};
    int positions = qd_graph_add_param(g, "positions.weight", &shape, normal(weight_std));
    if (x < 0 || positions < 0)
        return x < 0 ? x : positions;
    return qd_graph_add_node(g, &qd_op_position, "positions", &x, 1, &positions, 1);
}

/* Returns the embedded tokens' value, and their table for the head. */
static int add_embeddings(qd_graph *g, const qd_model_spec *model, int *tokens) {
    qd_shape shape = {.dims = 2, .dim = {model->vocabulary, model->width}};
    *tokens = qd_graph_add_cut_param(g, "tokens.weight", &shape, 0, 1, normal(weight_std));
    if (*tokens < 0)
        return *tokens;
    int x = qd_graph_add_node(g, &qd_op_embedding, "tokens", &g->input, 1, tokens, 1);
    x = model->positions == QD_POSITIONS_LEARNED ? add_positions(g, model, x) : x;
    return qd_layer_dropout(g, "dropout", x, model->dropout);
}

static int add_layers(qd_graph *g, const qd_model_spec *model) {
    int tokens;
    int x = add_embeddings(g, model, &tokens);
    for (int64_t layer = 0; layer < model->layers; layer++) {
        qd_graph_begin_block(g);
        x = x < 0 ? x : add_attention(g, model, layer, x);
        x = x < 0 ? x : add_feed_forward(g, model, layer, x);
        qd_graph_end_block(g);
    }
    x = qd_layer_norm(g, "norm", x, norm_epsilon);
    if (x < 0)
        return x;
    return qd_graph_add_node_with(g, &qd_op_linear, "head", &x, 1, &tokens, 1,
                                  (qd_op_attributes){.linear = {.cut = QD_CUT_OUT}});
}

static int build(const qd_job *job, qd_graph *g) {
    const qd_model_spec *model = &job->model;
    qd_shape shape = {.dims = 2, .dim = {g->samples, model->length}};
    g->input = qd_graph_add_value(g, "input", QD_VALUE_INPUT, QD_I32, &shape);
    if (g->input < 0)
        return g->input;
    g->target = qd_graph_add_value(g, "target", QD_VALUE_TARGET, QD_I32, &shape);
    if (g->target < 0)
        return g->target;
    return qd_layer_cross_entropy(g, model, add_layers(g, model), true);
}

static qd_sample_spec sample(const qd_job *job) {
    return (qd_sample_spec){.input_dtype = QD_I32,
                            .inputs = job->model.length,
                            .targets = job->model.length,
                            .target_dtype = QD_I32,
                            .next_token = true,
                            .vocabulary = job->model.vocabulary,
                            .classes = job->model.vocabulary};
}

static int64_t blocks(const qd_model_spec *model) {
    return model->layers;
}

const qd_family qd_family_gpt = {
    .name = "gpt", .sample = sample, .deals_rows = true, .blocks = blocks, .build = build};
