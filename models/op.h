/*
 * op.h: the vocabulary of operators: what each takes, what shape it makes, what it costs. One
 * file per operator in models/ops/, one row in the table. How it is computed is the business of
 * a backend (worker/backend.h), which looks the operator up by its kind.
 */
#ifndef QD_MODELS_OP_H
#define QD_MODELS_OP_H

#include "models/graph.h"

typedef enum {
    QD_OP_LINEAR,
    QD_OP_ADD,
    QD_OP_LAYER_NORM,
    QD_OP_BATCH_NORM,
    QD_OP_DROPOUT,
    QD_OP_RMS_NORM,
    QD_OP_EMBEDDING,
    QD_OP_POSITION,
    QD_OP_ROTARY,
    QD_OP_ATTENTION,
    QD_OP_LSTM,
    QD_OP_GRU,
    QD_OP_CONVOLUTION,
    QD_OP_MAX_POOL,
    QD_OP_MEAN_POOL,
    QD_OP_RELU,
    QD_OP_GELU,
    QD_OP_GELU_TANH,
    QD_OP_SILU,
    QD_OP_TANH,
    QD_OP_SIGMOID,
    QD_OP_SOFTMAX,
    QD_OP_CONCAT,
    QD_OP_POSITION_MEAN,
    QD_OP_POSITION_TAKE,
    QD_OP_TOKEN_LENGTHS,
    QD_OP_RESHAPE,
    QD_OP_CROSS_ENTROPY,
    QD_OP_MSE,
    QD_OP_HUBER,
    QD_OP_BINARY_CROSS_ENTROPY,
    QD_OP_KL,
    QD_OP_KINDS
} qd_op_kind;

/* What backward reads beside the output's gradient; the memory plan keeps exactly that alive. */
enum { QD_KEEP_INPUTS = 1, QD_KEEP_OUTPUT = 2 };

/* What an operator makes of inputs whose rows members of a tensor group share: it can't take them;
 * each row of the output comes of the same row of the inputs; or it brings rows together. */
typedef enum { QD_ROWS_WHOLE, QD_ROWS_KEPT, QD_ROWS_JOINED } qd_rows_role;

struct qd_op {
    qd_op_kind kind;
    const char *name;
    int inputs, params; /* how many of each */
    int optional;       /* of the parameters, the last ones, that may be left out */
    unsigned keep;      /* QD_KEEP_ bits */
    qd_rows_role rows;  /* towards rows that tensor slots deal out */
    bool separable; /* backward may be asked for the gradients of its inputs, or of its parameters,
                       alone, at the cost of those alone; without: it is not asked for its inputs'
                       alone */
    /* The shape and dtype of the output; QD_ECONFIG when the operands do not fit together. */
    int (*infer)(const qd_graph *graph, const qd_node *node, qd_value *output);
    /* FLOPs of forward and backward (a multiply-add counts 2). */
    double (*forward_flops)(const qd_graph *graph, const qd_node *node);
    double (*backward_flops)(const qd_graph *graph, const qd_node *node);
    /* Floats that forward leaves for backward beside values; NULL: none. */
    int64_t (*saved)(const qd_graph *graph, const qd_node *node);
    /* Floats that forward, and that backward, may use while it runs; NULL: none. */
    int64_t (*scratch)(const qd_graph *graph, const qd_node *node);
};

/* ---- what tensor slots cut (DESIGN 3.4) ---- */

/* The slots that the node is computed in: those of the graph where it is cut, else 1. */
int qd_op_tensor_slots(const qd_graph *graph, const qd_node *node);

/* The part [*first, *end) of an extent of whole units that belongs to a slot; parts differ by at
 * most one unit, and are empty where there are fewer units than slots. */
void qd_cut_range(int slots, int64_t extent, int64_t unit, int slot, int64_t *first, int64_t *end);

/* The tensor slots [*first, *end) that the graph's member holds. */
void qd_cut_slots(const qd_graph *graph, int *first, int *end);

/* The part [*first, *end) of an extent that those slots own: what the graph holds of it. */
void qd_cut_held(const qd_graph *graph, int64_t extent, int64_t unit, int64_t *first, int64_t *end);

/* Whether each of so many members would hold some of the units. */
bool qd_cut_feeds_all(const qd_graph *graph, int members, int64_t extent, int64_t unit);

/* Whether the members of the tensor group have to put together what this node computes: it is cut,
 * and the graph has not all slots. */
bool qd_op_is_shared(const qd_graph *graph, const qd_node *node);

/*
 * The same for the rows of a value: whether its members hold a part of them each; the rows on any
 * grid; and, where it is one of the residual stream, how many slots take part in a sum over rows
 * (else 1: the rows are added up one after the other).
 */
bool qd_rows_are_shared(const qd_graph *graph, const qd_value *value);
int64_t qd_rows_whole(const qd_value *value);
int qd_rows_slots(const qd_graph *graph, const qd_value *value);

