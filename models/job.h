/*
 * job.h: a job, resolved: what is trained, on what data, how long, and within which bounds of
 * ranks. Plain values, the same on every rank, free of hosts and devices. Read from a job file
 * (YAML) by qd_job_parse; written back, defaults filled in, by qd_job_emit. That text is what
 * `run --dry-run` prints, what the scheduler sends to the workers, and what the run folder keeps.
 */
#ifndef QD_MODELS_JOB_H
#define QD_MODELS_JOB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "models/graph.h"
#include "models/layer_list.h"
#include "models/schedule.h"
#include "runtime/schema.h"
#include "runtime/text.h"

#define QD_JOB_NAME_BYTES 64
#define QD_JOB_AFTER_BYTES 288
#define QD_JOB_PATH_BYTES 512
#define QD_JOB_MAX_LAYERS 64
#define QD_JOB_MAX_CLASS_WEIGHTS 1024

typedef enum {
    QD_FAMILY_MLP,
    QD_FAMILY_REGRESSION,
    QD_FAMILY_CNN,
    QD_FAMILY_RESNET,
    QD_FAMILY_GPT,
    QD_FAMILY_EMBEDDING,
    QD_FAMILY_BERT,
    QD_FAMILY_LSTM,
    QD_FAMILY_LAYERS,
    QD_FAMILY_KINDS
} qd_family_kind;
typedef enum {
    QD_ACTIVATION_RELU,
    QD_ACTIVATION_GELU,
    QD_ACTIVATION_SILU,
    QD_ACTIVATION_TANH,
    QD_ACTIVATION_SIGMOID,
} qd_activation_kind;
typedef enum {
    QD_DATA_IDX,
    QD_DATA_TEXT,
    QD_DATA_TOKENS,
    QD_DATA_NPY,
    QD_DATA_CSV,
    QD_DATA_LINES
} qd_data_kind;
typedef enum {
    QD_JOB_WITHIN_ANYTHING,
    QD_JOB_WITHIN_HOST,
    QD_JOB_WITHIN_ISLAND,
} qd_job_within;
typedef enum { QD_TOKENS_UINT16, QD_TOKENS_UINT32 } qd_token_kind;
typedef enum {
    QD_OPTIMIZER_SGD,
    QD_OPTIMIZER_ADAM,
    QD_OPTIMIZER_ADAMW,
    QD_OPTIMIZER_LAMB,
    QD_OPTIMIZER_MUON,
    QD_OPTIMIZER_KINDS
} qd_optimizer_kind;
typedef enum { QD_DECAY_ALL, QD_DECAY_MATRICES } qd_decay_group;

/* Who says what the layout is: auto asks the planner (models/planner.h), which answers in numbers.
 */
typedef enum { QD_GRID_GIVEN, QD_GRID_AUTO } qd_grid_choice;

typedef enum { QD_POSITIONS_LEARNED, QD_POSITIONS_ROTARY } qd_positions_kind;
typedef enum {
    QD_LOSS_MSE,
    QD_LOSS_HUBER,
    QD_LOSS_BINARY_CROSS_ENTROPY,
    QD_LOSS_KL,
    QD_LOSS_CROSS_ENTROPY
} qd_loss_kind;
typedef enum { QD_STEM_LARGE, QD_STEM_SMALL } qd_stem_kind;

typedef struct qd_model_spec {
    qd_family_kind family;
    int64_t image[3]; /* cnn, resnet, layers: height, width and channels */
    int image_count;
    int64_t filters[QD_JOB_MAX_LAYERS]; /* cnn: output channels of the convolutions */
    int filters_count;
    int64_t depth;                     /* resnet: 18, 34 or 50 */
    qd_stem_kind stem;                 /* resnet: a quarter of the image's size is left, or all */
    int64_t hidden[QD_JOB_MAX_LAYERS]; /* mlp, cnn, embedding: widths of the hidden linear layers */
    int hidden_count;
    qd_activation_kind activation;
    int64_t outputs;   /* regression, layers: numbers to predict; else 0 */
    qd_loss_kind loss; /* regression, layers */
    double delta;      /* loss huber: where the square turns into a straight line */
    /* Of what tells classes, as PyTorch's CrossEntropyLoss; see qd_op_cross_entropy. */
    double label_smoothing;
    qd_optional_int ignored_index;                  /* targets of it take no part in the mean */
    double class_weights[QD_JOB_MAX_CLASS_WEIGHTS]; /* of all classes, or of none: all alike */
    int class_weight_count;
    double dropout;        /* rate; where, each family says */
    int64_t inputs;        /* mlp, regression, layers: features of a sample */
    int64_t classes;       /* width of the last layer; labels are 0 .. classes-1 */
    int64_t vocabulary;    /* tokens are 0 .. vocabulary-1; gpt: the width of its last layer, too */
    int64_t layers, heads; /* gpt, bert: blocks; heads of attention, dividing width; lstm: LSTMs */
    int64_t kv_heads;      /* gpt: of keys and values, dividing heads; default: heads */
    qd_positions_kind positions; /* gpt: a learned table of context rows is added to the tokens, or
                                    queries and keys are turned, which needs heads of even width */
    int64_t width;   /* of the residual stream; embedding: of a token; resnet: channels of the first
                        stage */
    int64_t context; /* tokens of a sample; gpt: that a sample may have: rows of positions */
    int64_t length;  /* gpt: tokens of a sample while training, at most context */
    /* layers: samples are an image, features (inputs) or tokens (context, vocabulary), the others
     * being 0; the last layer tells their class (classes), the token after each one (next_token) or
     * numbers (outputs). */
    bool next_token;
    qd_layer_spec list[QD_LIST_MAX_LAYERS];
    int list_count;
} qd_model_spec;

