#include "models/job_rules_internal.h"

#include <inttypes.h>

#include "runtime/error.h"

static int missing_in_schedule(const qd_job_rules *r, const char *key, const char *kind) {
    return qd_error_set(QD_ECONFIG,
                        "%s:%d: missing key \"%s\" in schedule; kind %s needs it, a whole number "
                        "of steps, 1 or more",
                        r->file, qd_schema_line(r->lines, "schedule"), key, kind);
}

/* That the schedule fits its length, where the job gives that in steps; epochs need the data. */
static int check_schedule_length(const qd_job_rules *r, const qd_job *job) {
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

static int check_plateau(const qd_job_rules *r, const qd_job *job) {
    if (job->train.evaluate_every)
        return 0;
    return qd_error_set(QD_ECONFIG,
                        "%s:%d: schedule.kind plateau follows evaluations, and "
                        "train.evaluate_every is 0; set evaluate_every or choose another kind",
                        r->file, qd_schema_line(r->lines, "schedule.kind"));
}

/* Kinds that need no length may warm up for longer than the run. */
int qd_job_check_schedule(const qd_job_rules *r, const qd_job *job) {
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
