#include "models/job_rules.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "models/family.h"
#include "models/layer_list.h"
#include "runtime/error.h"

/* The slots of a job that says nothing about them: enough for one node, few enough that a slot
 * of a usual batch stays worth computing. */
#define DEFAULT_SLOTS 8

typedef struct rules {
    const char *file;
    const qd_schema_lines *lines;
    const char *slots_from; /* the key that slots_data was taken from; NULL: from the batch */
} rules;

/* Lists the divisors of batch nearest to value, up to three on either side: "1, 2, 4 or 8". */
static void list_divisors(int64_t batch, int64_t value, char *out, size_t size) {
    int64_t found[6], high = batch < QD_JOB_MAX_SLOTS ? batch : QD_JOB_MAX_SLOTS;
    int below = 0, count;
    for (int64_t d = value - 1 < high ? value - 1 : high; d >= 1 && below < 3; d--)
        if (batch % d == 0)
            found[2 - below++] = d;
    count = 3;
    for (int64_t d = value + 1; d <= high && count < 6; d++)
        if (batch % d == 0)
            found[count++] = d;
    size_t used = 0;
    out[0] = '\0';
    for (int i = 3 - below; i < count && used < size; i++) {
        const char *before = i == 3 - below ? "" : i == count - 1 ? " or " : ", ";
        used += (size_t)snprintf(out + used, size - used, "%s%" PRId64, before, found[i]);
    }
}

/* The least divisor of batch that is value or more; 0 when slots can't be that many. */
static int64_t divisor_from(int64_t batch, int64_t value) {
    for (int64_t d = value; d <= batch && d <= QD_JOB_MAX_SLOTS; d++)
        if (batch % d == 0)
            return d;
    return 0;
}

/* Ends a message about too few slots by saying how to get `ranks` of them. */
static int add_slots_remedy(int rc, const qd_job *job, int64_t ranks) {
    int64_t enough = divisor_from(job->train.batch, ranks);
    char before[QD_ERROR_BYTES];
    snprintf(before, sizeof before, "%s", qd_error_message());
    if (!enough)
        return rc;
    return qd_error_set(rc, "%s, or set slots.data to %" PRId64, before, enough);
}

enum { RESNET_WIDTH = 64 }; /* the paper's */

/* A resnet has a width to start from; these have none. */
static int check_width(const rules *r, const qd_job *job) {
    static const bool needs_width[QD_FAMILY_KINDS] = {
        [QD_FAMILY_GPT] = true,
        [QD_FAMILY_EMBEDDING] = true,
        [QD_FAMILY_BERT] = true,
        [QD_FAMILY_LSTM] = true,
    };
    if (needs_width[job->model.family] && !job->model.width)
        return qd_error_set(QD_ECONFIG, "%s:%d: missing key \"width\" in model", r->file,
                            qd_schema_line(r->lines, "model"));
    return 0;
}

static void fill_model(qd_job *job) {
    if (job->model.loss == QD_LOSS_HUBER && !(job->model.delta > 0))
        job->model.delta = 1; /* PyTorch's */
    if (job->model.family == QD_FAMILY_RESNET && !job->model.width)
        job->model.width = RESNET_WIDTH;
    if (!job->model.length)
        job->model.length = job->model.context;
    if (!job->model.kv_heads)
        job->model.kv_heads = job->model.heads;
}

static int check_image(const rules *r, const qd_job *job) {
    bool images =
        job->model.family == QD_FAMILY_CNN || job->model.family == QD_FAMILY_RESNET ||
        (job->model.family == QD_FAMILY_LAYERS && qd_schema_given(r->lines, "model.image"));
    if (images && job->model.image_count != 3)
        return qd_error_set(
            QD_ECONFIG, "%s:%d: model.image has %d entries; give height, width and channels",
            r->file, qd_schema_line(r->lines, "model.image"), job->model.image_count);
    return 0;
}

