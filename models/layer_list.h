/*
 * layer_list.h: a model written in the job file as a list of layers (family layers): what a layer
 * may say, and what the list means together. What the layers compute is models/families/layers.c;
 * where in the file it stands is models/job.c.
 */
#ifndef QD_MODELS_LAYER_LIST_H
#define QD_MODELS_LAYER_LIST_H

#include <stdbool.h>
#include <stdint.h>

#include "runtime/schema.h"

enum { QD_LAYER_NAME_BYTES = 32, QD_LIST_MAX_LAYERS = 128 };

typedef enum {
    QD_LAYER_LINEAR,
    QD_LAYER_CONVOLUTION,
    QD_LAYER_EMBEDDING,
    QD_LAYER_POSITION,
    QD_LAYER_ATTENTION,
    QD_LAYER_LSTM,
    QD_LAYER_GRU,
    QD_LAYER_BATCH_NORM,
    QD_LAYER_LAYER_NORM,
    QD_LAYER_RMS_NORM,
    QD_LAYER_MAX_POOL,
    QD_LAYER_MEAN_POOL,
    QD_LAYER_GLOBAL_MEAN_POOL,
    QD_LAYER_POSITION_MEAN,
    QD_LAYER_POSITION_TAKE,
    QD_LAYER_FLATTEN,
    QD_LAYER_RESHAPE,
    QD_LAYER_ADD,
    QD_LAYER_CONCAT,
    QD_LAYER_DROPOUT,
    QD_LAYER_RELU,
    QD_LAYER_GELU,
    QD_LAYER_GELU_TANH,
    QD_LAYER_SILU,
    QD_LAYER_TANH,
    QD_LAYER_SIGMOID,
    QD_LAYER_SOFTMAX,
    QD_LAYER_KINDS
} qd_layer_kind;

/* Dimensions that a reshape may give a sample: qd_shape's without that of the samples. */
enum { QD_LAYER_MAX_DIMS = 4 };

/* One layer. What its kind does not have is zero. */
typedef struct qd_layer_spec {
    qd_layer_kind kind;
    char name[QD_LAYER_NAME_BYTES]; /* of its output and parameters; the kind and its place in the
                                       list (relu3) where the file gives none */
    char from[QD_LAYER_NAME_BYTES]; /* the layer, or "input", that it reads; "": the one above */
    char with[QD_LAYER_NAME_BYTES]; /* add, concat: what is joined to that */
    int64_t width;                  /* convolution: filters */
    int64_t window;                 /* pools; convolution: kernel. All square */
    int64_t stride, padding, groups;
    int64_t heads, kv_heads;
    int64_t position; /* position_take: from 0; -1: the last */
    int64_t shape[QD_LAYER_MAX_DIMS];
    int shape_count;
    bool bias, causal, rotary;
    double rate;     /* dropout */
    double epsilon;  /* norms */
    double momentum; /* batch_norm: of the running statistics */
    double std;      /* embedding, position: of the table at the start */
} qd_layer_spec;

_Static_assert(sizeof(qd_layer_spec) <= 256, "a job is copied about, with all its layers");

/* Binds one entry of the list. */
extern const qd_field qd_layer_fields[];

/* The word of a kind, as a job file has it. */
const char *qd_layer_kind_word(qd_layer_kind kind);

struct qd_job;

/* Defaults that follow from other keys (names, strides, paddings), and rules for keys of the model
 * and its layers, those of the shapes excepted. QD_ECONFIG "FILE:LINE: ...". */
int qd_layer_list_resolve(const char *file, const qd_schema_lines *lines, struct qd_job *job);

/* Whether the layers of a resolved job fit together. QD_ECONFIG "FILE:LINE: model.layers[3]: ...",
 * QD_ENOMEM. */
int qd_layer_list_check(const char *file, const qd_schema_lines *lines, const struct qd_job *job);

#endif