typedef struct qd_data_spec {
    qd_data_kind format;
    char folder[QD_JOB_PATH_BYTES]; /* the names of files below are relative to it */
    char train_images[QD_JOB_PATH_BYTES];
    char train_labels[QD_JOB_PATH_BYTES];
    char test_images[QD_JOB_PATH_BYTES];
    char test_labels[QD_JOB_PATH_BYTES];
    char text[QD_JOB_PATH_BYTES]; /* text: the file, of which each byte is a token; tokens: too */
    qd_token_kind token_dtype;    /* tokens */
    char validation_file[QD_JOB_PATH_BYTES]; /* tokens: or "" */
    double validation_share; /* text, tokens: of the file's tokens, set apart at its end; 0 with a
                                validation_file */
    int64_t stride;          /* text, tokens: tokens from the start of one sample to the next */
    /* npy: arrays, samples first; the two of the tests are both given or both "" */
    char train_inputs[QD_JOB_PATH_BYTES];
    char train_targets[QD_JOB_PATH_BYTES];
    char test_inputs[QD_JOB_PATH_BYTES];
    char test_targets[QD_JOB_PATH_BYTES];
    char train[QD_JOB_PATH_BYTES]; /* csv, lines */
    char test[QD_JOB_PATH_BYTES];  /* csv, lines: or "" */
    bool header;                   /* csv: the first line is no sample */
    int64_t
        validation; /* idx, npy, csv, lines: samples set apart from the end of the training file */
    double mean, std; /* idx: a byte b becomes (b / 255 - mean) / std; npy, csv: an input v becomes
                         (v - mean) / std */
} qd_data_spec;

typedef struct qd_train_spec {
    qd_precision precision;
    qd_precision reduce_precision; /* of the nodes of the tree that gradients are summed in */
    int64_t batch;                 /* global batch, samples */
    int64_t steps;                 /* exactly one of steps and epochs is > 0 */
    double epochs;                 /* passes over the training split */
    int64_t evaluate_every;        /* steps between validations; 0: at the end only */
    int64_t stop_after; /* evaluations without improvement that end the run; 0: none do */
    /* Parts that a data slot is run in, one after another, to need less memory; 0 counts as 1.
     * Gradients are those of the whole slot, but batch norms measure each part by itself. */
    int64_t micro_batches;
    /* The model's first so many blocks keep what they read only, and run forward once more before
     * their backward: less memory, more time, the same bits. */
    int64_t recompute;
} qd_train_spec;

typedef struct qd_optimizer_spec {
    qd_optimizer_kind kind;
    double learning_rate;
    double adamw_learning_rate;   /* muon: of the parameters that AdamW moves */
    double momentum;              /* sgd; muon: of the gradient that is made orthogonal */
    bool nesterov;                /* sgd: needs momentum > 0 */
    double beta1, beta2, epsilon; /* adam, adamw, lamb; muon: of AdamW */
    /* 0 .. 1. sgd, adam: L2, weight_decay w added to the gradient (default 0). adamw, muon:
     * decoupled, w -= learning_rate weight_decay w (defaults 0.01, 0.1). lamb: part of the move
     * whose length is adapted (default 0.01). */
    double weight_decay;
    double l1;            /* l1 sign(w) is added to the gradient, after clipping */
    qd_decay_group decay; /* what weight_decay and l1 are for: all parameters, or matrices: those
                             of two or more dimensions, no biases and gains of norms */
    double clip; /* longest gradient, as one vector of all trained parameters; 0: any length */
} qd_optimizer_spec;

