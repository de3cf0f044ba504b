#include "worker/trainer.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/align.h"
#include "runtime/clock.h"
#include "runtime/error.h"
#include "runtime/file.h"
#include "runtime/log.h"
#include "runtime/resident.h"
#include "runtime/topology.h"
#include "worker/trainer_internal.h"

static const double data_deadline_s = 120;    /* longest wait for the loader's thread */
static const int64_t progress_ns = 100000000; /* between two words to the scheduler */
static const int64_t listen_ns = 100000000;   /* between two ears for it, within a step */
static const int64_t line_ns = 1000000000;    /* between two plain lines, where log.every is 0 */

int qd_trainer_sum(qd_trainer *t, float *values, int count) {
    int members = t->a->rank_count;
    memset(t->agree, 0, QD_AGREE_MAX * sizeof *t->agree);
    memcpy(t->agree, values, (size_t)count * sizeof *values);
    qd_slot_ranges one_each = {.leaves = members, .starts = t->one_each, .exact = true};
    qd_span_kind before = qd_span_enter(&t->spans, QD_SPAN_COMMUNICATION);
    int rc = qd_allreduce_ordered(t->group, &one_each, &t->agree, 1, t->agree, QD_AGREE_MAX);
    qd_span_enter(&t->spans, before);
    if (!rc)
        memcpy(values, t->agree, (size_t)count * sizeof *values);
    return rc;
}

void qd_trainer_heed_log_failure(qd_trainer *t, int rc) {
    if (rc && !t->log_failed)
        qd_log(QD_LOG_WARN, "%s: step %lld: logs are incomplete from here on: %s", t->job->name,
               (long long)t->step, qd_error_message());
    t->log_failed = t->log_failed || rc;
}

/* Between the parts of setting up and between slots, too: the scheduler takes a rank for lost that
 * is silent for long, and a step may be longer. */
int qd_trainer_listen(void *trainer) {
    qd_trainer *t = trainer;
    int64_t now = qd_clock_now_ns();
    if (now - t->listened_ns < listen_ns)
        return 0;
    t->listened_ns = now;
    return t->hooks->poll(t->hooks->context)
               ? qd_error_set(QD_ECANCELLED, "called off at step %lld", (long long)t->step)
               : 0;
}

/* ---- setting up ---- */

static int find_own_place(qd_trainer *t) {
    const qd_assignment *a = t->a;
    t->index = -1;
    for (int i = 0; i < a->rank_count; i++)
        if (a->ranks[i] == a->world->rank)
            t->index = i;
    if (t->index < 0)
        return qd_error_set(QD_EPROTO, "rank %d was given a place in a gang it is not in",
                            a->world->rank);
    t->agree = aligned_alloc(QD_ALIGN_BYTES, QD_AGREE_MAX * sizeof *t->agree);
    if (!t->agree)
        return qd_error_set(QD_ENOMEM, "no memory for a gang of %d", a->rank_count);
    int rc = qd_trainer_find_place(t);
    if (rc)
        return rc;
    t->slot_samples = t->job->train.batch / t->job->slots_data;
    t->chunk_samples = qd_job_graph_samples(t->job);
    return 0;
}

static int open_stage(qd_trainer *t) {
    qd_stage_config config = {
        .job = t->job,
        .grid = t->grid,
        .place = t->place,
        .first_slot = t->first_slot,
        .end_slot = t->end_slot,
        .backend = qd_backend_of_this_machine(),
        .threads = t->a->threads,
        .spans = &t->spans,
        .listener = {qd_trainer_listen, t},
    };
    int rc = qd_stage_create(&config, &t->stage);
    if (rc)
        return rc;
    t->state_count = qd_stage_state_count(t->stage);
    t->state = calloc((size_t)t->state_count, sizeof *t->state);
    if (!t->state)
        return qd_error_set(QD_ENOMEM, "no memory for %d state tensors", t->state_count);
    for (int i = 0; i < t->state_count; i++)
        qd_stage_state(t->stage, i, &t->state[i]);
    return 0;
}

