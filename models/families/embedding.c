/*
 * A bag of tokens, as fastText's classifier (Joulin et al., arXiv 1607.01759): the mean of their
 * embeddings, then linear layers. The order of the tokens does not matter to it.
 */
#include "models/family.h"
#include "models/layers.h"

static int build(const qd_job *job, qd_graph *g) {
    const qd_model_spec *model = &job->model;
    qd_text_input text = qd_layer_text_input(g, model);
    /* As PyTorch's nn.Embedding. */
    int x = qd_layer_embedding(g, "tokens", text.tokens, model->vocabulary, model->width,
                               (qd_init){QD_INIT_NORMAL, 1.0f});
    x = qd_layer_apply_lengths(g, &qd_op_position_mean_lengths, "mean", x, text.lengths,
                               (qd_op_attributes){0});
    if (x < 0)
        return x;
    return qd_layer_classify(g, model, qd_layer_perceptron(g, model, x, model->classes));
}

static qd_sample_spec sample(const qd_job *job) {
    return qd_text_sample(&job->model);
}

const qd_family qd_family_embedding = {.name = "embedding", .sample = sample, .build = build};