/* For infer: makes an output of this whole shape one of the residual stream, if the graph has one.
 * QD_ECONFIG where a member would have no row. */
int qd_cut_deal_rows(const qd_graph *graph, const qd_node *node, qd_value *output);

/* Vectors that adding up the partial results of all slots, one after another, takes. */
int qd_cut_scratch_parts(int slots);

/* ---- the operators ---- */

/* y[.., out] = x[.., in] W[out, in]^T + b[out]; params: W and, optional, b. With
 * attributes.linear.flatten in spans all dimensions of x but the first: y[n, out]. */
extern const qd_op qd_op_linear;
/* y = a + b, elementwise, of equal shapes: what joins a residual branch. */
extern const qd_op qd_op_add;
/* y[.., c] = (x - mean) / sqrt(var + attributes.norm.epsilon) g[c] + b[c], mean and (biased)
 * variance over the last dimension; params: g, b. Saved: mean and 1 / sqrt(var + epsilon) of each
 * row. Ba, Kiros, Hinton, arXiv 1607.06450. */
extern const qd_op qd_op_layer_norm;
/* y[.., c] = x / sqrt(mean(x^2) + attributes.norm.epsilon) g[c], the mean over the last dimension;
 * param: g. Saved: 1 / sqrt(mean(x^2) + epsilon) of each row. Zhang, Sennrich, arXiv 1910.07467. */
extern const qd_op qd_op_rms_norm;
/*
 * y[.., c] = (x - mean) / sqrt(var + attributes.norm.epsilon) g[c] + b[c]; Ioffe and Szegedy, arXiv
 * 1502.03167. While training, mean and (biased) variance are those of each channel over all other
 * dimensions of this slot's samples, so that they do not depend on the grid; while evaluating, the
 * running ones. Params: g, b, running mean, running variance [c] (statistics; of the variance the
 * unbiased one goes in, as in PyTorch). Saved: mean and 1 / sqrt(var + epsilon) of each channel.
 */
extern const qd_op qd_op_batch_norm;
/* While training y = x / (1 - rate) with probability 1 - rate, else 0, drawn for (seed, step,
 * sample in the batch, node's name, element); while evaluating y = x. Srivastava et al., JMLR 15,
 * 2014. */
extern const qd_op qd_op_dropout;
/* y[.., width] = table[x[..]]; input: indices I32, param: table [rows, width], whose rows tensor
 * slots may deal out. */
extern const qd_op qd_op_embedding;
/* y[n, t, width] = x[n, t, width] + table[t]; param: table [at least length, width]. Learned
 * positions, added to every sample. */
extern const qd_op qd_op_position;
/*
 * Rotary positions (Su et al., arXiv 2104.09864) of what attention takes, [n, t, (heads + 2
 * kv_heads) d] in attention's order: in each query and key head the pairs (x[i], x[i + d / 2]) are
 * turned by the angle t theta^(-2 i / d), t counted from 0 (the halves of GPT-NeoX and Llama);
 * values are handed on. d must be even.
 */
extern const qd_op qd_op_rotary;
/*
 * Scaled dot-product attention (Vaswani et al., arXiv 1706.03762, 3.2), multi-head, or
 * grouped-query where kv_heads < heads (Ainslie et al., arXiv 2305.13245): query head h reads key
 * and value head h / (heads / kv_heads). Input [n, t, (heads + 2 kv_heads) d]: in each position,
 * group for group, the query heads of the group, its key head and its value head, so that a range
 * of groups, which is what tensor parallelism deals out, lies together; output [n, t, heads d].
 * Computed for blocks of QD_ATTENTION_BLOCK queries, whose scores are scratch, so that no [t, t]
 * matrix is kept; saved: the logsumexp of each query's scores, from which backward makes them anew
 * (Dao et al., arXiv 2205.14135, 3.1).
 *
 * With a second input, lengths [n] I32 of 1 .. t (QD_EDATA elsewhere), a sample's keys and values
 * are its first ones only; queries behind them still see those.
 */
enum { QD_ATTENTION_BLOCK = 64 };
extern const qd_op qd_op_attention, qd_op_attention_lengths;
/*
 * Recurrent layers over whole sequences; x [n, t, in], y [n, t, width] the hidden state after each
 * step, the first step starting from zeros. Params as PyTorch's: W_ih [g width, in], W_hh [g width,
 * width], b_ih and b_hh [g width]. One layer each: deeper ones are several nodes.
 *
 * The ops named .._lengths take a second input, lengths [n] I32 of 1 .. t (QD_EDATA elsewhere).
 * From its length on a sample keeps its state: y[:, t - 1] is every sample's last state, and the
 * gradients of the repeated states flow to it. What x holds there must be finite; it gets gradient
 * 0.
 */
/* i, f, o = sigmoid, g = tanh, in the order i f g o, of W_ih x + b_ih + W_hh h + b_hh;
 * c' = f c + i g, h' = o tanh(c'). Hochreiter and Schmidhuber, Neural Computation 9 (1997) 1735,
 * with the forget gate of Gers et al., Neural Computation 12 (2000) 2451. Saved, step after step:
 * i f g o, and behind all of them c'. */
