#include "models/job.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "models/graph.h"
#include "models/job_rules.h"
#include "models/pipeline.h"
#include "runtime/error.h"
#include "runtime/schema.h"
#include "runtime/yaml.h"

/* Steps are counted in 32 bits by the random numbers (runtime/random.h). */
#define MAX_STEPS 4000000000
#define MAX_BATCH 16777216
#define MAX_FEATURES 16777216
#define MAX_WIDTH 1000000

#define AT(member) .offset = offsetof(qd_job, member)
#define TEXT_AT(member) AT(member), .size = sizeof(((qd_job *)0)->member)

/* A text that is not given is empty: all zero bytes, which OMIT_ZERO leaves out. */
enum {
    RESULT = QD_FIELD_RESULT,
    REQUIRED = QD_FIELD_REQUIRED,
    OPTIONAL = QD_FIELD_OMIT_ZERO,
};

static const char *const families[] = {
    [QD_FAMILY_MLP] = "mlp",       [QD_FAMILY_REGRESSION] = "regression",
    [QD_FAMILY_CNN] = "cnn",       [QD_FAMILY_RESNET] = "resnet",
    [QD_FAMILY_GPT] = "gpt",       [QD_FAMILY_EMBEDDING] = "embedding",
    [QD_FAMILY_BERT] = "bert",     [QD_FAMILY_LSTM] = "lstm",
    [QD_FAMILY_LAYERS] = "layers", NULL};
static const char *const activations[] = {
    [QD_ACTIVATION_RELU] = "relu",       [QD_ACTIVATION_GELU] = "gelu",
    [QD_ACTIVATION_SILU] = "silu",       [QD_ACTIVATION_TANH] = "tanh",
    [QD_ACTIVATION_SIGMOID] = "sigmoid", NULL};
#define LOSSES_OF_NUMBERS                                                                          \
    [QD_LOSS_MSE] = "mse", [QD_LOSS_HUBER] = "huber",                                              \
    [QD_LOSS_BINARY_CROSS_ENTROPY] = "binary_cross_entropy", [QD_LOSS_KL] = "kl"
static const char *const losses_of_numbers[] = {LOSSES_OF_NUMBERS, NULL};
static const char *const losses[] = {LOSSES_OF_NUMBERS, [QD_LOSS_CROSS_ENTROPY] = "cross_entropy",
                                     NULL};
static const char *const positions[] = {
    [QD_POSITIONS_LEARNED] = "learned", [QD_POSITIONS_ROTARY] = "rotary", NULL};
static const char *const stems[] = {[QD_STEM_LARGE] = "large", [QD_STEM_SMALL] = "small", NULL};
static const char *const formats[] = {[QD_DATA_IDX] = "idx",
                                      [QD_DATA_TEXT] = "text",
                                      [QD_DATA_TOKENS] = "tokens",
                                      [QD_DATA_NPY] = "npy",
                                      [QD_DATA_CSV] = "csv",
                                      [QD_DATA_LINES] = "lines",
                                      NULL};
static const char *const token_dtypes[] = {
    [QD_TOKENS_UINT16] = "uint16", [QD_TOKENS_UINT32] = "uint32", NULL};
static const char *const optimizers[] = {
    [QD_OPTIMIZER_SGD] = "sgd",   [QD_OPTIMIZER_ADAM] = "adam", [QD_OPTIMIZER_ADAMW] = "adamw",
    [QD_OPTIMIZER_LAMB] = "lamb", [QD_OPTIMIZER_MUON] = "muon", NULL};
static const char *const decay_groups[] = {
    [QD_DECAY_ALL] = "all", [QD_DECAY_MATRICES] = "matrices", NULL};

static const char *const schedules[] = {
    [QD_SCHEDULE_CONSTANT] = "constant", [QD_SCHEDULE_LINEAR] = "linear",
    [QD_SCHEDULE_STEP] = "step",         [QD_SCHEDULE_COSINE] = "cosine",
    [QD_SCHEDULE_WSD] = "wsd",           [QD_SCHEDULE_ONE_CYCLE] = "one-cycle",
    [QD_SCHEDULE_PLATEAU] = "plateau",   NULL};

#define OF_FAMILY(WORDS) .when_key = "family", .when = WORDS
#define OF_FORMAT(WORDS) .when_key = "format", .when = WORDS