/* Chunks come to the same slot at different times. */
static int open_loaders(qd_trainer *t) {
    int chunks = qd_stage_chunks(t->stage), rc = 0;
    t->loaders = calloc((size_t)chunks, sizeof(qd_loader *));
    if (!t->loaders)
        return qd_error_set(QD_ENOMEM, "no memory for %d loaders", chunks);
    for (int c = 0; c < chunks && !rc; c++)
        if (qd_stage_reads_data(t->stage, c))
            rc = qd_loader_create(t->job, t->dataset, t->first_slot, t->end_slot, t->step,
                                  &t->loaders[c]);
    return rc;
}

static void close_loaders(qd_trainer *t) {
    for (int c = 0; t->loaders && c < qd_stage_chunks(t->stage); c++)
        qd_loader_destroy(t->loaders[c]);
    free(t->loaders);
}

static int open_logs(qd_trainer *t) {
    const qd_assignment *a = t->a;
    qd_utilization_config who = {
        .run_folder = a->run_folder,
        .job = t->job->name,
        .attempt = a->attempt,
        .rank = a->world->rank,
        .host = a->world->host[a->world->rank],
        .arena_bytes = qd_stage_arena_bytes(t->stage),
        .started_ns = t->started_ns,
    };
    int rc = qd_utilization_create(&who, &t->utilization);
    if (!rc && qd_trainer_leads(t))
        rc = qd_steps_log_open(a->run_folder, t->step, &t->steps_log);
    return rc;
}

/* The scheduler has made it, where it is. */
static int check_run_folder(const qd_trainer *t) {
    const qd_world *world = t->a->world;
    if (qd_file_exists(t->a->run_folder))
        return 0;
    return qd_error_set(
        QD_EIO,
        "%s is on %s, but not on %s; the folder of the runs (--runs) must be the same "
        "one on all hosts",
        t->a->run_folder, world->host[0], world->host[world->rank]);
}

static void describe_origin(qd_trainer *t) {
    t->origin.threads = t->a->threads;
    snprintf(t->origin.processor, sizeof t->origin.processor, "%s",
             t->a->world->processor[t->a->world->rank]);
}

static int set_up(qd_trainer *t) {
    int rc = check_run_folder(t);
    if (!rc)
        rc = find_own_place(t);
    if (!rc) {
        qd_span_enter(&t->spans, QD_SPAN_DATA);
        rc = qd_dataset_open(t->job, &t->dataset);
        qd_span_enter(&t->spans, QD_SPAN_COMPUTE);
    }
    if (!rc)
        rc = qd_trainer_listen(t);
    if (rc)
        return rc;
    t->total_steps = qd_job_total_steps(t->job, qd_dataset_size(t->dataset, QD_SPLIT_TRAIN));
    describe_origin(t);
    rc = open_stage(t);
    if (!rc)
        rc = qd_trainer_listen(t);
    if (!rc)
        rc = qd_evaluation_create(t, &t->evaluation);
    if (!rc)
        rc = qd_checkpoint_writer_create(t->a->run_folder, t->index, t->a->rank_count, &t->writer);
    if (!rc)
        rc = qd_trainer_open_groups(t);
    if (!rc) {
        qd_span_enter(&t->spans, QD_SPAN_CHECKPOINT);
        rc = qd_trainer_resume(t);
        qd_span_enter(&t->spans, QD_SPAN_COMPUTE);
    }
    if (!rc)
        rc = open_logs(t);
    if (!rc)
        rc = qd_trainer_remember_evaluations(t);
    if (!rc)
        rc = open_loaders(t);
    return rc;
}

static void tear_down(qd_trainer *t) {
    close_loaders(t);
    qd_checkpoint_writer_destroy(t->writer);
    qd_trainer_heed_log_failure(t, qd_steps_log_close(t->steps_log));
    qd_utilization_destroy(t->utilization);
    qd_evaluation_destroy(t->evaluation);
    qd_trainer_close_groups(t); /* before the memory that their thread may be at work on */
    qd_stage_destroy(t->stage);
    qd_dataset_close(t->dataset);
    free(t->state);
    free(t->slot_starts);
    free(t->one_each);
    free(t->agree);
}

