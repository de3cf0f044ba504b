/*
 * graph.h: what a model computes, as data: values (tensors), parameters, and operators between
 * them, in the order of execution. Pure: no device, no memory, no MPI. The engine runs it, the
 * memory plan places it, `quadrille plan` counts it, all from these numbers.
 *
 * A graph is built for a fixed number of samples (the micro-batch of one slot). Dimension 0 of
 * every activation counts samples, but where members of a tensor group share its rows.
 */
#ifndef QD_MODELS_GRAPH_H
#define QD_MODELS_GRAPH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { QD_MAX_DIMS = 5, QD_MAX_OPERANDS = 4, QD_MAX_NAME = 64, QD_MAX_TENSOR_SLOTS = 64 };

typedef enum { QD_F32, QD_I32 } qd_dtype;

size_t qd_dtype_bytes(qd_dtype dtype);

/* What products of matrices are computed in. Parameters, their gradients, sums and values between
 * operators are floats in both; in bf16 the operands of a product are rounded first. */
typedef enum { QD_PRECISION_FP32, QD_PRECISION_BF16 } qd_precision;

typedef struct qd_shape {
    int dims;
    int64_t dim[QD_MAX_DIMS];
} qd_shape;

int64_t qd_shape_elements(const qd_shape *shape);
bool qd_shape_equals(const qd_shape *a, const qd_shape *b);

/* "[64, 128]" into text (64 bytes are always enough for sane shapes). Returns text. */
const char *qd_shape_text(const qd_shape *shape, char *text, size_t size);

typedef enum { QD_INIT_ZERO, QD_INIT_ONE, QD_INIT_UNIFORM, QD_INIT_NORMAL } qd_init_kind;

/* How a parameter starts: element i is drawn from (seed, site of the name, i). */
typedef struct qd_init {
    qd_init_kind kind;
    float scale; /* UNIFORM: in [-scale, scale); NORMAL: standard deviation */
} qd_init;

/* Trained: moved by the optimizer along its gradient. A statistic (the running mean of a batch
 * norm) is moved towards what the step measured: its place in the gradient vector holds, summed
 * over the slots, the mean of the slots' measurements. */
typedef enum { QD_PARAM_TRAINED, QD_PARAM_STATISTIC } qd_param_kind;

/*
 * A parameter that tensor slots deal out has its units (rows, or columns, that belong together)
 * shared among the members of a tensor group; the graph of one of them has its part. cut_dim is -1
 * where all of it is held by every member.
 */
typedef struct qd_param {
    char name[QD_MAX_NAME]; /* global and lasting: checkpoints store by it, e.g. "layer0.weight" */
    qd_shape shape;         /* of what this graph holds */
    qd_shape whole;         /* of the parameter on any grid */
    int cut_dim;            /* the dimension that is dealt out */
    int64_t cut_first;      /* where in it what is held begins; 0 where all is */
    int64_t cut_unit;
    qd_init init;
    int64_t offset; /* of its first element in the flat parameter vector; 16-element aligned */
    qd_param_kind kind;
    bool hidden;    /* a matrix that hidden linear layers of the whole model alone multiply with */
    bool shared;    /* this graph is a part of a model, and others of its parts have a copy */
    float momentum; /* statistic: s = (1 - momentum) s + momentum measured, once a step */
} qd_param;

typedef enum { QD_VALUE_INPUT, QD_VALUE_TARGET, QD_VALUE_ACTIVATION } qd_value_kind;

/*
 * Of a value whose rows (all of its dimensions but the last, in order) tensor slots deal out, as
 * they do along the residual stream between the layers that they cut (sequence parallelism:
 * Korthikanti et al., arXiv 2205.05198, 4.2.2), `whole` is the shape on any grid. Where the graph
 * shares rows with others it holds a run of them, in shape [held, width]; else all.
 */

typedef struct qd_value {
    char name[QD_MAX_NAME];
    qd_value_kind kind;
    qd_dtype dtype;
    qd_shape shape;    /* of what this graph holds */
    bool by_rows;      /* tensor slots deal out its rows, and then: */
    qd_shape whole;    /* of the value on any grid */
    int64_t first_row; /* that is held */
    bool needs_grad;   /* backward computes its gradient */
    int producer;      /* node that writes it; -1 for inputs and targets */
} qd_value;