static const qd_field model_fields[] = {
    {"family", QD_FIELD_CHOICE, REQUIRED | RESULT, AT(model.family), .choices = families},
    {"inputs", QD_FIELD_INT, REQUIRED | RESULT, AT(model.inputs), .min = 1, .max = MAX_FEATURES,
     OF_FAMILY("mlp regression")},
    {"inputs", QD_FIELD_INT, OPTIONAL | RESULT, AT(model.inputs), .min = 1, .max = MAX_FEATURES,
     OF_FAMILY("layers")},
    {"outputs", QD_FIELD_INT, REQUIRED | RESULT, AT(model.outputs), .min = 1, .max = MAX_WIDTH,
     OF_FAMILY("regression")},
    {"outputs", QD_FIELD_INT, OPTIONAL | RESULT, AT(model.outputs), .min = 1, .max = MAX_WIDTH,
     OF_FAMILY("layers")},
    {"loss", QD_FIELD_CHOICE, RESULT, AT(model.loss), .choices = losses_of_numbers, .preset = "mse",
     OF_FAMILY("regression")},
    {"loss", QD_FIELD_CHOICE, RESULT, AT(model.loss), .choices = losses, .preset = "cross_entropy",
     OF_FAMILY("layers")},
    {"delta", QD_FIELD_REAL, OPTIONAL | RESULT | QD_FIELD_ABOVE_MIN, AT(model.delta), .max = 1e6,
     OF_FAMILY("regression layers")},
    {"image", QD_FIELD_INT_LIST, REQUIRED | RESULT, AT(model.image), .size = 3,
     .count_offset = offsetof(qd_job, model.image_count), .min = 1, .max = 65536,
     OF_FAMILY("cnn resnet")},
    {"image", QD_FIELD_INT_LIST, OPTIONAL | RESULT, AT(model.image), .size = 3,
     .count_offset = offsetof(qd_job, model.image_count), .min = 1, .max = 65536,
     OF_FAMILY("layers")},
    {"depth", QD_FIELD_INT, REQUIRED | RESULT, AT(model.depth), .min = 1, .max = 1000,
     OF_FAMILY("resnet")},
    {"stem", QD_FIELD_CHOICE, RESULT, AT(model.stem), .choices = stems, .preset = "large",
     OF_FAMILY("resnet")},
    {"filters", QD_FIELD_INT_LIST, REQUIRED | RESULT, AT(model.filters), .size = QD_JOB_MAX_LAYERS,
     .count_offset = offsetof(qd_job, model.filters_count), .min = 1, .max = 65536,
     OF_FAMILY("cnn")},
    {"hidden", QD_FIELD_INT_LIST, REQUIRED | RESULT, AT(model.hidden), .size = QD_JOB_MAX_LAYERS,
     .count_offset = offsetof(qd_job, model.hidden_count), .min = 1, .max = MAX_WIDTH,
     OF_FAMILY("mlp regression cnn embedding")},
    {"activation", QD_FIELD_CHOICE, RESULT, AT(model.activation), .choices = activations,
     .preset = "relu", OF_FAMILY("mlp regression cnn embedding")},
    {"classes", QD_FIELD_INT, REQUIRED | RESULT, AT(model.classes), .min = 2, .max = MAX_WIDTH,
     OF_FAMILY("mlp cnn resnet embedding bert lstm")},
    {"classes", QD_FIELD_INT, OPTIONAL | RESULT, AT(model.classes), .min = 2, .max = MAX_WIDTH,
     OF_FAMILY("layers")},
    {"label_smoothing", QD_FIELD_REAL, RESULT, AT(model.label_smoothing), .max = 1, .preset = "0",
     OF_FAMILY("mlp cnn resnet gpt embedding bert lstm layers")},
    {"ignored_index", QD_FIELD_INT_OR_NONE, RESULT, AT(model.ignored_index), .min = INT32_MIN,
     .max = INT32_MAX, .preset = "none",
     OF_FAMILY("mlp cnn resnet gpt embedding bert lstm layers")},
    {"class_weights", QD_FIELD_REAL_LIST, RESULT, AT(model.class_weights),
     .size = QD_JOB_MAX_CLASS_WEIGHTS, .count_offset = offsetof(qd_job, model.class_weight_count),
     .max = 1e6, OF_FAMILY("mlp cnn resnet embedding bert lstm layers")},
    {"dropout", QD_FIELD_REAL, RESULT | QD_FIELD_BELOW_MAX, AT(model.dropout), .max = 1,
     .preset = "0", OF_FAMILY("mlp regression cnn gpt embedding bert lstm")},
    {"layers", QD_FIELD_INT, REQUIRED | RESULT, AT(model.layers), .min = 1, .max = 1000,
     OF_FAMILY("gpt bert lstm")},
    {"layers", QD_FIELD_MAPPING_LIST, REQUIRED | RESULT, AT(model.list), .size = QD_LIST_MAX_LAYERS,
     .count_offset = offsetof(qd_job, model.list_count), .entry_size = sizeof(qd_layer_spec),
     .fields = qd_layer_fields, OF_FAMILY("layers")},
    {"heads", QD_FIELD_INT, REQUIRED | RESULT, AT(model.heads), .min = 1, .max = 1000,
     OF_FAMILY("gpt bert")},
    {"kv_heads", QD_FIELD_INT, RESULT, AT(model.kv_heads), .min = 1, .max = 1000, OF_FAMILY("gpt")},
    {"positions", QD_FIELD_CHOICE, RESULT, AT(model.positions), .choices = positions,
     .preset = "learned", OF_FAMILY("gpt")},
    {"width", QD_FIELD_INT, RESULT, AT(model.width), .min = 1, .max = MAX_WIDTH,
     OF_FAMILY("resnet gpt embedding bert lstm")},
    {"context", QD_FIELD_INT, REQUIRED | RESULT, AT(model.context), .min = 1, .max = MAX_WIDTH,
     OF_FAMILY("gpt embedding bert lstm")},
    {"context", QD_FIELD_INT, OPTIONAL | RESULT, AT(model.context), .min = 1, .max = MAX_WIDTH,
     OF_FAMILY("layers")},
    {"length", QD_FIELD_INT, RESULT, AT(model.length), .min = 1, .max = MAX_WIDTH,
     OF_FAMILY("gpt")},
    {"vocabulary", QD_FIELD_INT, REQUIRED | RESULT, AT(model.vocabulary), .min = 2,
     .max = MAX_WIDTH, OF_FAMILY("gpt embedding bert lstm")},
    {"vocabulary", QD_FIELD_INT, OPTIONAL | RESULT, AT(model.vocabulary), .min = 2,
     .max = MAX_WIDTH, OF_FAMILY("layers")},
    {"next_token", QD_FIELD_BOOL, RESULT, AT(model.next_token), .preset = "false",
     OF_FAMILY("layers")},
    {0},
};