extern const qd_op qd_op_lstm, qd_op_lstm_lengths;
/* r, z = sigmoid(W_ih x + b_ih + W_hh h + b_hh), n = tanh(W_in x + b_in + r (W_hn h + b_hn)), in
 * the order r z n; h' = (1 - z) n + z h. Cho et al., arXiv 1406.1078, with the reset behind the
 * product, as in PyTorch. Saved, step after step: r, z, n and W_hn h + b_hn. */
extern const qd_op qd_op_gru, qd_op_gru_lengths;
/*
 * y[n, oh, ow, out] = x[n, h, w, in] * W + b, a cross-correlation as in PyTorch; params: W [out,
 * in / groups, kh, kw] and, optional, b [out]. oh = (h + 2 padding - kh) / stride + 1, rounded
 * down.
 * Where attributes.convolution.rectifies is set, y = max(that, 0): two passes over y less.
 */
extern const qd_op qd_op_convolution;
/* The greatest, and the mean, of each window of x[n, h, w, c]; padding is never the greatest, and
 * does not count in the mean. Of equal ones the first gets the gradient. Saved (max): where in its
 * window each greatest lies, as int32. */
extern const qd_op qd_op_max_pool;
extern const qd_op qd_op_mean_pool;
/* Activations, elementwise. */
extern const qd_op qd_op_relu;      /* max(x, 0); gradient 0 where x <= 0 */
extern const qd_op qd_op_gelu;      /* x Phi(x), Phi the normal distribution: by erf */
extern const qd_op qd_op_gelu_tanh; /* 0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))) */
extern const qd_op qd_op_silu;      /* x sigmoid(x) */
extern const qd_op qd_op_tanh;
extern const qd_op qd_op_sigmoid; /* 1 / (1 + e^-x) */
/* y = e^x / sum(e^x), the sum over the last dimension; any leading ones. */
extern const qd_op qd_op_softmax;
/* y[.., a + b] = x0[.., a] beside x1[.., b]; leading dimensions alike. */
extern const qd_op qd_op_concat;
/* y[n, c] = the mean of x[n, t, c] over the positions t; with a second input, lengths [n] I32 of
 * 1 .. t (QD_EDATA elsewhere), over the sample's first ones, the others getting gradient 0. */
extern const qd_op qd_op_position_mean, qd_op_position_mean_lengths;
/* y[n, c] = x[n, attributes.position_take.position, c]. */
extern const qd_op qd_op_position_take;
/* y[n] I32 = how many of the tokens x[n, t] I32 there are up to the last that is not 0, padding;
 * of padding alone 1, so that every sample has a position. */
extern const qd_op qd_op_token_lengths;
/* The same elements in the same order as attributes.reshape.shape says, which keeps their number
 * and that of the samples. */
extern const qd_op qd_op_reshape;
/* loss[n, ..] = logsumexp(x[n, .., :]) - x[n, .., target]; inputs: logits [n, .., classes] F32,
 * target [n, ..] I32.
 * attributes.cross_entropy.label_smoothing e mixes it with the mean over all classes:
 * logsumexp(x) - (1 - e) x[target] - e mean(x), as PyTorch's CrossEntropyLoss; a target of the
 * ignored index has loss and gradient 0. Where the graph has class weights w, the loss is
 * (1 - e) w[target] l[target] + e mean(w l), l = logsumexp(x) - x. What a mean over targets is
 * divided by: models/loss_mean.h.
 * Backward gives (softmax(x) - onehot) * scale, where scale comes from the loss's gradient. Saved:
 * the two summands of logsumexp of each row, the maximum and the logarithm of the rest. */
extern const qd_op qd_op_cross_entropy;

/*
 * Losses against targets of float, of x's shape: inputs x and t, both [n, .., width]; a loss for
 * each row, [n, ..]. Only x has a gradient: t must need none.
 */
extern const qd_op qd_op_mse; /* mean((x - t)^2) */
/* The mean of d^2 / 2 where |d| <= attributes.huber.delta, else delta (|d| - delta / 2), d = x - t.
 * P. J. Huber, Ann. Math. Statist. 35 (1964) 73; as PyTorch's HuberLoss. */
extern const qd_op qd_op_huber;
/* The mean of -t log sigmoid(x) - (1 - t) log sigmoid(-x), each element a logit; as PyTorch's
 * BCEWithLogitsLoss. */
extern const qd_op qd_op_binary_cross_entropy;
/* sum(t (log t - log softmax(x))), 0 log 0 = 0: the Kullback-Leibler divergence of softmax(x) from
 * the distribution t, whose elements must not be negative. Saved: of each row the two summands of
 * logsumexp(x), as for cross_entropy, and sum(t). */
extern const qd_op qd_op_kl;

#endif
