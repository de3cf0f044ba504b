/*
 * Stacked LSTMs over the embeddings of a text's tokens; the last one's state behind the last token
 * goes to the classes. Everything starts as PyTorch's nn.Embedding, nn.LSTM and nn.Linear do.
 * Dropout on what goes into each LSTM and the head, not from step to step (Zaremba et al., arXiv
 * 1409.2329).
 */
#include <stdio.h>

#include "models/family.h"
#include "models/layers.h"

static int build(const qd_job *job, qd_graph *g) {
    const qd_model_spec *model = &job->model;
    qd_text_input text = qd_layer_text_input(g, model);
    char name[QD_MAX_NAME];
    int x = qd_layer_embedding(g, "tokens", text.tokens, model->vocabulary, model->width,
                               (qd_init){QD_INIT_NORMAL, 1.0f});
    x = qd_layer_dropout(g, "dropout", x, model->dropout);
    for (int64_t layer = 0; layer < model->layers; layer++) {
        snprintf(name, sizeof name, "lstm%d", (int)layer);
        qd_graph_begin_block(g);
        x = qd_layer_lstm(g, name, x, text.lengths, model->width);
        qd_graph_end_block(g);
        snprintf(name, sizeof name, "dropout%d", (int)layer);
        if (layer + 1 < model->layers)
            x = qd_layer_dropout(g, name, x, model->dropout);
    }
    /* From its length on a sample keeps its state: at the end all have their last. */
    x = qd_layer_position_take(g, "last", x, model->context - 1);
    x = qd_layer_dropout(g, "last.dropout", x, model->dropout);
    return qd_layer_classify(g, model, qd_layer_dense(g, "head", x, model->classes));
}

static qd_sample_spec sample(const qd_job *job) {
    return qd_text_sample(&job->model);
}

static int64_t blocks(const qd_model_spec *model) {
    return model->layers;
}

const qd_family qd_family_lstm = {
    .name = "lstm", .sample = sample, .blocks = blocks, .build = build};