/* Of a width that the heads divide. */
static int check_heads(const rules *r, const qd_job *job) {
    int64_t heads = job->model.heads, kv_heads = job->model.kv_heads;
    int64_t head = job->model.width / heads;
    char divisors[128];
    if (kv_heads && heads % kv_heads) {
        list_divisors(heads, kv_heads, divisors, sizeof divisors);
        return qd_error_set(
            QD_ECONFIG,
            "%s:%d: model.kv_heads %" PRId64 " does not divide model.heads %" PRId64 "; use %s",
            r->file, qd_schema_line(r->lines, "model.kv_heads"), kv_heads, heads, divisors);
    }
    if (job->model.positions == QD_POSITIONS_ROTARY && head % 2)
        return qd_error_set(QD_ECONFIG,
                            "%s:%d: model.positions rotary turns pairs, and model.width %" PRId64
                            " / model.heads %" PRId64
                            " is odd; with these heads a width of %" PRId64 " would do",
                            r->file, qd_schema_line(r->lines, "model.positions"), job->model.width,
                            heads, (head + 1) * heads);
    return 0;
}

static int check_loss(const rules *r, const qd_job *job) {
    if (!(job->model.delta > 0) || job->model.loss == QD_LOSS_HUBER)
        return 0;
    return qd_error_set(QD_ECONFIG, "%s:%d: model.delta: only for loss huber; remove delta",
                        r->file, qd_schema_line(r->lines, "model.delta"));
}

static int check_model(const rules *r, const qd_job *job) {
    int64_t heads = job->model.heads, width = job->model.width;
    if (!heads)
        return 0;
    if (job->model.length > job->model.context)
        return qd_error_set(QD_ECONFIG,
                            "%s:%d: model.length %" PRId64 " is more than model.context %" PRId64
                            "; lower it or raise the context",
                            r->file, qd_schema_line(r->lines, "model.length"), job->model.length,
                            job->model.context);
    if (width % heads == 0)
        return check_heads(r, job);
    int64_t above = (width / heads + 1) * heads;
    return qd_error_set(QD_ECONFIG,
                        "%s:%d: model.heads %" PRId64 " does not divide model.width %" PRId64
                        "; with these heads a width of %" PRId64 " would do",
                        r->file, qd_schema_line(r->lines, "model.heads"), heads, width, above);
}

static int check_class_weights(const rules *r, const qd_job *job) {
    int count = job->model.class_weight_count,
        line = qd_schema_line(r->lines, "model.class_weights");
    double sum = 0;
    for (int i = 0; i < count; i++)
        sum += job->model.class_weights[i];
    if (count && count != job->model.classes)
        return qd_error_set(QD_ECONFIG,
                            "%s:%d: model.class_weights has %d entries for %" PRId64
                            " classes; give one for each",
                            r->file, line, count, job->model.classes);
    if (count && sum == 0)
        return qd_error_set(QD_ECONFIG,
                            "%s:%d: model.class_weights are all 0; at least one must be above it",
                            r->file, line);
    return 0;
}

static int check_dropout(const rules *r, const qd_job *job) {
    static const bool drops_hidden[QD_FAMILY_KINDS] = {
        [QD_FAMILY_MLP] = true,
        [QD_FAMILY_REGRESSION] = true,
        [QD_FAMILY_CNN] = true,
        [QD_FAMILY_EMBEDDING] = true,
    };
    if (job->model.dropout == 0 || !drops_hidden[job->model.family] || job->model.hidden_count)
        return 0;
    return qd_error_set(QD_ECONFIG,
                        "%s:%d: model.dropout drops outputs of hidden layers, and model.hidden is "
                        "empty; add a layer or remove dropout",
                        r->file, qd_schema_line(r->lines, "model.dropout"));
}

/* A share of the training file is set apart only where nothing else is there to validate with. */
static int resolve_validation(const rules *r, qd_job *job) {
    qd_data_spec *data = &job->data;
    if (!data->validation_file[0])
        return 0;
    if (qd_schema_given(r->lines, "data.validation_share") && data->validation_share > 0)
        return qd_error_set(QD_ECONFIG,
                            "%s:%d: data.validation_file and data.validation_share are both given; "
                            "remove one of them",
                            r->file, qd_schema_line(r->lines, "data.validation_share"));
    data->validation_share = 0;
    return 0;
}

static int check_tests(const rules *r, const qd_job *job) {
    bool inputs = job->data.test_inputs[0], targets = job->data.test_targets[0];
    if (inputs == targets)
        return 0;
    return qd_error_set(
        QD_ECONFIG, "%s:%d: data.%s is given without data.%s; give both or neither", r->file,
        qd_schema_line(r->lines, inputs ? "data.test_inputs" : "data.test_targets"),
        inputs ? "test_inputs" : "test_targets", inputs ? "test_targets" : "test_inputs");
}