static const qd_field data_fields[] = {
    {"format", QD_FIELD_CHOICE, REQUIRED | RESULT, AT(data.format), .choices = formats},
    {"folder", QD_FIELD_TEXT, REQUIRED, TEXT_AT(data.folder)},
    {"train_images", QD_FIELD_TEXT, REQUIRED | RESULT, TEXT_AT(data.train_images),
     OF_FORMAT("idx")},
    {"train_labels", QD_FIELD_TEXT, REQUIRED | RESULT, TEXT_AT(data.train_labels),
     OF_FORMAT("idx")},
    {"test_images", QD_FIELD_TEXT, REQUIRED | RESULT, TEXT_AT(data.test_images), OF_FORMAT("idx")},
    {"test_labels", QD_FIELD_TEXT, REQUIRED | RESULT, TEXT_AT(data.test_labels), OF_FORMAT("idx")},
    {"train_inputs", QD_FIELD_TEXT, REQUIRED | RESULT, TEXT_AT(data.train_inputs),
     OF_FORMAT("npy")},
    {"train_targets", QD_FIELD_TEXT, REQUIRED | RESULT, TEXT_AT(data.train_targets),
     OF_FORMAT("npy")},
    {"test_inputs", QD_FIELD_TEXT, OPTIONAL | RESULT, TEXT_AT(data.test_inputs), OF_FORMAT("npy")},
    {"test_targets", QD_FIELD_TEXT, OPTIONAL | RESULT, TEXT_AT(data.test_targets),
     OF_FORMAT("npy")},
    {"train", QD_FIELD_TEXT, REQUIRED | RESULT, TEXT_AT(data.train), OF_FORMAT("csv lines")},
    {"test", QD_FIELD_TEXT, OPTIONAL | RESULT, TEXT_AT(data.test), OF_FORMAT("csv lines")},
    {"header", QD_FIELD_BOOL, RESULT, AT(data.header), .preset = "false", OF_FORMAT("csv")},
    {"validation", QD_FIELD_INT, RESULT, AT(data.validation), .max = 1e12, .preset = "0",
     OF_FORMAT("idx npy csv lines")},
    {"mean", QD_FIELD_REAL, RESULT, AT(data.mean), .min = -1e6, .max = 1e6, .preset = "0",
     OF_FORMAT("idx npy csv")},
    {"std", QD_FIELD_REAL, RESULT | QD_FIELD_ABOVE_MIN, AT(data.std), .max = 1e6, .preset = "1",
     OF_FORMAT("idx npy csv")},
    {"file", QD_FIELD_TEXT, REQUIRED | RESULT, TEXT_AT(data.text), OF_FORMAT("text tokens")},
    {"dtype", QD_FIELD_CHOICE, REQUIRED | RESULT, AT(data.token_dtype), .choices = token_dtypes,
     OF_FORMAT("tokens")},
    {"validation_file", QD_FIELD_TEXT, OPTIONAL | RESULT, TEXT_AT(data.validation_file),
     OF_FORMAT("tokens")},
    {"validation_share", QD_FIELD_REAL, RESULT | QD_FIELD_BELOW_MAX, AT(data.validation_share),
     .max = 1, .preset = "0.1", OF_FORMAT("text tokens")},
    {"stride", QD_FIELD_INT, RESULT, AT(data.stride), .min = 1, .max = MAX_WIDTH, .preset = "1",
     OF_FORMAT("text tokens")},
    {0},
};