/* ---- one step ---- */

/* As long as that takes, listening to the scheduler meanwhile. */
static int wait_for_batch(qd_trainer *t, qd_loader *loader, qd_batch *batch) {
    qd_deadline deadline = qd_deadline_in(data_deadline_s);
    for (;;) {
        int rc = qd_loader_next(loader, (double)listen_ns * 1e-9, batch);
        if (rc != QD_ETIMEDOUT)
            return rc;
        if (qd_deadline_passed(deadline))
            return qd_error_set(rc, "no batch from the data loader within %g s", data_deadline_s);
        rc = qd_trainer_listen(t);
        if (rc)
            return rc;
    }
}

static int next_batch(void *context, int chunk, qd_batch *batch) {
    qd_trainer *t = context;
    qd_span_kind before = qd_span_enter(&t->spans, QD_SPAN_DATA);
    int rc = wait_for_batch(t, t->loaders[chunk], batch);
    qd_span_enter(&t->spans, before);
    return rc;
}

/* Forward, backward, sum, update. *stop: a member was asked to stop. */
static int train_step(qd_trainer *t, bool *stop) {
    qd_stage_feed feed = {.context = t, .next = next_batch, .between = qd_trainer_listen};
    qd_stage_begin_step(t->stage, t->step + 1);
    if (t->hooks->stop_asked(t->hooks->context))
        qd_stage_add_total(t->stage, QD_TOTAL_STOP, 1);
    qd_trainer_checkpoint_vote(t);
    int rc = qd_stage_run(t->stage, &feed);
    if (!rc)
        rc = qd_stage_finish_sums(t->stage);
    if (!rc)
        rc = qd_trainer_count_votes(t);
    if (rc)
        return rc;
    t->loss = qd_stage_total(t->stage, QD_TOTAL_LOSS);
    *stop = t->stop_votes > 0;
    if (!isfinite(t->loss))
        return qd_error_set(QD_EDATA, "the loss is %s; try a lower optimizer.learning_rate than %g",
                            isnan(t->loss) ? "not a number" : "infinite",
                            t->job->optimizer.learning_rate);
    rc = qd_stage_update(t->stage, t->total_steps);
    if (rc)
        return rc;
    t->step++;
    return 0;
}

static void report_progress(qd_trainer *t, int64_t now) {
    int64_t every = t->job->log_every;
    bool last = t->step == t->total_steps;
    bool line = last || (every > 0 ? t->step % every == 0 : now - t->line_from_ns >= line_ns);
    if (!line && now - t->progress_from_ns < progress_ns)
        return;
    double seconds = (double)(now - t->progress_from_ns) * 1e-9;
    double samples = (double)((t->step - t->progress_from_step) * t->job->train.batch);
    t->hooks->progress(t->hooks->context, t->step, t->total_steps, t->loss,
                       seconds > 0 ? samples / seconds : 0, line);
    t->progress_from_ns = now;
    t->progress_from_step = t->step;
    if (line)
        t->line_from_ns = now;
}

static void report_pace(qd_trainer *t, int64_t steps) {
    int64_t slots = t->end_slot - t->first_slot;
    bool alike = t->grid.dp > 1 && t->grid.pp == 1 && t->grid.tp == 1;
    int64_t busy_ns = t->spans.total_ns[QD_SPAN_COMPUTE];
    if (alike && steps > 0 && slots > 0 && busy_ns >= steps * slots)
        t->hooks->pace(t->hooks->context, busy_ns / steps / slots);
}

static void close_interval(qd_trainer *t, int64_t now) {
    int64_t steps = t->step - t->interval_from_step;
    /* Members that hold one copy of the model run the same samples together; they count once. */
    int64_t slots = t->place.t == 0 && t->place.p == 0 ? t->end_slot - t->first_slot : 0;
    int64_t samples = steps * t->slot_samples * slots;
    t->interval_from_ns = now;
    t->interval_from_step = t->step;
    report_pace(t, steps);
    qd_trainer_heed_log_failure(
        t, qd_utilization_write(t->utilization, &t->spans, t->step, steps, samples, t->loss));
}