static int check_length(const rules *r, const qd_job *job) {
    bool steps = job->train.steps > 0, epochs = job->train.epochs > 0;
    if (steps && epochs)
        return qd_error_set(QD_ECONFIG,
                            "%s:%d: train.steps and train.epochs are both given; remove one of "
                            "them",
                            r->file, qd_schema_line(r->lines, "train.epochs"));
    if (!steps && !epochs)
        return qd_error_set(QD_ECONFIG,
                            "%s:%d: missing key \"steps\" or \"epochs\" in train; give one of them",
                            r->file, qd_schema_line(r->lines, "train"));
    return 0;
}

static int check_stop(const rules *r, const qd_job *job) {
    if (!job->train.stop_after || job->train.evaluate_every)
        return 0;
    return qd_error_set(QD_ECONFIG,
                        "%s:%d: train.stop_after counts evaluations, and train.evaluate_every is "
                        "0; set evaluate_every or remove stop_after",
                        r->file, qd_schema_line(r->lines, "train.stop_after"));
}

static void fill_slots(rules *r, qd_job *job) {
    if (!job->layout_tp)
        job->layout_tp = 1;
    if (!job->slots_tensor)
        job->slots_tensor = job->layout_tp;
    if (!job->slots_pipeline)
        job->slots_pipeline = job->layout_pp * job->layout_chunks;
    if (job->slots_data) {
        r->slots_from = "slots.data";
    } else if (job->ranks_max) {
        job->slots_data = (job->ranks_max + qd_job_copy_ranks(job) - 1) / qd_job_copy_ranks(job);
        r->slots_from = "ranks.max";
    } else if (job->layout_dp) {
        job->slots_data = job->layout_dp;
        r->slots_from = "layout.dp";
    } else {
        job->slots_data = DEFAULT_SLOTS;
        while (job->train.batch % job->slots_data)
            job->slots_data--;
    }
}

static int check_slots(const rules *r, const qd_job *job) {
    char divisors[128];
    if (job->train.batch % job->slots_data == 0)
        return 0;
    list_divisors(job->train.batch, job->slots_data, divisors, sizeof divisors);
    int line = qd_schema_line(r->lines, r->slots_from);
    if (qd_schema_given(r->lines, "slots.data"))
        return qd_error_set(QD_ECONFIG,
                            "%s:%d: slots.data %" PRId64 " does not divide train.batch %" PRId64
                            "; use %s",
                            r->file, line, job->slots_data, job->train.batch, divisors);
    int rc =
        qd_error_set(QD_ECONFIG,
                     "%s:%d: %s %" PRId64
                     ", taken for slots.data too, does not divide train.batch %" PRId64 "; use %s",
                     r->file, line, r->slots_from, job->slots_data, job->train.batch, divisors);
    return add_slots_remedy(rc, job, job->slots_data);
}

static int check_micro_batches(const rules *r, const qd_job *job) {
    char divisors[128];
    int64_t samples = job->train.batch / job->slots_data, parts = job->train.micro_batches;
    if (samples % parts == 0)
        return 0;
    list_divisors(samples, parts, divisors, sizeof divisors);
    return qd_error_set(QD_ECONFIG,
                        "%s:%d: train.micro_batches %" PRId64 " does not divide the %" PRId64
                        " sample(s) of a data slot (train.batch %" PRId64 " / slots.data %" PRId64
                        "); use %s",
                        r->file, qd_schema_line(r->lines, "train.micro_batches"), parts, samples,
                        job->train.batch, job->slots_data, divisors);
}

static int check_recompute(const rules *r, const qd_job *job) {
    int64_t blocks = qd_family_blocks(job), wanted = job->train.recompute;
    int line = qd_schema_line(r->lines, "train.recompute");
    if (wanted <= blocks)
        return 0;
    if (blocks == 0)
        return qd_error_set(QD_ECONFIG,
                            "%s:%d: train.recompute %" PRId64
                            ", and family %s has no blocks to recompute; remove it",
                            r->file, line, wanted, qd_family_of(job)->name);
    return qd_error_set(QD_ECONFIG,
                        "%s:%d: train.recompute %" PRId64 " is more than the %" PRId64
                        " block(s) of the model; use 0 to %" PRId64,
                        r->file, line, wanted, blocks, blocks);
}