static const char *const precisions[] = {
    [QD_PRECISION_FP32] = "fp32", [QD_PRECISION_BF16] = "bf16", NULL};

static const qd_field train_fields[] = {
    {"precision", QD_FIELD_CHOICE, RESULT, AT(train.precision), .choices = precisions,
     .preset = "fp32"},
    {"reduce_precision", QD_FIELD_CHOICE, RESULT, AT(train.reduce_precision), .choices = precisions,
     .preset = "fp32"},
    {"batch", QD_FIELD_INT, REQUIRED | RESULT, AT(train.batch), .min = 1, .max = MAX_BATCH},
    {"steps", QD_FIELD_INT, QD_FIELD_OMIT_ZERO, AT(train.steps), .min = 1, .max = MAX_STEPS},
    {"epochs", QD_FIELD_REAL, QD_FIELD_OMIT_ZERO | QD_FIELD_ABOVE_MIN, AT(train.epochs),
     .max = 1e6},
    {"evaluate_every", QD_FIELD_INT, 0, AT(train.evaluate_every), .max = MAX_STEPS, .preset = "0"},
    {"stop_after", QD_FIELD_INT, 0, AT(train.stop_after), .max = 1e6, .preset = "0"},
    {"micro_batches", QD_FIELD_INT, RESULT, AT(train.micro_batches), .min = 1, .max = MAX_BATCH,
     .preset = "1"},
    {"recompute", QD_FIELD_INT, 0, AT(train.recompute), .max = 1e6, .preset = "0"},
    {0},
};

