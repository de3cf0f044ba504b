#include "models/layer_list.h"

#include <stddef.h>

#define MAX_WIDTH 1000000
#define MAX_CHANNELS 65536
#define MAX_WINDOW 1024

static const char *const kinds[] = {[QD_LAYER_LINEAR] = "linear",
                                    [QD_LAYER_CONVOLUTION] = "convolution",
                                    [QD_LAYER_EMBEDDING] = "embedding",
                                    [QD_LAYER_POSITION] = "position",
                                    [QD_LAYER_ATTENTION] = "attention",
                                    [QD_LAYER_LSTM] = "lstm",
                                    [QD_LAYER_GRU] = "gru",
                                    [QD_LAYER_BATCH_NORM] = "batch_norm",
                                    [QD_LAYER_LAYER_NORM] = "layer_norm",
                                    [QD_LAYER_RMS_NORM] = "rms_norm",
                                    [QD_LAYER_MAX_POOL] = "max_pool",
                                    [QD_LAYER_MEAN_POOL] = "mean_pool",
                                    [QD_LAYER_GLOBAL_MEAN_POOL] = "global_mean_pool",
                                    [QD_LAYER_POSITION_MEAN] = "position_mean",
                                    [QD_LAYER_POSITION_TAKE] = "position_take",
                                    [QD_LAYER_FLATTEN] = "flatten",
                                    [QD_LAYER_RESHAPE] = "reshape",
                                    [QD_LAYER_ADD] = "add",
                                    [QD_LAYER_CONCAT] = "concat",
                                    [QD_LAYER_DROPOUT] = "dropout",
                                    [QD_LAYER_RELU] = "relu",
                                    [QD_LAYER_GELU] = "gelu",
                                    [QD_LAYER_GELU_TANH] = "gelu_tanh",
                                    [QD_LAYER_SILU] = "silu",
                                    [QD_LAYER_TANH] = "tanh",
                                    [QD_LAYER_SIGMOID] = "sigmoid",
                                    [QD_LAYER_SOFTMAX] = "softmax",
                                    NULL};

const char *qd_layer_kind_word(qd_layer_kind kind) {
    return kinds[kind];
}

#define AT(member) .offset = offsetof(qd_layer_spec, member)
#define TEXT_AT(member) AT(member), .size = sizeof(((qd_layer_spec *)0)->member)
#define OF_KIND(WORDS) .when_key = "kind", .when = WORDS

enum {
    RESULT = QD_FIELD_RESULT,
    REQUIRED = QD_FIELD_REQUIRED,
    OPTIONAL = QD_FIELD_OMIT_ZERO,
};

/* Defaults that depend on other keys are in layer_list_rules.c. */
const qd_field qd_layer_fields[] = {
    {"kind", QD_FIELD_CHOICE, REQUIRED | RESULT, AT(kind), .choices = kinds},
    {"name", QD_FIELD_NAME, OPTIONAL | RESULT, TEXT_AT(name)},
    {"from", QD_FIELD_NAME, OPTIONAL | RESULT, TEXT_AT(from)},
    {"with", QD_FIELD_NAME, REQUIRED | RESULT, TEXT_AT(with), OF_KIND("add concat")},
    {"width", QD_FIELD_INT, REQUIRED | RESULT, AT(width), .min = 1, .max = MAX_WIDTH,
     OF_KIND("linear embedding lstm gru")},
    {"filters", QD_FIELD_INT, REQUIRED | RESULT, AT(width), .min = 1, .max = MAX_CHANNELS,
     OF_KIND("convolution")},
    {"kernel", QD_FIELD_INT, REQUIRED | RESULT, AT(window), .min = 1, .max = MAX_WINDOW,
     OF_KIND("convolution")},
    {"window", QD_FIELD_INT, REQUIRED | RESULT, AT(window), .min = 1, .max = MAX_WINDOW,
     OF_KIND("max_pool mean_pool")},
    {"stride", QD_FIELD_INT, RESULT, AT(stride), .min = 1, .max = MAX_WINDOW,
     OF_KIND("convolution max_pool mean_pool")},
    {"padding", QD_FIELD_INT, RESULT, AT(padding), .max = MAX_WINDOW,
     OF_KIND("convolution max_pool mean_pool")},
    {"groups", QD_FIELD_INT, RESULT, AT(groups), .min = 1, .max = MAX_CHANNELS, .preset = "1",
     OF_KIND("convolution")},
    {"heads", QD_FIELD_INT, REQUIRED | RESULT, AT(heads), .min = 1, .max = 1000,
     OF_KIND("attention")},
    {"kv_heads", QD_FIELD_INT, RESULT, AT(kv_heads), .min = 1, .max = 1000, OF_KIND("attention")},
    {"causal", QD_FIELD_BOOL, RESULT, AT(causal), .preset = "false", OF_KIND("attention")},
    {"rotary", QD_FIELD_BOOL, RESULT, AT(rotary), .preset = "false", OF_KIND("attention")},
    {"bias", QD_FIELD_BOOL, RESULT, AT(bias), .preset = "true",
     OF_KIND("linear convolution attention")},
    {"position", QD_FIELD_INT, REQUIRED | RESULT, AT(position), .min = -1, .max = MAX_WIDTH,
     OF_KIND("position_take")},
    {"shape", QD_FIELD_INT_LIST, REQUIRED | RESULT, AT(shape), .size = QD_LAYER_MAX_DIMS,
     .count_offset = offsetof(qd_layer_spec, shape_count), .min = 1, .max = 1e12,
     OF_KIND("reshape")},
    {"rate", QD_FIELD_REAL, REQUIRED | RESULT | QD_FIELD_BELOW_MAX, AT(rate), .max = 1,
     OF_KIND("dropout")},
    {"epsilon", QD_FIELD_REAL, RESULT, AT(epsilon), .min = 1e-12, .max = 1, .preset = "1e-5",
     OF_KIND("batch_norm layer_norm rms_norm")},
    {"momentum", QD_FIELD_REAL, RESULT, AT(momentum), .max = 1, .preset = "0.1",
     OF_KIND("batch_norm")},
    {"std", QD_FIELD_REAL, RESULT, AT(std), .max = 100, .preset = "1", OF_KIND("embedding")},
    {"std", QD_FIELD_REAL, RESULT, AT(std), .max = 100, .preset = "0.02", OF_KIND("position")},
    {0},
};