/* Ranks that slots are enough for, with all of them in use. */
static int64_t most_ranks(const qd_job *job) {
    return job->slots_data * qd_job_copy_ranks(job);
}

/* "" or what each copy of the model multiplies. */
static const char *copy_words(const qd_job *job, char *words, size_t size) {
    words[0] = '\0';
    if (job->layout_tp > 1)
        snprintf(words, size, " times layout.tp %" PRId64, job->layout_tp);
    size_t used = strlen(words);
    if (job->layout_pp > 1)
        snprintf(words + used, size - used, " times layout.pp %" PRId64, job->layout_pp);
    return words;
}

static int check_max(const rules *r, const qd_job *job) {
    char times[64];
    if (job->ranks_max <= most_ranks(job))
        return 0;
    int rc = qd_error_set(QD_ECONFIG,
                          "%s:%d: ranks.max %" PRId64 " is more than slots.data %" PRId64
                          "%s, and each rank needs a slot; lower ranks.max to %" PRId64,
                          r->file, qd_schema_line(r->lines, "ranks.max"), job->ranks_max,
                          job->slots_data, copy_words(job, times, sizeof times), most_ranks(job));
    return add_slots_remedy(rc, job,
                            (job->ranks_max + qd_job_copy_ranks(job) - 1) / qd_job_copy_ranks(job));
}

static int check_min(const rules *r, const qd_job *job) {
    int line = qd_schema_line(r->lines, "ranks.min");
    char times[64];
    if (job->ranks_max && job->ranks_min > job->ranks_max)
        return qd_error_set(QD_ECONFIG,
                            "%s:%d: ranks.min %" PRId64 " is more than ranks.max %" PRId64
                            "; lower ranks.min or raise ranks.max",
                            r->file, line, job->ranks_min, job->ranks_max);
    if (job->ranks_min <= most_ranks(job))
        return 0;
    int rc = qd_error_set(QD_ECONFIG,
                          "%s:%d: ranks.min %" PRId64 " is more than slots.data %" PRId64
                          "%s%s, and each rank needs a slot; lower ranks.min to %" PRId64,
                          r->file, line, job->ranks_min, job->slots_data,
                          r->slots_from ? "" : " (the default)",
                          copy_words(job, times, sizeof times), most_ranks(job));
    return add_slots_remedy(rc, job,
                            (job->ranks_min + qd_job_copy_ranks(job) - 1) / qd_job_copy_ranks(job));
}

static int check_dp(const rules *r, const qd_job *job) {
    int64_t dp = job->layout_dp;
    int line = qd_schema_line(r->lines, "layout.dp");
    if (!dp)
        return 0;
    char times[64];
    copy_words(job, times, sizeof times);
    const char *comma = qd_job_copy_ranks(job) > 1 ? " or" : ",";
    const char *or_auto = qd_job_copy_ranks(job) > 1 ? "" : ", or write dp: auto";
    if (dp * qd_job_copy_ranks(job) < job->ranks_min)
        return qd_error_set(QD_ECONFIG,
                            "%s:%d: layout.dp %" PRId64 "%s is less than ranks.min %" PRId64
                            "; raise layout.dp%s lower ranks.min%s",
                            r->file, line, dp, times, job->ranks_min, comma, or_auto);
    if (job->ranks_max && dp * qd_job_copy_ranks(job) > job->ranks_max)
        return qd_error_set(QD_ECONFIG,
                            "%s:%d: layout.dp %" PRId64 "%s is more than ranks.max %" PRId64
                            "; lower layout.dp%s raise ranks.max%s",
                            r->file, line, dp, times, job->ranks_max, comma, or_auto);
    if (dp <= job->slots_data)
        return 0;
    int rc = qd_error_set(QD_ECONFIG,
                          "%s:%d: layout.dp %" PRId64 " is more than slots.data %" PRId64
                          ", and each rank needs a slot; lower layout.dp to %" PRId64,
                          r->file, line, dp, job->slots_data, job->slots_data);
    return add_slots_remedy(rc, job, dp);
}

static void fill_real(const rules *r, const char *key, double value, double *real) {
    if (!qd_schema_given(r->lines, key))
        *real = value;
}