static int after_step(qd_trainer *t) {
    int64_t every = t->job->train.evaluate_every;
    if (qd_trainer_leads(t))
        qd_trainer_heed_log_failure(
            t, qd_steps_log_step(t->steps_log, t->step, t->loss, qd_stage_gradient_norm(t->stage)));
    qd_span_enter(&t->spans, QD_SPAN_CHECKPOINT);
    int rc = qd_trainer_checkpoint_step(t);
    qd_span_enter(&t->spans, QD_SPAN_COMPUTE);
    if (!rc && every > 0 && t->step % every == 0 && t->step < t->total_steps)
        rc = qd_trainer_evaluate(t, QD_SPLIT_VALIDATION);
    if (rc)
        return rc;
    int64_t now = qd_clock_now_ns();
    if (qd_trainer_leads(t))
        report_progress(t, now);
    if ((double)(now - t->interval_from_ns) * 1e-9 >= t->job->log_interval_s)
        close_interval(t, now);
    return 0;
}

/* All steps are done, or the validation loss has not improved for long enough. */
static bool has_ended(const qd_trainer *t) {
    return t->step == t->total_steps || qd_patience_is_over(&t->patience, t->job);
}

static void say_why_it_ended(const qd_trainer *t) {
    if (qd_trainer_leads(t) && t->step < t->total_steps)
        qd_log(QD_LOG_INFO,
               "%s: ended at step %lld: the validation loss, at best %g, has not improved in %lld "
               "evaluation(s)",
               t->job->name, (long long)t->step, (double)t->patience.best,
               (long long)t->patience.since);
}

static int train(qd_trainer *t, qd_trained *how) {
    int rc = 0;
    bool stop = false;
    t->interval_from_ns = t->line_from_ns = t->progress_from_ns = qd_clock_now_ns();
    t->interval_from_step = t->progress_from_step = t->step;
    while (!rc && !has_ended(t) && !stop) {
        t->hooks->at_step(t->hooks->context, t->step);
        if (t->hooks->poll(t->hooks->context))
            return qd_error_set(QD_ECANCELLED, "called off at step %lld", (long long)t->step);
        rc = train_step(t, &stop);
        if (rc)
            return qd_error_context(rc, "step %lld", (long long)t->step + 1);
        rc = after_step(t);
    }
    if (!rc)
        rc = qd_trainer_checkpoint_now(t);
    *how = has_ended(t) ? QD_TRAINED_ALL : QD_TRAINED_STOPPED;
    if (!rc && *how == QD_TRAINED_ALL && t->validated_step != t->step)
        rc = qd_trainer_evaluate(t, QD_SPLIT_VALIDATION);
    if (!rc && *how == QD_TRAINED_ALL) {
        say_why_it_ended(t);
        rc = qd_trainer_evaluate(t, QD_SPLIT_TEST);
    }
    if (!rc)
        close_interval(t, qd_clock_now_ns());
    return rc;
}

int qd_trainer_run(const qd_assignment *assignment, const qd_trainer_hooks *hooks,
                   qd_trained *how) {
    qd_trainer t = {
        .a = assignment,
        .job = assignment->job,
        .hooks = hooks,
        .loaded_step = -1,
        .saved_step = -1,
        .started_ns = qd_clock_now_ns(),
    };
    char why[QD_ERROR_BYTES];
    qd_span_start(&t.spans, QD_SPAN_IDLE);
    qd_resident_forget_peak();
    int rc = set_up(&t);
    if (!rc)
        rc = train(&t, how);
    /* What goes wrong from here on is not why the attempt ended. */
    snprintf(why, sizeof why, "%s", qd_error_message());
    tear_down(&t);
    return rc ? qd_error_set(rc, "%s", why) : 0;
}