typedef struct qd_op qd_op; /* models/op.h */

/* Height first, then width. */
typedef struct qd_convolution_attributes {
    int64_t stride[2], padding[2]; /* stride >= 1 */
    int64_t groups;                /* divides the channels of input and output */
    bool rectifies;                /* y = max(x * W + b, 0) */
} qd_convolution_attributes;

typedef struct qd_pool_attributes {
    int64_t window[2], stride[2], padding[2];
} qd_pool_attributes;

/* What of a layer tensor parallelism deals out to its slots: nothing, the outputs (Megatron's
 * column parallel; Shoeybi et al., arXiv 1909.08053), or the inputs (row parallel). */
typedef enum { QD_CUT_NONE, QD_CUT_OUT, QD_CUT_IN } qd_cut;

/* What an operator is told beside its operands; each op in models/op.h says which member it reads.
 * All zero where it reads none. */
typedef union qd_op_attributes {
    int64_t all[QD_MAX_DIMS + 1]; /* the first and the largest, so that {0} clears every member */
    qd_convolution_attributes convolution;
    qd_pool_attributes pool;
    struct {
        bool flatten;
        qd_cut cut;
        int64_t unit; /* outputs (inputs) of a slot are multiples of it; 0: 1 */
    } linear;
    struct {
        float epsilon; /* added to the variance */
    } norm;
    struct {
        float rate; /* of elements that become 0: 0 .. below 1 */
    } dropout;
    struct {
        float delta; /* where the square turns into a straight line; above 0 */
    } huber;
    struct {
        float label_smoothing;  /* 0 .. 1: this much of a target is spread over all classes */
        bool has_ignored_index; /* targets of that index have loss 0, and gradient 0 */
        int32_t ignored_index;
        bool cut;        /* tensor slots deal out the classes, as the layer before does */
        int64_t classes; /* cut: of all slots together; 0: the logits' */
    } cross_entropy;
    struct {
        qd_shape shape; /* of the output, samples included */
    } reshape;
    struct {
        int64_t position; /* counted from 0 */
    } position_take;
    struct {
        int64_t heads;    /* of queries */
        int64_t kv_heads; /* of keys and values: divides heads */
        bool causal;      /* position t sees positions 0 .. t only */
    } attention;
    struct {
        int64_t heads, kv_heads; /* as attention's */
        float theta;             /* above 0 */
    } rotary;
} qd_op_attributes;

_Static_assert(sizeof(qd_op_attributes) == (QD_MAX_DIMS + 1) * sizeof(int64_t),
               "qd_op_attributes.all must cover every member");

typedef struct qd_node {
    const qd_op *op;
    char name[QD_MAX_NAME];
    qd_op_attributes attributes;
    int inputs[QD_MAX_OPERANDS]; /* values */
    int input_count;
    int params[QD_MAX_OPERANDS]; /* parameters */
    int param_count;
    int output;      /* value */
    int block;       /* it is part of, counted from 0 in the order of execution; -1: of none */
    int64_t scratch; /* floats that forward, and that backward, may use while it runs: what the
                        operator asks for; a backend may ask for more (worker/backend.h) */
} qd_node;

