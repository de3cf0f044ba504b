/*
 * layers.h: operators together with the parameters they bring along, as the families put them
 * together. Parameters are named NAME.weight, NAME.bias. All return the output's value, or a
 * negative QD_E code; a negative input is handed on, so that calls can be nested.
 */
#ifndef QD_MODELS_LAYERS_H
#define QD_MODELS_LAYERS_H

#include <limits.h>

#include "models/family.h"
#include "models/graph.h"
#include "models/job.h"
#include "models/op.h"

/* How a linear layer starts, and how tensor slots cut it (models/graph.h). */
typedef struct qd_linear_spec {
    qd_init weight, bias;
    qd_cut cut;
    int64_t unit;
    int64_t in; /* QD_CUT_IN: inputs of all tensor slots together */
    bool without_bias;
} qd_linear_spec;

/* Of so many units that tensor slots deal out, as many as the graph holds. */
int64_t qd_layer_held(const qd_graph *graph, int64_t units);

/* Tokens [n, t] -> [n, t, width]; table NAME.weight [vocabulary, width], whose rows tensor slots
 * deal out. */
int qd_layer_embedding(qd_graph *graph, const char *name, int tokens, int64_t vocabulary,
                       int64_t width, qd_init init);

/* Adds a row of the table NAME.weight to each position of x[n, t, width]. */
int qd_layer_position(qd_graph *graph, const char *name, int x, qd_init init);

/* Of a model that tells the class of an image: the input [n, height, width, channels], and what a
 * sample is. */
int qd_layer_image_input(qd_graph *graph, const qd_model_spec *model);
qd_sample_spec qd_image_sample(const qd_model_spec *model);

/* Of a model that tells the class of a text: the input, [n, context] tokens, and their lengths,
 * without the padding behind them. Both are below 0 on error. */
typedef struct qd_text_input {
    int tokens, lengths;
} qd_text_input;

qd_text_input qd_layer_text_input(qd_graph *graph, const qd_model_spec *model);

/* Such a model's sample. */
qd_sample_spec qd_text_sample(const qd_model_spec *model);

/* An operator of x and the lengths of its samples. */
int qd_layer_apply_lengths(qd_graph *graph, const qd_op *op, const char *name, int x, int lengths,
                           qd_op_attributes attributes);

/* Lengths of samples that are all as long as x. */
enum { QD_NO_LENGTHS = INT_MAX };

/* x[n, t, in] -> [n, t, width], the states of samples of these lengths; starts as PyTorch's nn.LSTM
 * (nn.GRU) does. Parameters NAME.weight_ih, .weight_hh, .bias_ih, .bias_hh. */
int qd_layer_lstm(qd_graph *graph, const char *name, int x, int lengths, int64_t width);
int qd_layer_gru(qd_graph *graph, const char *name, int x, int lengths, int64_t width);

typedef struct qd_attention_spec {
    int64_t heads, kv_heads; /* of queries, dividing the width of x; of keys and values, dividing
                                heads */
    bool causal, without_bias;
    bool rotary; /* NAME.rotary turns queries and keys, heads being of an even width */
} qd_attention_spec;

/* What rotary positions turn by: 10000, as in the paper (models/op.h). */
extern const float qd_rotary_theta;

/* x[n, t, width] -> the same: projections to queries, keys and values, NAME.qkv (their order:
 * models/op.h), attention, NAME, and a projection back, NAME.proj; tensor slots deal out groups of
 * heads. Starts as PyTorch's nn.MultiheadAttention does. */
int qd_layer_attention(qd_graph *graph, const char *name, int x, int lengths,
                       qd_attention_spec spec);

/* [n, t, width] -> [n, width]: what stands at that position. */
int qd_layer_position_take(qd_graph *graph, const char *name, int x, int64_t position);

/* Turns the queries and keys of what attention takes by their positions (models/op.h). */
int qd_layer_rotary(qd_graph *graph, const char *name, int x, int64_t heads, int64_t kv_heads,
                    float theta);

/* x[.., in] -> [.., out] */
int qd_layer_linear(qd_graph *graph, const char *name, int x, int64_t out, qd_linear_spec spec);

/* How PyTorch's nn.Linear of so many inputs starts. */
qd_linear_spec qd_layer_linear_start(int64_t in);

/* The same, starting as PyTorch's nn.Linear does: weight and bias uniform within 1 / sqrt(in),
 * where in may span several of x's last dimensions, all but the first (flatten). */
int qd_layer_dense(qd_graph *graph, const char *name, int x, int64_t out);

/* Linear layers of these widths with an activation, and the model's dropout, between each two, the
 * last of width out: layer0, relu0, dropout0, layer1 ... */
int qd_layer_perceptron(qd_graph *graph, const qd_model_spec *model, int x, int64_t out);

/* A square kernel, padded so that a stride of 1 keeps the image's size; starts as PyTorch's
 * nn.Conv2d does. */
int qd_layer_convolution(qd_graph *graph, const char *name, int x, int64_t out, int64_t kernel,
                         int64_t stride, bool rectifies);

typedef struct qd_convolution_spec {
    int64_t out, kernel, stride, padding, groups;
    bool without_bias, rectifies;
} qd_convolution_spec;

/* The same with all that a square kernel leaves to choose. groups divides out and x's channels. */
int qd_layer_convolve(qd_graph *graph, const char *name, int x, qd_convolution_spec spec);

/* A convolution without bias and the batch norm behind it, NAME.norm; weights normal with variance
 * 2 / fan-out (He et al., arXiv 1502.01852). */
int qd_layer_convolution_norm(qd_graph *graph, const char *name, int x, int64_t out, int64_t kernel,
                              int64_t stride);

/* Gain 1, bias 0; statistics NAME.mean and NAME.variance. */
int qd_layer_batch_norm(qd_graph *graph, const char *name, int x, float epsilon, float momentum);

/* A square window. */
int qd_layer_max_pool(qd_graph *graph, const char *name, int x, int64_t window, int64_t stride,
                      int64_t padding);
int qd_layer_mean_pool(qd_graph *graph, const char *name, int x, int64_t window, int64_t stride,
                       int64_t padding);

/* [n, h, w, c] -> [n, 1, 1, c] */
int qd_layer_global_mean(qd_graph *graph, const char *name, int x);

int qd_layer_activation(qd_graph *graph, qd_activation_kind kind, const char *name, int x);

/* Over the last dimension; gain 1, bias 0. */
int qd_layer_norm(qd_graph *graph, const char *name, int x, float epsilon);
/* Gain 1. */
int qd_layer_rms_norm(qd_graph *graph, const char *name, int x, float epsilon);

/* An operator of one input and no parameters. */
int qd_layer_apply(qd_graph *graph, const qd_op *op, const char *name, int x);

/* The loss of logits against the graph's target, as the model asks for; cut: tensor slots deal out
 * the classes. Sets the graph's logits and loss. 0 or a QD_E code. */
int qd_layer_cross_entropy(qd_graph *graph, const qd_model_spec *model, int logits, bool cut);

/* Ends a classifier: the graph's target, one class a sample, logits and loss. 0 or a QD_E code. */
int qd_layer_classify(qd_graph *graph, const qd_model_spec *model, int logits);
/* Likewise for a model that tells numbers, [n, outputs], by model->loss. */
int qd_layer_regress(qd_graph *graph, const qd_model_spec *model, int outputs);

/* Only while training; a rate of 0 adds nothing. */
int qd_layer_dropout(qd_graph *graph, const char *name, int x, double rate);

int qd_layer_add(qd_graph *graph, const char *name, int a, int b);

#endif
