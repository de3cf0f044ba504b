/*
 * family.h: the model families; each is one file that builds a graph from a job, and one row.
 * Not for running anything: a family says what is computed, the engine computes it.
 */
#ifndef QD_MODELS_FAMILY_H
#define QD_MODELS_FAMILY_H

#include "models/graph.h"
#include "models/job.h"

/* What one sample is, as the data source hands it over: all dtypes take four bytes. */
typedef struct qd_sample_spec {
    qd_dtype input_dtype;
    int64_t inputs;  /* elements of the input */
    int64_t targets; /* elements of the target */
    qd_dtype target_dtype;
    bool next_token;    /* targets are the inputs, each one position on */
    int64_t vocabulary; /* int32 inputs are 0 .. vocabulary-1 */
    int64_t classes;    /* int32 targets are 0 .. classes-1 */
    bool has_ignored;   /* or this one, which takes no part */
    int32_t ignored;
} qd_sample_spec;

typedef struct qd_family {
    const char *name;
    qd_sample_spec (*sample)(const qd_job *job);
    /* Its residual stream begins and ends with layers that tensor slots cut: they deal out the
     * stream's rows, too. */
    bool deals_rows;
    /* How many blocks the graph will have that may be recomputed; NULL: none. */
    int64_t (*blocks)(const qd_model_spec *model);
    /* Fills an empty graph: input, target, logits and loss. QD_ECONFIG, QD_ENOMEM. */
    int (*build)(const qd_job *job, qd_graph *graph);
} qd_family;

/* Linear layers with an activation between each two, to a class by cross-entropy. */
extern const qd_family qd_family_mlp;
/* As mlp, but to numbers: by mean squared error or Huber's loss. */
extern const qd_family qd_family_regression;

/* The class of an image: by convolutions of 3 x 3 with an activation and a pooling of 2 x 2 after
 * each, then linear layers; by residual networks of depth 18, 34 and 50. */
extern const qd_family qd_family_cnn;
extern const qd_family qd_family_resnet;

/* The next token of a text: a causal Transformer, GPT-2's. */
extern const qd_family qd_family_gpt;

/* The class of a text, in which what follows the last token that is not 0 is padding, and takes no
 * part: by the mean of its tokens' embeddings (Joulin et al., arXiv 1607.01759); by a Transformer
 * whose positions all see each other, BERT's; by stacked LSTMs. */
extern const qd_family qd_family_embedding;
extern const qd_family qd_family_bert;
extern const qd_family qd_family_lstm;
/* Whatever the job file lists, layer by layer: models/layer_list.h. */
extern const qd_family qd_family_layers;

/* The row of job->model.family; never NULL for a parsed job. */
const qd_family *qd_family_of(const qd_job *job);

qd_sample_spec qd_family_sample_spec(const qd_job *job);

/* Blocks that train.recompute chooses from; 0: the model has none. */
int64_t qd_family_blocks(const qd_job *job);

/* The graph of one micro-batch of the job: qd_job_graph_samples; its first train.recompute blocks
 * are recomputed. Owner: the caller (qd_graph_destroy). QD_ECONFIG, QD_ENOMEM. */
int qd_family_build(const qd_job *job, qd_graph **graph);

/* The same as member `member` of the `members` of a tensor group has it: only its part of what
 * tensor slots cut. QD_ECONFIG too where a member would have nothing, or no layer is cut. */
int qd_family_build_part(const qd_job *job, int members, int member, qd_graph **graph);

#endif
