#include "models/job_rules_internal.h"

#include <inttypes.h>

#include "runtime/error.h"

/* A share of the training file is set apart only where nothing else is there to validate with. */
static int resolve_validation(const qd_job_rules *r, qd_job *job) {
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

static int check_tests(const qd_job_rules *r, const qd_job *job) {
    bool inputs = job->data.test_inputs[0], targets = job->data.test_targets[0];
    if (inputs == targets)
        return 0;
    return qd_error_set(
        QD_ECONFIG, "%s:%d: data.%s is given without data.%s; give both or neither", r->file,
        qd_schema_line(r->lines, inputs ? "data.test_inputs" : "data.test_targets"),
        inputs ? "test_inputs" : "test_targets", inputs ? "test_targets" : "test_inputs");
}

static int check_length(const qd_job_rules *r, const qd_job *job) {
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

static int check_stop(const qd_job_rules *r, const qd_job *job) {
    if (!job->train.stop_after || job->train.evaluate_every)
        return 0;
    return qd_error_set(QD_ECONFIG,
                        "%s:%d: train.stop_after counts evaluations, and train.evaluate_every is "
                        "0; set evaluate_every or remove stop_after",
                        r->file, qd_schema_line(r->lines, "train.stop_after"));
}

static void fill_real(const qd_job_rules *r, const char *key, double value, double *real) {
    if (!qd_schema_given(r->lines, key))
        *real = value;
}

/* As torch.optim.AdamW and torch.optim.Muon, and NVIDIA's FusedLAMB. */
static void fill_optimizer(const qd_job_rules *r, qd_job *job) {
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

static int check_optimizer(const qd_job_rules *r, const qd_job *job) {
    if (!job->optimizer.nesterov || job->optimizer.momentum > 0)
        return 0;
    return qd_error_set(QD_ECONFIG,
                        "%s:%d: optimizer.nesterov looks ahead along the momentum, and "
                        "optimizer.momentum is 0; raise momentum or remove nesterov",
                        r->file, qd_schema_line(r->lines, "optimizer.nesterov"));
}

int qd_job_resolve_train(const qd_job_rules *r, qd_job *job) {
    int rc;
    if ((rc = resolve_validation(r, job)) || (rc = check_tests(r, job)) ||
        (rc = check_length(r, job)) || (rc = check_stop(r, job)) || (rc = check_optimizer(r, job)))
        return rc;
    fill_optimizer(r, job);
    return 0;
}
