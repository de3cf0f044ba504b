#include <string.h>

#include "runtime/clock.h"
#include "runtime/error.h"
#include "runtime/log.h"
#include "worker/trainer_internal.h"

/* Longest wait for one's own disk before a blocking save is given up. */
static const double write_deadline_s = 600;
static const double listen_every_s = 0.1;
/* Of the longest wait for a peer: what a member waits for its disk before it meets the others. */
static const double share_of_deadline = 0.25;

/* Steps are whole numbers beyond what a float sum keeps exact: they are agreed on in two halves. */
static const int64_t half_step = 1 << 12;

/* All members must hold the same number. QD_EPROTO otherwise. */
static int agree_on_step(qd_trainer *t, int64_t step, bool fits) {
    int64_t whole = step / half_step;
    float low = (float)(step % half_step), high = (float)whole;
    float sums[3] = {low, high, fits ? 0 : 1};
    int rc = qd_trainer_sum(t, sums, 3);
    if (rc)
        return rc;
    float members = (float)t->a->rank_count;
    if (sums[0] != low * members || sums[1] != high * members)
        return qd_error_set(
            QD_EPROTO,
            "%s: the members see different newest checkpoints (this one step %lld); "
            "is the run folder on a file system that all hosts share?",
            t->a->run_folder, (long long)step);
    return sums[2] == 0 ? 1 : 0;
}

static void warn_of_other_machine(const qd_trainer *t, const qd_checkpoint_origin *saved) {
    if (strcmp(saved->processor, t->origin.processor) == 0 && saved->threads == t->origin.threads)
        return;
    qd_log(QD_LOG_WARN,
           "%s: saved on \"%s\" with %d thread(s) a worker, resumed on \"%s\" with %d: results may "
           "differ in the last bits from here on",
           t->job->name, saved->processor, saved->threads, t->origin.processor, t->origin.threads);
}

/* The saved job must mean the same as ours. */
static int check_saved_job(const qd_trainer *t, const qd_checkpoint_info *info) {
    qd_job saved;
    int rc = qd_job_parse(info->folder, info->job_text, strlen(info->job_text), &saved);
    if (!rc)
        rc = qd_job_check_same_result(&saved, t->job);
    return rc ? qd_error_context(rc,
                                 "%s cannot be continued as this job (start anew without "
                                 "--resume, or restore the value)",
                                 info->folder)
              : 0;
}

/* Loads one checkpoint into the engine. 1 loaded, 0 it does not hold, or an error. */
static int try_load(qd_trainer *t, const qd_checkpoint_info *info) {
    int rc = check_saved_job(t, info);
    if (rc)
        return rc;
    rc = qd_checkpoint_load(info, t->state, t->state_count, (qd_listener){qd_trainer_listen, t});
    if (rc == QD_ECANCELLED)
        return rc;
    /* Each reads what it holds: damage may show to one member alone. */
    if (rc)
        qd_log(QD_LOG_WARN, "%s: passed over: %s", info->folder, qd_error_message());
    return agree_on_step(t, info->step, rc == 0);
}

int qd_trainer_resume(qd_trainer *t) {
    int64_t at_most = INT64_MAX;
    bool found = true;
    while (t->a->resume && found && at_most >= 0) {
        qd_checkpoint_info info = {0};
        int rc = qd_checkpoint_find(t->a->run_folder, at_most, &info, &found);
        if (rc)
            return rc;
        if (!found)
            break;
        rc = try_load(t, &info);
        if (rc == 1) {
            t->step = t->loaded_step = t->saved_step = info.step;
            warn_of_other_machine(t, &info.origin);
        }
        at_most = info.step - 1;
        qd_checkpoint_info_fini(&info);
        if (rc)
            return rc < 0 ? rc : 0;
    }
    /* Nobody may have found one where others did not. */
    int rc = agree_on_step(t, 0, true);
    if (rc < 0)
        return rc;
    /* One that failed on another member may have been loaded here. */
    return qd_stage_reset(t->stage);
}

/* After all members have written: the first one makes it count. */
static int commit(qd_trainer *t) {
    int64_t step = qd_checkpoint_pending(t->writer);
    if (!qd_trainer_leads(t)) {
        qd_checkpoint_forget(t->writer);
        t->saved_step = step;
        return 0;
    }
    /* The steps up to the checkpoint are on record before a run can begin from it. */
    int rc = t->steps_log ? qd_steps_log_flush(t->steps_log) : 0;
    if (!rc)
        rc = qd_checkpoint_commit(t->writer, t->job, &t->origin);
    if (rc) {
        qd_checkpoint_forget(t->writer);
        return qd_error_context(rc, "checkpoint of step %lld", (long long)step);
    }
    t->saved_step = step;
    t->hooks->saved(t->hooks->context, step);
    return 0;
}