static const qd_field optimizer_fields[] = {
    {"kind", QD_FIELD_CHOICE, REQUIRED | RESULT, AT(optimizer.kind), .choices = optimizers},
    {"learning_rate", QD_FIELD_REAL, REQUIRED | RESULT | QD_FIELD_ABOVE_MIN,
     AT(optimizer.learning_rate), .max = 1000},
    {"adamw_learning_rate", QD_FIELD_REAL, REQUIRED | RESULT | QD_FIELD_ABOVE_MIN,
     AT(optimizer.adamw_learning_rate), .max = 1000, .when_key = "kind", .when = "muon"},
    {"momentum", QD_FIELD_REAL, RESULT | QD_FIELD_BELOW_MAX, AT(optimizer.momentum), .max = 1,
     .preset = "0.9", .when_key = "kind", .when = "sgd muon"},
    {"nesterov", QD_FIELD_BOOL, RESULT, AT(optimizer.nesterov), .preset = "false",
     .when_key = "kind", .when = "sgd"},
    {"beta1", QD_FIELD_REAL, RESULT | QD_FIELD_BELOW_MAX, AT(optimizer.beta1), .max = 1,
     .preset = "0.9", .when_key = "kind", .when = "adam adamw lamb muon"},
    {"beta2", QD_FIELD_REAL, RESULT | QD_FIELD_BELOW_MAX, AT(optimizer.beta2), .max = 1,
     .preset = "0.999", .when_key = "kind", .when = "adam adamw lamb muon"},
    {"epsilon", QD_FIELD_REAL, RESULT | QD_FIELD_ABOVE_MIN, AT(optimizer.epsilon), .max = 1,
     .preset = "1e-8", .when_key = "kind", .when = "adam adamw lamb muon"},
    {"weight_decay", QD_FIELD_REAL, RESULT, AT(optimizer.weight_decay), .max = 1, .preset = "0"},
    {"l1", QD_FIELD_REAL, RESULT, AT(optimizer.l1), .max = 1, .preset = "0"},
    {"decay", QD_FIELD_CHOICE, RESULT, AT(optimizer.decay), .choices = decay_groups,
     .preset = "all"},
    {"clip", QD_FIELD_REAL, RESULT, AT(optimizer.clip), .max = 1e6, .preset = "0"},
    {0},
};

/* What is required of a kind (every, decay_steps) is in job_rules_schedule.c: a required key makes
 * the section itself required. */
static const qd_field schedule_fields[] = {
    {"kind", QD_FIELD_CHOICE, RESULT, AT(schedule.kind), .choices = schedules,
     .preset = "constant"},
    {"warmup", QD_FIELD_INT, RESULT, AT(schedule.warmup), .max = MAX_STEPS, .preset = "0"},
    {"steps", QD_FIELD_INT, RESULT, AT(schedule.steps), .max = MAX_STEPS, .preset = "0",
     .when_key = "kind", .when = "linear cosine wsd one-cycle"},
    {"final", QD_FIELD_REAL, RESULT, AT(schedule.final), .max = 1, .preset = "0",
     .when_key = "kind", .when = "linear cosine wsd one-cycle plateau"},
    {"every", QD_FIELD_INT, RESULT, AT(schedule.every), .min = 1, .max = MAX_STEPS,
     .when_key = "kind", .when = "step"},
    {"gamma", QD_FIELD_REAL, RESULT | QD_FIELD_ABOVE_MIN, AT(schedule.gamma), .max = 1,
     .preset = "0.1", .when_key = "kind", .when = "step plateau"},
    {"patience", QD_FIELD_INT, RESULT, AT(schedule.patience), .max = 1e6, .preset = "10",
     .when_key = "kind", .when = "plateau"},
    {"threshold", QD_FIELD_REAL, RESULT | QD_FIELD_BELOW_MAX, AT(schedule.threshold), .max = 1,
     .preset = "1e-4", .when_key = "kind", .when = "plateau"},
    {"decay_steps", QD_FIELD_INT, RESULT, AT(schedule.decay_steps), .min = 1, .max = MAX_STEPS,
     .when_key = "kind", .when = "wsd"},
    {"div", QD_FIELD_REAL, RESULT, AT(schedule.div), .min = 1, .max = 1e6, .preset = "25",
     .when_key = "kind", .when = "one-cycle"},
    {"peak", QD_FIELD_REAL, RESULT | QD_FIELD_ABOVE_MIN | QD_FIELD_BELOW_MAX, AT(schedule.peak),
     .max = 1, .preset = "0.3", .when_key = "kind", .when = "one-cycle"},
    {0},
};

/* slots, ranks.max and layout.dp have defaults that follow from each other, and
 * some of the optimizers have some of their own: the files job_rules_*.c. */
enum { MAX_PARTS = 1024 };

static const qd_field slots_fields[] = {
    {"data", QD_FIELD_INT, RESULT, AT(slots_data), .min = 1, .max = QD_JOB_MAX_SLOTS},
    {"tensor", QD_FIELD_INT, RESULT, AT(slots_tensor), .min = 1, .max = QD_MAX_TENSOR_SLOTS},
    {"pipeline", QD_FIELD_INT, RESULT, AT(slots_pipeline), .min = 1, .max = MAX_PARTS},
    {0},
};