/* As torch.optim.AdamW and torch.optim.Muon, and NVIDIA's FusedLAMB. */
static void fill_optimizer(const rules *r, qd_job *job) {
    qd_optimizer_spec *o = &job->optimizer;
    if (o->kind == QD_OPTIMIZER_ADAMW || o->kind == QD_OPTIMIZER_LAMB)
        fill_real(r, "optimizer.weight_decay", 0.01, &o->weight_decay);
    if (o->kind == QD_OPTIMIZER_LAMB)
        fill_real(r, "optimizer.epsilon", 1e-6, &o->epsilon);
    if (o->kind == QD_OPTIMIZER_MUON) {
        fill_real(r, "optimizer.weight_decay", 0.1, &o->weight_decay);
        fill_real(r, "optimizer.momentum", 0.95, &o->momentum);
    }
}

static int check_optimizer(const rules *r, const qd_job *job) {
    if (!job->optimizer.nesterov || job->optimizer.momentum > 0)
        return 0;
    return qd_error_set(QD_ECONFIG,
                        "%s:%d: optimizer.nesterov looks ahead along the momentum, and "
                        "optimizer.momentum is 0; raise momentum or remove nesterov",
                        r->file, qd_schema_line(r->lines, "optimizer.nesterov"));
}

static int missing_in_schedule(const rules *r, const char *key, const char *kind) {
    return qd_error_set(QD_ECONFIG,
                        "%s:%d: missing key \"%s\" in schedule; kind %s needs it, a whole number "
                        "of steps, 1 or more",
                        r->file, qd_schema_line(r->lines, "schedule"), key, kind);
}

/* That the schedule fits its length, where the job gives that in steps; epochs need the data. */
static int check_schedule_length(const rules *r, const qd_job *job) {
    const qd_schedule_spec *s = &job->schedule;
    const char *from = s->steps ? "schedule.steps" : "train.steps";
    int64_t length = s->steps ? s->steps : job->train.steps;
    if (!length)
        return 0;
    if (s->warmup >= length)
        return qd_error_set(QD_ECONFIG,
                            "%s:%d: schedule.warmup %" PRId64 " leaves no step of %s %" PRId64
                            "; lower warmup to %" PRId64 " or less",
                            r->file, qd_schema_line(r->lines, "schedule.warmup"), s->warmup, from,
                            length, length - 1);
    if (s->decay_steps > length - s->warmup)
        return qd_error_set(QD_ECONFIG,
                            "%s:%d: schedule.warmup %" PRId64 " and schedule.decay_steps %" PRId64
                            " are together more than %s %" PRId64 "; lower decay_steps to %" PRId64
                            " or less",
                            r->file, qd_schema_line(r->lines, "schedule.decay_steps"), s->warmup,
                            s->decay_steps, from, length, length - s->warmup);
    return 0;
}

static int check_plateau(const rules *r, const qd_job *job) {
    if (job->train.evaluate_every)
        return 0;
    return qd_error_set(QD_ECONFIG,
                        "%s:%d: schedule.kind plateau follows evaluations, and "
                        "train.evaluate_every is 0; set evaluate_every or choose another kind",
                        r->file, qd_schema_line(r->lines, "schedule.kind"));
}

/* Kinds that need no length may warm up for longer than the run. */
static int check_schedule(const rules *r, const qd_job *job) {
    switch (job->schedule.kind) {
    case QD_SCHEDULE_CONSTANT:
        return 0;
    case QD_SCHEDULE_PLATEAU:
        return check_plateau(r, job);
    case QD_SCHEDULE_STEP:
        return job->schedule.every ? 0 : missing_in_schedule(r, "every", "step");
    case QD_SCHEDULE_WSD:
        if (!job->schedule.decay_steps)
            return missing_in_schedule(r, "decay_steps", "wsd");
        break;
    case QD_SCHEDULE_LINEAR:
    case QD_SCHEDULE_COSINE:
    case QD_SCHEDULE_ONE_CYCLE:
        break;
    }
    return check_schedule_length(r, job);
}

