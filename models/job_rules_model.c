#include "models/job_rules_internal.h"

#include <inttypes.h>

#include "models/layer_list.h"
#include "runtime/error.h"

enum { RESNET_WIDTH = 64 }; /* the paper's */

/* A resnet has a width to start from; these have none. */
static int check_width(const qd_job_rules *r, const qd_job *job) {
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

static int check_image(const qd_job_rules *r, const qd_job *job) {
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
static int check_heads(const qd_job_rules *r, const qd_job *job) {
    int64_t heads = job->model.heads, kv_heads = job->model.kv_heads;
    int64_t head = job->model.width / heads;
    char divisors[128];
    if (kv_heads && heads % kv_heads) {
        qd_job_list_divisors(heads, kv_heads, divisors, sizeof divisors);
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

static int check_loss(const qd_job_rules *r, const qd_job *job) {
    if (!(job->model.delta > 0) || job->model.loss == QD_LOSS_HUBER)
        return 0;
    return qd_error_set(QD_ECONFIG, "%s:%d: model.delta: only for loss huber; remove delta",
                        r->file, qd_schema_line(r->lines, "model.delta"));
}

static int check_model(const qd_job_rules *r, const qd_job *job) {
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

static int check_class_weights(const qd_job_rules *r, const qd_job *job) {
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

static int check_dropout(const qd_job_rules *r, const qd_job *job) {
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

int qd_job_resolve_model(const qd_job_rules *r, qd_job *job) {
    int rc;
    if ((rc = check_image(r, job)) || (rc = check_width(r, job)) || (rc = check_loss(r, job)) ||
        (rc = check_model(r, job)) || (rc = qd_layer_list_resolve(r->file, r->lines, job)) ||
        (rc = check_class_weights(r, job)) || (rc = check_dropout(r, job)))
        return rc;
    fill_model(job);
    return 0;
}