static const qd_field ranks_fields[] = {
    {"min", QD_FIELD_INT, 0, AT(ranks_min), .min = 1, .max = QD_JOB_MAX_SLOTS, .preset = "1"},
    {"max", QD_FIELD_INT, 0, AT(ranks_max), .min = 1, .max = QD_JOB_MAX_SLOTS},
    {0},
};

static const char *const grids[] = {[QD_GRID_GIVEN] = "given", [QD_GRID_AUTO] = "auto", NULL};

#define REQUEST_SECONDS(name, member)                                                              \
    { name, QD_FIELD_REAL, 0, AT(member), .max = 1e9, .preset = "0" }

static const char *const within_words[] = {
    [QD_JOB_WITHIN_ANYTHING] = "anything",
    [QD_JOB_WITHIN_HOST] = "host",
    [QD_JOB_WITHIN_ISLAND] = "island",
    NULL,
};

static const qd_field request_fields[] = {
    REQUEST_SECONDS("estimate_s", request_estimate_s),
    REQUEST_SECONDS("limit_s", request_limit_s),
    REQUEST_SECONDS("deadline_s", request_deadline_s),
    REQUEST_SECONDS("begin_s", request_begin_s),
    {"importance", QD_FIELD_INT, 0, AT(request_importance), .min = -100, .max = 100, .preset = "0"},
    {"nice", QD_FIELD_INT, 0, AT(request_nice), .min = -1e6, .max = 1e6, .preset = "0"},
    {"account", QD_FIELD_NAME, 0, TEXT_AT(request_account), .preset = "default"},
    {"reservation", QD_FIELD_NAME, 0, TEXT_AT(request_reservation), .preset = "none"},
    {"after", QD_FIELD_TEXT, 0, TEXT_AT(request_after), .preset = "none"},
    {"preemptible", QD_FIELD_BOOL, 0, AT(request_preemptible), .preset = "true"},
    {"within", QD_FIELD_CHOICE, 0, AT(request_within), .choices = within_words,
     .preset = "anything"},
    {"memory_gib", QD_FIELD_REAL, 0, AT(request_memory_gib), .max = 1e6, .preset = "0"},
    {0},
};

static const char *const reductions[] = {"ordered", "fast", NULL};

static const qd_field layout_fields[] = {
    {"grid", QD_FIELD_CHOICE, 0, AT(layout_grid), .choices = grids, .preset = "given"},
    {"dp", QD_FIELD_AUTO_INT, 0, AT(layout_dp), .min = 1, .max = QD_JOB_MAX_SLOTS,
     .preset = "auto"},
    {"tp", QD_FIELD_AUTO_INT, 0, AT(layout_tp), .min = 1, .max = QD_MAX_TENSOR_SLOTS,
     .preset = "1"},
    {"sequence_parallel", QD_FIELD_BOOL, 0, AT(layout_sequence_parallel), .preset = "false"},
    {"pp", QD_FIELD_INT, 0, AT(layout_pp), .min = 1, .max = MAX_PARTS, .preset = "1"},
    {"schedule", QD_FIELD_CHOICE, 0, AT(layout_schedule), .choices = qd_pipeline_names,
     .preset = "1f1b"},
    {"chunks", QD_FIELD_INT, 0, AT(layout_chunks), .min = 1, .max = MAX_PARTS, .preset = "1"},
    {"reduction", QD_FIELD_CHOICE, 0, AT(layout_reduction), .choices = reductions,
     .preset = "ordered"},
    {"zero", QD_FIELD_INT, 0, AT(layout_zero), .max = 3, .preset = "0"},
    {"bucket_mib", QD_FIELD_REAL, QD_FIELD_ABOVE_MIN, AT(layout_bucket_mib), .max = 65536,
     .preset = "4"},
    {0},
};

static const qd_field checkpoint_fields[] = {
    {"every", QD_FIELD_INT, 0, AT(checkpoint_every), .max = MAX_STEPS, .preset = "0"},
    {"keep", QD_FIELD_INT, 0, AT(checkpoint_keep), .min = 1, .max = 1e6, .preset = "2"},
    {0},
};

static const qd_field log_fields[] = {
    {"interval_s", QD_FIELD_REAL, 0, AT(log_interval_s), .min = 0.05, .max = 3600, .preset = "1"},
    {"every", QD_FIELD_INT, 0, AT(log_every), .max = MAX_STEPS, .preset = "0"},
    {0},
};