typedef struct qd_job {
    char name[QD_JOB_NAME_BYTES]; /* [a-z0-9][a-z0-9._-]*: also the name of the run folder */
    uint64_t seed;
    qd_model_spec model;
    qd_data_spec data;
    qd_train_spec train;
    qd_optimizer_spec optimizer;
    qd_schedule_spec schedule; /* of optimizer.learning_rate */
    /* AUTO: not to be built, run or emitted before the planner has answered. Then 0 in slots,
     * layout dp, pp and tp, ranks_max and micro_batches, -1 in layout_zero and recompute: the
     * planner's. */
    qd_grid_choice layout_grid;
    int64_t slots_tensor;   /* parts that layers are cut into; see DESIGN 3.4 */
    int64_t slots_pipeline; /* parts that the model is cut into; see models/part_graph.h */
    int64_t slots_data;     /* divides train.batch; see DESIGN 3.4 */
    int64_t ranks_min;      /* of the gang */
    int64_t ranks_max;      /* at most slots_data times qd_job_copy_ranks */
    /* What the scheduler goes by; none of it changes the result. Seconds; 0: none. */
    double request_estimate_s;                   /* run time on ranks_min, a guess */
    double request_limit_s;                      /* run time, enforced */
    double request_deadline_s;                   /* when it is wanted, from its submission on */
    double request_begin_s;                      /* not before, from its submission on */
    bool request_preemptible;                    /* may be told to save and wait */
    qd_job_within request_within;                /* what its gang must lie in */
    double request_memory_gib;                   /* that each rank must have */
    int64_t request_importance;                  /* class; higher is more important */
    int64_t request_nice;                        /* points off its priority */
    char request_account[QD_JOB_NAME_BYTES];     /* whose share it uses */
    char request_reservation[QD_JOB_NAME_BYTES]; /* that it belongs to; "none" */
    char request_after[QD_JOB_AFTER_BYTES]; /* jobs it comes after, or "none": scheduler/after.h */
    int64_t layout_dp;                      /* 0: auto, within the bounds */
    int64_t layout_tp;                      /* <= slots_tensor */
    bool layout_sequence_parallel; /* tensor ranks share the rows of the residual stream, too */
    int64_t layout_pp;             /* stages of a pipeline; times layout_chunks <= slots_pipeline */
    int64_t layout_chunks;         /* of each stage */
    int layout_reduction;          /* 0: ordered, 1: fast */
    int layout_schedule;           /* index into qd_pipeline_names (models/pipeline.h) */
    /* What each member keeps only its shard of: 0 nothing, 1 what the optimizer keeps, 2 gradients,
     * too, as far as its slots allow (models/memory_plan.h), 3 parameters, too (models/windows.h).
     * The result is the same. */
    int64_t layout_zero;
    double layout_bucket_mib; /* of gradients that travel together, at least; 0 counts as 4 */
    int64_t checkpoint_every; /* steps; 0: only when stopped and at the end */
    int64_t checkpoint_keep;  /* newest complete ones kept */
    double log_interval_s;    /* length of a utilization interval */
    int64_t log_every;        /* steps between two plain progress lines; 0: about one a second */
} qd_job;

/*
 * Parses a job file's text. file is for messages ("conf/jobs/a.yaml:12: ..."). On success *job is
 * complete and consistent: every default filled in, every rule that needs no data file checked.
 * QD_ECONFIG with file:line otherwise, *job untouched.
 */
int qd_job_parse(const char *file, const char *text, size_t length, qd_job *job);

/* Reads file and parses it. QD_ECONFIG, QD_EIO. */
int qd_job_load(const char *file, qd_job *job);

/* The job as YAML, in the order of the schema; parses back to an equal job. */
void qd_job_emit(const qd_job *job, qd_text *out);

/*
 * Whether continuing a run of `saved` as `now` would keep its meaning: everything that determines
 * the result must be equal (not: steps, bounds of ranks, layout, checkpoint and log settings).
 * QD_ECONFIG naming the first key that differs, with both values.
 */
int qd_job_check_same_result(const qd_job *saved, const qd_job *now);

/* Steps of the whole run, given the number of samples of the training split (> 0): train.steps,
 * or epochs * samples / batch rounded up. */
int64_t qd_job_total_steps(const qd_job *job, int64_t train_samples);

/* Ranks that hold one copy of the model: a pipeline of tensor groups. */
int64_t qd_job_copy_ranks(const qd_job *job);

/* Floats of a bucket of gradients, at least. */
int64_t qd_job_bucket_elements(const qd_job *job);

/* Samples that the job's graph is built for and run over at once: those of a micro-batch. */
int64_t qd_job_graph_samples(const qd_job *job);

/* Micro-batches of a data slot. */
int64_t qd_job_micro_batches(const qd_job *job);

/*
 * The data slots of member i of a gang of dp members: [*first, *end). Shares differ by at most
 * one slot: first = i * slots / dp, rounded down. 1 <= dp <= slots_data, 0 <= i < dp.
 */
void qd_job_slot_range(const qd_job *job, int dp, int i, int *first, int *end);

/* Of the member that has most. */
int qd_job_most_slots(const qd_job *job, int dp);

#endif