void qd_trainer_checkpoint_vote(qd_trainer *t) {
    if (qd_checkpoint_pending(t->writer) < 0)
        return;
    int written = qd_checkpoint_written(t->writer);
    if (written < 0)
        qd_log(QD_LOG_WARN, "%s: checkpoint of step %lld given up: %s", t->job->name,
               (long long)qd_checkpoint_pending(t->writer), qd_error_message());
    if (written != 0)
        qd_stage_add_total(t->stage, QD_TOTAL_SAVED, written > 0 ? 1 : QD_SAVED_FAILED);
}

/* The state may still be on its way. */
static int begin(qd_trainer *t) {
    int rc = qd_stage_settle(t->stage);
    return rc ? rc : qd_checkpoint_begin(t->writer, t->state, t->state_count, t->step);
}

int qd_trainer_checkpoint_step(qd_trainer *t) {
    if (qd_checkpoint_pending(t->writer) >= 0) {
        float saved = t->saved_votes;
        if (saved >= QD_SAVED_FAILED)
            qd_checkpoint_forget(t->writer);
        else if (saved == (float)t->a->rank_count && commit(t))
            /* Training is worth more than this checkpoint; the next one may succeed. */
            qd_log(QD_LOG_WARN, "%s: %s", t->job->name, qd_error_message());
    }
    int64_t every = t->job->checkpoint_every;
    if (every == 0 || t->step % every != 0 || qd_checkpoint_pending(t->writer) >= 0)
        return 0;
    int rc = begin(t);
    return rc ? qd_error_context(rc, "checkpoint of step %lld", (long long)t->step) : 0;
}

/* Waits for one's own part, listening to the scheduler meanwhile. QD_ETIMEDOUT: not yet. */
static int wait_written(qd_trainer *t, double wait_s) {
    qd_deadline deadline = qd_deadline_in(wait_s);
    for (;;) {
        int rc = qd_checkpoint_wait(t->writer, listen_every_s);
        if (rc != QD_ETIMEDOUT || qd_deadline_passed(deadline))
            return rc;
        if (t->hooks->poll(t->hooks->context))
            return qd_error_set(QD_ECANCELLED, "called off while saving");
    }
}

/* Waits for the parts of all members; fails on all of them, and gives up, where one fails. A disk
 * may take longer than its peers may wait for a member: they meet in between. */
static int wait_all_written(qd_trainer *t) {
    qd_deadline deadline = qd_deadline_in(write_deadline_s);
    for (;;) {
        int rc = wait_written(t, t->a->deadline_s * share_of_deadline);
        if (rc == QD_ECANCELLED)
            return rc;
        bool unfinished = rc == QD_ETIMEDOUT && !qd_deadline_passed(deadline);
        if (rc == QD_ETIMEDOUT && !unfinished)
            qd_error_set(rc, "not on disk after %g s", write_deadline_s);
        float sums[] = {rc && !unfinished ? 1 : 0, unfinished ? 1 : 0};
        int sum_rc = qd_trainer_sum(t, sums, 2);
        if (sum_rc)
            return sum_rc;
        if (sums[0] != 0) {
            if (!rc || unfinished)
                rc = qd_error_set(QD_EIO, "another member could not write its part");
            qd_checkpoint_forget(t->writer);
            return rc;
        }
        if (sums[1] == 0)
            return 0;
    }
}

/* Waits for the pending checkpoint of all members and commits it, or fails on all of them. */
static int finish_pending(qd_trainer *t) {
    int rc = wait_all_written(t);
    if (rc)
        return rc;
    rc = commit(t);
    /* Nobody goes on before the folder stands under its final name. */
    float failed = rc ? 1 : 0;
    int sum_rc = qd_trainer_sum(t, &failed, 1);
    if (rc || sum_rc)
        return rc ? rc : sum_rc;
    return failed == 0 ? 0 : qd_error_set(QD_EIO, "the first member could not complete it");
}

int qd_trainer_checkpoint_now(qd_trainer *t) {
    qd_span_kind before = qd_span_enter(&t->spans, QD_SPAN_CHECKPOINT);
    int rc = 0;
    int64_t pending = qd_checkpoint_pending(t->writer);
    if (pending >= 0) {
        rc = finish_pending(t);
        if (rc && rc != QD_ECANCELLED && pending != t->step)
            rc = 0; /* the one that is about to be written matters more */
    }
    if (!rc && t->saved_step != t->step) {
        int begun = begin(t);
        float failed = begun ? 1 : 0;
        rc = qd_trainer_sum(t, &failed, 1);
        if (!rc && begun)
            rc = begun;
        else if (!rc && failed != 0)
            rc = qd_error_set(QD_EIO, "another member could not begin it");
        if (!rc)
            rc = finish_pending(t);
        else if (!begun)
            qd_checkpoint_forget(t->writer);
    }
    qd_span_enter(&t->spans, before);
    return rc ? qd_error_context(rc, "checkpoint of step %lld", (long long)t->step) : 0;
}