typedef struct qd_graph {
    int64_t samples;    /* dimension 0 it was built for */
    int tensor_slots;   /* that layers are cut into; 1: not cut */
    int tensor_members; /* that share the slots, in contiguous parts; 1: this graph has all */
    int tensor_member;  /* which of them this graph is of */
    bool deals_rows;    /* tensor slots deal out the rows of the residual stream, so that sums over
                           them are taken slot by slot */
    bool shares_rows;   /* and the graph holds its member's alone */
    qd_precision precision;
    qd_value *values;
    int value_count;
    qd_param *params;
    int param_count;
    int64_t param_elements; /* length of the flat parameter vector, padding between included */
    qd_node *nodes;
    int node_count;
    int block_count;     /* parts of the model that may be recomputed, each a run of nodes */
    int recompute;       /* the first so many of them are: forward again just before their backward,
                            with only what they read kept in between (models/timeline.h) */
    int open_block;      /* while building: that nodes are added to; -1: none */
    int input, target;   /* values fed from the data source; -1 in a part that does not read them */
    int *taken, *handed; /* [taken_count], [handed_count] values that the part of a pipeline before
                            this one hands in, and that this one hands on (models/part_graph.h) */
    int taken_count, handed_count; /* of a whole model: 0 */
    int logits; /* value the evaluation takes the arg-max of, [samples, .., classes] */
    int loss;   /* value: the losses, not yet averaged; -1, as logits, in a part that is not
                   the last */
    float *class_weights; /* that losses are multiplied by (models/loss_mean.h); NULL: all alike */
    int64_t class_weight_count;
} qd_graph;

/* The shape on any grid, but for a last dimension that is dealt out. */
static inline const qd_shape *qd_value_whole(const qd_value *value) {
    return value->by_rows ? &value->whole : &value->shape;
}

/* All builders: the index of what was added (>= 0), or a negative QD_E code. */
int qd_graph_create(int64_t samples, qd_graph **graph);
void qd_graph_destroy(qd_graph *graph);
int qd_graph_add_value(qd_graph *graph, const char *name, qd_value_kind kind, qd_dtype dtype,
                       const qd_shape *shape);
int qd_graph_add_param(qd_graph *graph, const char *name, const qd_shape *shape, qd_init init);
/* One that tensor slots deal out along a dimension, in units (0: 1); the graph gets the part of its
 * member. QD_ECONFIG too where that would be nothing. */
int qd_graph_add_cut_param(qd_graph *graph, const char *name, const qd_shape *whole, int cut_dim,
                           int64_t unit, qd_init init);
/* Sets them, a copy: before the loss is added. QD_ENOMEM. */
int qd_graph_set_class_weights(qd_graph *graph, const double *weights, int64_t count);
/* Turns a parameter just added into a statistic. */
void qd_graph_make_statistic(qd_graph *graph, int param, float momentum);

/* Adds a node and its output value; the op infers the output's shape, or refuses its operands
 * with QD_ECONFIG, naming the node and the shapes. Values and parameters may be read by several
 * nodes: their gradient is the sum over the readers. Returns the output value's index. */
int qd_graph_add_node(qd_graph *graph, const qd_op *op, const char *name, const int *inputs,
                      int input_count, const int *params, int param_count);

/* The same for an operator that reads attributes. */
int qd_graph_add_node_with(qd_graph *graph, const qd_op *op, const char *name, const int *inputs,
                           int input_count, const int *params, int param_count,
                           qd_op_attributes attributes);

/* Between the two, nodes that are added form a block. Blocks do not nest. */
void qd_graph_begin_block(qd_graph *graph);
void qd_graph_end_block(qd_graph *graph);

/*
 * Whether backward of this node adds to the gradient of its input (parameter) i, instead of
 * writing it: backward runs from the last node to the first, so the last reader of a value writes
 * its gradient and the readers before it add theirs, always in the same order.
 */
bool qd_graph_adds_to_input(const qd_graph *graph, int node, int i);
bool qd_graph_adds_to_param(const qd_graph *graph, int node, int i);

/* Losses of one sample: as many as classes are to be told, or one for all numbers of a sample. */
int64_t qd_graph_losses_per_sample(const qd_graph *graph);

/* Whether targets are classes, so that there is a right and a wrong. */
bool qd_graph_classifies(const qd_graph *graph);

/* Targets of one sample: 1 for a class of the whole, the length for one at each position. */
int64_t qd_graph_targets_per_sample(const qd_graph *graph);

/* Trained parameters, statistics and padding not counted. */
int64_t qd_graph_param_count(const qd_graph *graph);

/* FLOPs of one forward and of one backward pass over the graph's samples (a multiply-add is 2). */
double qd_graph_forward_flops(const qd_graph *graph);
double qd_graph_backward_flops(const qd_graph *graph);

#endif