static int check_tp(const rules *r, const qd_job *job) {
    int line = qd_schema_line(r->lines, "layout.tp");
    if (job->layout_tp == 1)
        return 0;
    if (job->layout_tp > job->slots_tensor)
        return qd_error_set(QD_ECONFIG,
                            "%s:%d: layout.tp %" PRId64 " is more than slots.tensor %" PRId64
                            ", and each rank of a tensor group needs a slot; lower layout.tp to "
                            "%" PRId64 ", or set slots.tensor to %" PRId64 " for a new run",
                            r->file, line, job->layout_tp, job->slots_tensor, job->slots_tensor,
                            job->layout_tp);
    if (job->optimizer.kind == QD_OPTIMIZER_LAMB || job->optimizer.kind == QD_OPTIMIZER_MUON)
        return qd_error_set(QD_ECONFIG,
                            "%s:%d: layout.tp %" PRId64 ", and optimizer.kind %s needs whole "
                            "matrices on each rank; use layout.tp 1, or sgd, adam or adamw",
                            r->file, line, job->layout_tp,
                            job->optimizer.kind == QD_OPTIMIZER_LAMB ? "lamb" : "muon");
    return 0;
}

/* The key that makes a copy of the model take several ranks. */
static const char *copy_key(const qd_job *job) {
    return job->layout_tp > 1 ? "layout.tp" : "layout.pp";
}

static int check_copies(const rules *r, const qd_job *job) {
    int64_t copy = qd_job_copy_ranks(job);
    int line = qd_schema_line(r->lines, copy_key(job));
    if (copy == 1 || job->layout_dp)
        return 0;
    if (job->ranks_min != job->ranks_max)
        return qd_error_set(QD_ECONFIG,
                            "%s:%d: %s %" PRId64 " needs layout.dp in numbers: ranks are "
                            "dealt out in groups of %" PRId64 "; set layout.dp",
                            r->file, line, copy_key(job), copy, copy);
    if (job->ranks_max % copy)
        return qd_error_set(QD_ECONFIG,
                            "%s:%d: %s %" PRId64 " does not divide the %" PRId64
                            " ranks; set layout.dp",
                            r->file, line, copy_key(job), copy, job->ranks_max);
    return 0;
}

/* Whether each rank of a tensor group has something of every layer that is cut. */
static int check_parts(const rules *r, const qd_job *job) {
    qd_graph *graph = NULL;
    if (job->layout_tp == 1)
        return 0;
    int rc = qd_family_build_part(job, (int)job->layout_tp, 0, &graph);
    qd_graph_destroy(graph);
    char context[QD_JOB_PATH_BYTES];
    snprintf(context, sizeof context, "%s:%d: layout.tp %" PRId64, r->file,
             qd_schema_line(r->lines, "layout.tp"), job->layout_tp);
    return rc ? qd_error_context(rc, "%s", context) : 0;
}

/* A layout in numbers leaves no choice of ranks. */
static void fill_ranks(qd_job *job) {
    if (job->layout_dp) {
        job->ranks_min = job->layout_dp * qd_job_copy_ranks(job);
        job->ranks_max = job->ranks_min;
    } else if (!job->ranks_max) {
        job->ranks_max = most_ranks(job);
    }
}

int qd_job_resolve(const char *file, const qd_schema_lines *lines, qd_job *job) {
    rules r = {file, lines, NULL};
    int rc;
    if ((rc = check_image(&r, job)) || (rc = check_width(&r, job)) || (rc = check_loss(&r, job)) ||
        (rc = check_model(&r, job)) || (rc = qd_layer_list_resolve(file, lines, job)) ||
        (rc = check_class_weights(&r, job)) || (rc = check_dropout(&r, job)) ||
        (rc = resolve_validation(&r, job)) || (rc = check_tests(&r, job)) ||
        (rc = check_length(&r, job)) || (rc = check_stop(&r, job)) ||
        (rc = check_optimizer(&r, job)) || (rc = check_schedule(&r, job)))
        return rc;
    fill_model(job);
    fill_optimizer(&r, job);
    fill_slots(&r, job);
    if ((rc = check_slots(&r, job)) || (rc = check_micro_batches(&r, job)) ||
        (rc = check_recompute(&r, job)) || (rc = check_max(&r, job)) || (rc = check_min(&r, job)) ||
        (rc = check_dp(&r, job)))
        return rc;
    fill_ranks(job);
    if ((rc = check_tp(&r, job)) || (rc = check_copies(&r, job)) ||
        (rc = qd_layer_list_check(file, lines, job)))
        return rc;
    rc = check_parts(&r, job);
    return rc ? rc : qd_job_check_pipeline(file, lines, job);
}
