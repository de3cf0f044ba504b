/*
 * BERT (Devlin et al., arXiv 1810.04805) as a classifier trained from its start: an encoder of
 * Transformer blocks with the norms after the sublayers, learned positions, exact GELU. The last
 * state of the first position goes through the pooler, a layer with tanh, to the classes. No token
 * of its own stands there: it is the text's first, and attends to all others. One segment, whose
 * embedding would be part of the positions'. Dropout behind the embeddings, each sublayer and the
 * pooler, but not on the weights of attention.
 */
#include <stdio.h>

#include "models/family.h"
#include "models/layers.h"

static const float norm_epsilon = 1e-12f;
static const qd_init normal = {QD_INIT_NORMAL, 0.02f};

/* Tensor slots deal out outputs of what spreads out from the residual stream, and inputs of what
 * comes back to it, in units that belong together. */
static qd_linear_spec cut(qd_cut cut, int64_t unit) {
    return (qd_linear_spec){.weight = normal, .cut = cut, .unit = unit};
}

/* Of so many inputs that come back. */
static qd_linear_spec cut_in(int64_t in, int64_t unit) {
    return (qd_linear_spec){.weight = normal, .cut = QD_CUT_IN, .unit = unit, .in = in};
}

static const char *part(char name[QD_MAX_NAME], int64_t layer, const char *what) {
    snprintf(name, QD_MAX_NAME, "block%d.%s", (int)layer, what);
    return name;
}

static int add_attention(qd_graph *g, const qd_model_spec *model, int64_t layer, int x,
                         int lengths) {
    int64_t head = model->width / model->heads, held = qd_layer_held(g, model->heads);
    qd_op_attributes attributes = {.attention = {.heads = held, .kv_heads = held, .causal = false}};
    char name[QD_MAX_NAME];
    int y = qd_layer_linear(g, part(name, layer, "qkv"), x, 3 * model->width,
                            cut(QD_CUT_OUT, 3 * head));
    y = qd_layer_apply_lengths(g, &qd_op_attention_lengths, part(name, layer, "attention"), y,
                               lengths, attributes);
    y = qd_layer_linear(g, part(name, layer, "proj"), y, model->width, cut_in(model->width, head));
    y = qd_layer_dropout(g, part(name, layer, "dropout1"), y, model->dropout);
    y = qd_layer_add(g, part(name, layer, "add1"), x, y);
    return qd_layer_norm(g, part(name, layer, "norm1"), y, norm_epsilon);
}

static int add_feed_forward(qd_graph *g, const qd_model_spec *model, int64_t layer, int x) {
    char name[QD_MAX_NAME];
    int y = qd_layer_linear(g, part(name, layer, "up"), x, 4 * model->width, cut(QD_CUT_OUT, 1));
    y = qd_layer_apply(g, &qd_op_gelu, part(name, layer, "gelu"), y);
    y = qd_layer_linear(g, part(name, layer, "down"), y, model->width, cut_in(4 * model->width, 1));
    y = qd_layer_dropout(g, part(name, layer, "dropout2"), y, model->dropout);
    y = qd_layer_add(g, part(name, layer, "add2"), x, y);
    return qd_layer_norm(g, part(name, layer, "norm2"), y, norm_epsilon);
}

static int build(const qd_job *job, qd_graph *g) {
    const qd_model_spec *model = &job->model;
    qd_text_input text = qd_layer_text_input(g, model);
    int x = qd_layer_embedding(g, "tokens", text.tokens, model->vocabulary, model->width, normal);
    x = qd_layer_position(g, "positions", x, normal);
    x = qd_layer_norm(g, "norm", x, norm_epsilon);
    x = qd_layer_dropout(g, "dropout", x, model->dropout);
    for (int64_t layer = 0; layer < model->layers; layer++) {
        qd_graph_begin_block(g);
        x = add_attention(g, model, layer, x, text.lengths);
        x = add_feed_forward(g, model, layer, x);
        qd_graph_end_block(g);
    }
    x = qd_layer_position_take(g, "first", x, 0);
    x = qd_layer_linear(g, "pooler", x, model->width, cut(QD_CUT_NONE, 0));
    x = qd_layer_apply(g, &qd_op_tanh, "tanh", x);
    x = qd_layer_dropout(g, "pooler.dropout", x, model->dropout);
    x = qd_layer_linear(g, "head", x, model->classes, cut(QD_CUT_NONE, 0));
    return qd_layer_classify(g, model, x);
}

static qd_sample_spec sample(const qd_job *job) {
    return qd_text_sample(&job->model);
}

static int64_t blocks(const qd_model_spec *model) {
    return model->layers;
}

const qd_family qd_family_bert = {
    .name = "bert", .sample = sample, .deals_rows = true, .blocks = blocks, .build = build};