static const qd_field job_fields[] = {
    {"name", QD_FIELD_NAME, REQUIRED, TEXT_AT(name)},
    {"seed", QD_FIELD_UINT, RESULT, AT(seed), .preset = "1"},
    {"model", QD_FIELD_MAPPING, .fields = model_fields},
    {"data", QD_FIELD_MAPPING, .fields = data_fields},
    {"train", QD_FIELD_MAPPING, .fields = train_fields},
    {"optimizer", QD_FIELD_MAPPING, .fields = optimizer_fields},
    {"schedule", QD_FIELD_MAPPING, .fields = schedule_fields},
    {"slots", QD_FIELD_MAPPING, .fields = slots_fields},
    {"ranks", QD_FIELD_MAPPING, .fields = ranks_fields},
    {"request", QD_FIELD_MAPPING, .fields = request_fields},
    {"layout", QD_FIELD_MAPPING, QD_FIELD_WORD, .fields = layout_fields},
    {"checkpoint", QD_FIELD_MAPPING, .fields = checkpoint_fields},
    {"log", QD_FIELD_MAPPING, .fields = log_fields},
    {0},
};

int qd_job_parse(const char *file, const char *text, size_t length, qd_job *job) {
    qd_schema_lines *lines = NULL;
    qd_job parsed;
    int rc = qd_schema_parse(job_fields, file, text, length, &parsed, sizeof parsed, &lines);
    if (rc)
        return rc;
    rc = qd_job_resolve(file, lines, &parsed);
    qd_schema_lines_destroy(lines);
    if (!rc)
        *job = parsed;
    return rc;
}

int qd_job_load(const char *file, qd_job *job) {
    char *text = NULL;
    size_t length = 0;
    int rc = qd_yaml_read_file(file, &text, &length);
    if (!rc)
        rc = qd_job_parse(file, text, length, job);
    free(text);
    return rc;
}

void qd_job_emit(const qd_job *job, qd_text *out) {
    qd_schema_emit(job_fields, job, out);
}

int qd_job_check_same_result(const qd_job *saved, const qd_job *now) {
    int rc = qd_schema_compare(job_fields, saved, now);
    int64_t there = saved->train.evaluate_every, here = now->train.evaluate_every;
    /* Evaluations look on, unless the learning rate follows them. */
    if (!rc && now->schedule.kind == QD_SCHEDULE_PLATEAU && there != here)
        return qd_error_set(QD_ECONFIG, "train.evaluate_every: %lld there, %lld here",
                            (long long)there, (long long)here);
    return rc;
}

int64_t qd_job_total_steps(const qd_job *job, int64_t train_samples) {
    if (job->train.steps > 0)
        return job->train.steps;
    double steps = job->train.epochs * (double)train_samples / (double)job->train.batch;
    /* 0.07 * 100 is 7.000000000000001: what the rounding of a product adds is no further step. */
    double whole = nearbyint(steps);
    if (fabs(steps - whole) > 4 * DBL_EPSILON * steps)
        whole = ceil(steps);
    if (whole < 1)
        return 1;
    return whole < MAX_STEPS ? (int64_t)whole : MAX_STEPS;
}

int64_t qd_job_copy_ranks(const qd_job *job) {
    return job->layout_tp * (job->layout_pp > 1 ? job->layout_pp : 1);
}

int64_t qd_job_bucket_elements(const qd_job *job) {
    double mib = job->layout_bucket_mib > 0 ? job->layout_bucket_mib : 4;
    return (int64_t)ceil(mib * (1 << 20) / sizeof(float));
}

int64_t qd_job_micro_batches(const qd_job *job) {
    return job->train.micro_batches > 0 ? job->train.micro_batches : 1;
}

int64_t qd_job_graph_samples(const qd_job *job) {
    return job->train.batch / job->slots_data / qd_job_micro_batches(job);
}

void qd_job_slot_range(const qd_job *job, int dp, int i, int *first, int *end) {
    *first = (int)(i * job->slots_data / dp);
    *end = (int)((i + 1) * job->slots_data / dp);
}

int qd_job_most_slots(const qd_job *job, int dp) {
    return (int)((job->slots_data + dp - 1) / dp);
}
