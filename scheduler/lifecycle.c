/*
 * What happens to a job between its submission and its end, as changes of state and the orders to
 * its members that go with them. Always in this order: first the change of state, then its orders.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include "runtime/error.h"
#include "runtime/text.h"
#include "scheduler/core_internal.h"
#include "scheduler/elastic.h"
#include "scheduler/gates.h"
#include "scheduler/pace.h"
#include "scheduler/placement.h"
#include "scheduler/prediction.h"
#include "scheduler/preemption.h"
#include "scheduler/progress.h"
#include "scheduler/reason.h"
#include "scheduler/regroup.h"
#include "scheduler/reservations.h"
#include "scheduler/resize.h"
#include "scheduler/room.h"
#include "scheduler/together.h"

static void set_reason(qd_job_record *job, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

static void set_reason(qd_job_record *job, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(job->reason, sizeof job->reason, fmt, ap);
    va_end(ap);
}

static void announce(qd_core *core, const qd_job_record *job) {
    qd_action action = {.kind = QD_ACTION_JOB_STATE,
                        .job = job->job,
                        .attempt = job->attempt,
                        .state = job->state,
                        .reason = job->reason};
    if (job->state == QD_STATE_FAILED)
        action.exit_code = job->gang.exit_code;
    qd_actions_add(&core->actions, &action);
}

qd_job_record *qd_job_of_entry(const qd_queue_entry *entry) {
    return entry ? (qd_job_record *)((char *)entry - offsetof(qd_job_record, entry)) : NULL;
}

static void take_place(qd_core *core, qd_job_record *job) {
    job->entry.lane = core->policy->lane ? core->policy->lane(core, job) : 0;
    job->entry.key = core->policy->key(core, job);
    qd_queue_add(&core->queue, &job->entry);
}

/* A job that is PENDING from now on takes its place in the queue. */
static void enter_queue(qd_core *core, qd_job_record *job) {
    job->pending_ns = core->now_ns;
    job->entry.job = job->job;
    job->entry.ranks = job->submit.ranks_min;
    job->entry.run_ns = qd_predicted_run_ns(job);
    job->entry.yields = qd_room_yields(core, job);
    core->choosy += qd_is_choosy(job);
    if (core->policy->enters)
        core->policy->enters(core, job);
    take_place(core, job);
}

static void leave_queue(qd_core *core, qd_job_record *job) {
    if (job->gate != QD_GATE_OPEN) {
        qd_moves_set(&core->alarms, job, QD_NEVER);
        return;
    }
    job->waited_ns += core->now_ns - job->pending_ns;
    if (job->due_ns > core->now_ns)
        core->timetable.stale = true; /* others may start earlier than planned, or be planned */
    qd_timetable_unplan(&core->timetable, job);
    qd_queue_remove(&core->queue, &job->entry);
    core->choosy -= qd_is_choosy(job);
    qd_preemption_forget(core, job);
    if (core->policy->leaves)
        core->policy->leaves(core, job);
    job->planned_ranks = 0;
}

void qd_job_requeue(qd_core *core, qd_job_record *job) {
    qd_queue_remove(&core->queue, &job->entry);
    take_place(core, job);
}

static const struct {
    qd_reason reason;
    const char *words;
} gate_reasons[] = {
    [QD_GATE_HELD] = {QD_REASON_HELD, "waits to be released"},
    [QD_GATE_BEGIN] = {QD_REASON_BEGIN, "waits for its begin time"},
    [QD_GATE_NODES] = {QD_REASON_NODES, "waits for drained ranks"},
    [QD_GATE_AFTER] = {QD_REASON_DEPENDENCY, "waits for the jobs it comes after"},
    [QD_GATE_SINGLETON] = {QD_REASON_DEPENDENCY, "waits for others of its name"},
    [QD_GATE_ARRAY] = {QD_REASON_ARRAY, "waits for others of its array"},
    [QD_GATE_RESERVATION] = {QD_REASON_RESERVATION, "waits for its reservation"},
    [QD_GATE_ACCOUNT] = {QD_REASON_ACCOUNT_RANKS, "waits for others of its account"},
};

void qd_job_set_gate_reason(const qd_core *core, qd_job_record *job) {
    bool account = job->gate == QD_GATE_ACCOUNT;
    qd_reason reason = account ? qd_limits_reason(core, job) : gate_reasons[job->gate].reason;
    const char *team = account ? qd_teams_name(&core->scheduling, job->waits_at) : "";
    if (team[0])
        set_reason(job, "%s: waits for others of %s", qd_reason_names[reason], team);
    else
        set_reason(job, "%s: %s", qd_reason_names[reason], gate_reasons[job->gate].words);
}

static qd_gate find_gate(qd_core *core, qd_job_record *job) {
    qd_gate gate = qd_gates_of(core, job);
    bool displaces = gate == QD_GATE_ACCOUNT && qd_limits_displace(core, job);
    return displaces ? QD_GATE_OPEN : gate;
}

/* A PENDING job that is in no queue stays at its gate, or takes its place in the queue. */
static void enter_gate_or_queue(qd_core *core, qd_job_record *job) {
    qd_gates_set(core, job, find_gate(core, job));
    job->changed_ns = core->now_ns;
    if (job->gate == QD_GATE_OPEN) {
        enter_queue(core, job);
        return;
    }
    qd_job_set_gate_reason(core, job);
    qd_moves_set(&core->alarms, job,
                 job->submit.begin_ns > core->now_ns ? job->submit.begin_ns : QD_NEVER);
}

/* The job's reason has been set. */
static void change_state(qd_core *core, qd_job_record *job, qd_job_state state) {
    if (job->state == QD_STATE_PENDING)
        leave_queue(core, job);
    if (state == QD_STATE_PENDING)
        job->gate = QD_GATE_OPEN;
    qd_singleton_leave(core, job);
    int rc = qd_jobs_set_state(&core->jobs, job, state);
    if (rc) {
        core->fault = rc;
        return;
    }
    qd_singleton_return(core, job);
    job->changed_ns = core->now_ns;
    if (state == QD_STATE_RUNNING)
        qd_limits_note_start(core, job);
    if (state == QD_STATE_PENDING)
        enter_gate_or_queue(core, job);
    else if (qd_job_has_ended(state))
        qd_gates_note_end(core, job);
    announce(core, job);
}

static void act_on(qd_core *core, const qd_job_record *job, qd_action_kind kind, int count) {
    qd_actions_add(&core->actions, &(qd_action){.kind = kind,
                                                .job = job->job,
                                                .attempt = job->attempt,
                                                .epoch = job->epoch,
                                                .ranks = core->members,
                                                .rank_count = count,
                                                .reason = job->reason});
}

/* Tells the members that have not ended. */
static void order(qd_core *core, const qd_job_record *job, qd_action_kind kind) {
    int count = 0;
    for (int i = 0; i < job->gang.size; i++)
        if (qd_ranks_held_by(&core->ranks, job->ranks[i], job->job, job->attempt))
            core->members[count++] = job->ranks[i];
    act_on(core, job, kind, count);
}

/* Live members are told once, however often a reason for it turns up. */
static void abort_members(qd_core *core, qd_job_record *job) {
    if (job->gang.aborted)
        return;
    job->gang.aborted = true;
    order(core, job, QD_ACTION_ABORT);
}

/* Ends a job that comes after one whose end it cannot come after. */
static bool cancel_if_never(qd_core *core, qd_job_record *job) {
    if (job->state != QD_STATE_PENDING || !job->never)
        return false;
    set_reason(job, "%s: job %lld %s", qd_reason_names[QD_REASON_NEVER], (long long)job->never->job,
               qd_job_state_names[job->never->state]);
    change_state(core, job, QD_STATE_CANCELLED);
    return true;
}

void qd_job_reconsider(qd_core *core, qd_job_record *job) {
    if (cancel_if_never(core, job))
        return;
    qd_gate gate = find_gate(core, job), before = job->gate;
    if (gate == before)
        return;
    leave_queue(core, job);
    core->timetable.stale = true;
    if (gate == QD_GATE_OPEN)
        set_reason(job, "waits for %d rank%s", job->submit.ranks_min,
                   qd_plural(job->submit.ranks_min));
    enter_gate_or_queue(core, job);
}

void qd_job_hold(qd_core *core, qd_job_record *job, bool held) {
    if (held && !job->held)
        job->held_ns = core->now_ns;
    job->held = held;
    if (job->state == QD_STATE_PENDING)
        qd_job_reconsider(core, job);
}

static void cancel_if_forbidden(qd_core *core, qd_job_record *job) {
    int team = qd_limits_forbid(core, job);
    const char *name = qd_teams_name(&core->scheduling, team);
    if (job->state != QD_STATE_PENDING || team == QD_NO_TEAM)
        return;
    set_reason(job, "%s: needs %d ranks, %s may hold %lld",
               qd_reason_names[QD_REASON_ACCOUNT_RANKS], job->submit.ranks_min,
               name[0] ? name : "its account", (long long)core->teams->team[team].most_ranks);
    change_state(core, job, QD_STATE_CANCELLED);
}

void qd_job_submitted(qd_core *core, const qd_submission *submission) {
    qd_job_record *job = qd_jobs_add(&core->jobs, submission);
    set_reason(job, "waits for %d rank%s", job->submit.ranks_min, qd_plural(job->submit.ranks_min));
    job->submit_ns = job->held_ns = core->now_ns;
    qd_gates_tie(core, job);
    enter_gate_or_queue(core, job);
    announce(core, job);
    if (core->draining)
        qd_job_stop(core, job, core->drain_reason);
    else
        qd_job_cancel_if_too_wide(core, job);
    cancel_if_never(core, job);
    cancel_if_forbidden(core, job);
}

/* Of all that is alive its team could never have so much, even with all that others lend. */
static void cancel_if_beyond_quota(qd_core *core, qd_job_record *job) {
    if (!core->quotas || job->state != QD_STATE_PENDING)
        return;
    int64_t most = qd_quotas_most(core, job);
    if (most >= job->submit.ranks_min)
        return;
    set_reason(job, "%s: needs %d ranks, %s can never have more than %lld%s",
               qd_reason_names[QD_REASON_QUOTA], job->submit.ranks_min,
               qd_teams_name(&core->scheduling, job->submit.account),
               (long long)(most > 0 ? most : 0),
               job->submit.keeps_ranks ? " that it does not give back" : "");
    change_state(core, job, QD_STATE_CANCELLED);
}

void qd_job_cancel_if_too_wide(qd_core *core, qd_job_record *job) {
    cancel_if_beyond_quota(core, job);
    int least = job->submit.ranks_min, alive = qd_ranks_alive(&core->ranks);
    int together = qd_most_ranks(core, job, QD_MEASURE_ALIVE);
    if (job->state != QD_STATE_PENDING || least <= together)
        return;
    if (least > alive)
        set_reason(job, "needs %d rank%s, %d worker%s alive", least, qd_plural(least), alive,
                   alive == 1 ? " is" : "s are");
    else
        qd_say_demand(job, together, job->reason, sizeof job->reason);
    change_state(core, job, QD_STATE_CANCELLED);
}

/* For what it is predicted to use, at once: else a burst of starts would go uncounted. */
static void charge(qd_core *core, qd_job_record *job) {
    job->charged_rank_s = job->run_ns == QD_NEVER ? 0 : (double)job->run_ns * 1e-9 * job->gang.size;
    qd_shares_use(&core->shares, job->submit.account, job->start_ns, job->charged_rank_s);
}

/* For what it has used instead, with what was kept for it while it saved. */
static void settle(qd_core *core, const qd_job_record *job) {
    double used_rank_s = (double)(core->now_ns - job->start_ns) * 1e-9 * job->gang.size +
                         (double)(core->now_ns - job->told_ns) * 1e-9 * job->reserved;
    qd_shares_use(&core->shares, job->submit.account, job->start_ns,
                  used_rank_s - job->charged_rank_s);
}

/* On job->ranks. */
static void begin_attempt(qd_core *core, qd_job_record *job, int ranks, const char *why) {
    job->attempt++;
    job->epoch = ++core->epoch;
    job->owed_until_ns = 0;
    job->gang = (qd_gang){.size = ranks, .live = ranks};
    for (int i = 0; i < ranks; i++)
        qd_ranks_hold(&core->ranks, job->ranks[i], job->job, job->attempt);
    set_reason(job, "runs on %d rank%s", ranks, qd_plural(ranks));
    change_state(core, job, QD_STATE_RUNNING);
    qd_quotas_hold(core, job, job->inside > 0 ? 0 : ranks); /* those of a reservation are lent */
    qd_singleton_started(core, job);
    job->start_ns = core->now_ns;
    qd_progress_begin(job, core->now_ns);
    qd_pace_begin(core, job);
    job->run_ns = qd_predicted_run_on_ns(job, ranks);
    charge(core, job);
    qd_timetable_started(&core->timetable, job, qd_predicted_job_end_ns(job, core->now_ns));
    qd_moves_set(&core->alarms, job, qd_limit_end_ns(job));
    qd_actions_add(&core->actions, &(qd_action){.kind = QD_ACTION_START,
                                                .job = job->job,
                                                .attempt = job->attempt,
                                                .epoch = job->epoch,
                                                .ranks = job->ranks,
                                                .rank_count = ranks,
                                                .reason = why});
}

void qd_job_start(qd_core *core, qd_job_record *job, int ranks, const char *why) {
    int wide = qd_elastic_start_ranks(core, job, ranks);
    if (wide > ranks)
        qd_limits_take(core, job, wide - ranks);
    core->timetable.profile.now_free -= wide;
    qd_placement_choose(&core->ranks, &job->submit.demand, wide, job->ranks);
    begin_attempt(core, job, wide, why);
}

void qd_job_start_inside(qd_core *core, qd_job_record *job, int64_t reservation, const char *why) {
    job->inside = reservation;
    job->entry.ranks = job->submit.ranks_min;
    job->entry.run_ns = qd_predicted_run_ns(job);
    job->attained.counted_ns = core->now_ns; /* it comes from no queue */
    begin_attempt(core, job, job->submit.ranks_min, why);
}

/* It will end, as its members have been told already, and not go on. */
static void cancel_resize(qd_core *core, qd_job_record *job) {
    if (job->resize_to == 0)
        return;
    qd_resize_give_up(core, job);
    change_state(core, job, QD_STATE_COMPLETING);
}

void qd_job_stop(qd_core *core, qd_job_record *job, const char *text) {
    const char *why = text[0] ? text : "the cluster is drained";
    if (job->state == QD_STATE_PENDING) {
        set_reason(job, "%s", why);
        change_state(core, job, QD_STATE_CANCELLED);
        return;
    }
    if (job->resize_to > 0) {
        set_reason(job, "%s", why);
        cancel_resize(core, job);
    }
    if (job->gang.stopped || job->gang.aborted)
        return;
    job->gang.stopped = true;
    set_reason(job, "%s", why);
    if (job->state == QD_STATE_RUNNING)
        change_state(core, job, QD_STATE_COMPLETING);
    order(core, job, QD_ACTION_STOP);
}

static bool used_up(const qd_job_record *job) {
    return job->limit_ns > 0 && job->run_before_ns >= job->limit_ns;
}

/* "TimeLimit: ran for its limit of 100 s" */
static void limit_words(const qd_job_record *job, char text[QD_REASON_WORDS_BYTES]) {
    snprintf(text, QD_REASON_WORDS_BYTES, "%s: ran for its limit of %g s",
             qd_reason_names[QD_REASON_LIMIT], (double)job->limit_ns * 1e-9);
}

static void set_limit_reason(qd_job_record *job) {
    limit_words(job, job->reason);
}

/* It has not saved in time, and loses what it had not saved before. */
static void cut_off(qd_core *core, qd_job_record *job) {
    set_reason(job, "had not saved after %g s", (double)job->grace_ns * 1e-9);
    job->cut_off = true;
    abort_members(core, job);
}

void qd_core_ring_alarms(qd_core *core) {
    char text[QD_REASON_WORDS_BYTES];
    while (qd_moves_first_ns(&core->alarms) <= core->now_ns) {
        qd_job_record *job = qd_moves_first(&core->alarms);
        qd_moves_set(&core->alarms, job, QD_NEVER);
        if (job->state == QD_STATE_PENDING)
            qd_job_reconsider(core, job);
        else if (job->preempted && !job->gang.aborted)
            cut_off(core, job);
        if (job->state != QD_STATE_RUNNING)
            continue; /* its begin has come, or it is ending already */
        job->timed_out = true;
        limit_words(job, text);
        qd_job_stop(core, job, text);
    }
}

void qd_job_revised(qd_core *core, qd_job_record *job) {
    core->timetable.stale = true;
    if (job->gate != QD_GATE_OPEN)
        return;
    qd_preemption_forget(core, job);
    qd_timetable_unplan(&core->timetable, job);
    qd_queue_remove(&core->queue, &job->entry);
    job->entry.ranks = job->submit.ranks_min;
    job->entry.run_ns = qd_predicted_run_ns(job);
    job->entry.yields = qd_room_yields(core, job);
    if (core->policy->revised)
        core->policy->revised(core, job);
    take_place(core, job);
}

void qd_job_predict_end(qd_core *core, qd_job_record *job) {
    qd_timetable_moved(&core->timetable, job, qd_predicted_job_end_ns(job, core->now_ns));
    if (job->resize_to > 0) {
        int64_t run_ns = qd_predicted_rest_ns(job, job->resize_to, job->told_ns);
        qd_timetable_keep(&core->timetable, job, job->kept_ranks,
                          qd_time_after(job->due_ns, run_ns));
    }
}

/* Of a job that holds ranks. */
static void predict_anew(qd_core *core, qd_job_record *job) {
    job->run_ns = qd_predicted_attempt_ns(job);
    qd_job_predict_end(core, job);
}

/* It had saved so much before. */
static void note_saved(qd_job_record *job, int64_t before) {
    if (job->progress.saved > before)
        job->losses = 0;
}

void qd_job_told(qd_core *core, qd_job_record *job, const qd_event *progress) {
    int64_t saved = job->progress.saved;
    qd_progress_note(job, progress);
    note_saved(job, saved);
    predict_anew(core, job);
}

void qd_job_limit(qd_core *core, qd_job_record *job, int64_t limit_ns) {
    job->limit_ns = limit_ns;
    core->timetable.stale = true;
    if (job->state == QD_STATE_PENDING && used_up(job)) {
        set_limit_reason(job);
        change_state(core, job, QD_STATE_TIMEOUT);
    } else if (job->state == QD_STATE_PENDING) {
        qd_job_revised(core, job);
    } else if (job->gang.live > 0) {
        predict_anew(core, job);
        if (!job->preempted) /* its alarm is the end of its grace */
            qd_moves_set(&core->alarms, job, qd_limit_end_ns(job));
    }
}

void qd_job_priority(qd_core *core, qd_job_record *job, int importance) {
    if (job->state != QD_STATE_PENDING) {
        job->submit.importance = importance;
        return;
    }
    qd_limits_note_end(core, job);           /* the order within its account changes */
    qd_reservations_stop_waiting(core, job); /* and within its reservation */
    job->submit.importance = importance;
    if (job->gate == QD_GATE_RESERVATION)
        qd_reservations_wait(core, job);
    qd_limits_revise(core, job);
    qd_job_revised(core, job);
    qd_job_reconsider(core, job);
    qd_limits_settle(core, job); /* another one may be the first of those that wait for it */
}

void qd_job_preempt(qd_core *core, qd_job_record *job, int64_t grace_ns, const char *text) {
    job->preempted = true;
    job->preemptions++;
    job->told_ns = core->now_ns;
    job->grace_ns = grace_ns;
    if (!job->makes_way)
        core->saving_ranks += job->planned_ranks;
    qd_quotas_hold(core, job, 0);
    qd_job_stop(core, job, text);
    qd_moves_set(&core->alarms, job, qd_time_after(core->now_ns, grace_ns));
    if (grace_ns != QD_NEVER)
        qd_job_predict_end(core, job);
}

/* What it goes on with is kept, and the reason set. */
static void save_and_go_on(qd_core *core, qd_job_record *job, int64_t grace_ns, bool cut) {
    job->preempted = job->gang.stopped = true;
    job->told_ns = core->now_ns;
    job->grace_ns = grace_ns;
    if (!job->makes_way)
        core->saving_ranks += job->planned_ranks;
    change_state(core, job, QD_STATE_RESIZING);
    act_on(core, job, QD_ACTION_RESIZE, qd_resize_kept(core, job, core->members));
    order(core, job, QD_ACTION_STOP);
    int64_t until_ns = qd_time_after(core->now_ns, job->grace_ns);
    qd_moves_set(&core->alarms, job, cut ? until_ns : QD_NEVER);
    qd_job_predict_end(core, job);
}

static void resize(qd_core *core, qd_job_record *job, int ranks, int64_t grace_ns, bool cut,
                   const char *text) {
    bool shrinks = ranks < job->gang.size;
    qd_resize_keep(core, job, ranks);
    set_reason(job, "%s to %d rank%s%s%s", shrinks ? "shrinks" : "grows", ranks, qd_plural(ranks),
               text[0] ? ": " : "", text);
    save_and_go_on(core, job, grace_ns, cut);
}

void qd_job_resize(qd_core *core, qd_job_record *job, int ranks, bool cut, const char *text) {
    int64_t grace_ns = cut ? qd_reservations_grace_ns(core) : qd_preemption_grace_ns(core);
    resize(core, job, ranks, grace_ns, cut, text);
}

/* It saves already, and what it gives may have been for somebody. */
static void go_on_no_more(qd_core *core, qd_job_record *job, int64_t by_ns, const char *text) {
    set_reason(job, "%s", text);
    cancel_resize(core, job);
    if (!job->makes_way)
        core->saving_ranks -= job->planned_ranks;
    job->makes_way = true;
    job->preemptions++;
    job->grace_ns = by_ns - job->told_ns;
    qd_moves_set(&core->alarms, job, by_ns);
    qd_job_predict_end(core, job);
}

void qd_job_make_way(qd_core *core, qd_job_record *job, int ranks, int64_t by_ns,
                     const char *text) {
    if (job->state == QD_STATE_RESIZING) {
        go_on_no_more(core, job, by_ns, text);
        return;
    }
    job->makes_way = true;
    if (ranks == 0) {
        qd_job_preempt(core, job, by_ns - core->now_ns, text);
        return;
    }
    job->preemptions++;
    resize(core, job, ranks, by_ns - core->now_ns, true, text);
}

void qd_job_move(qd_core *core, qd_job_record *job, const int *ranks, const char *why) {
    qd_resize_keep_these(core, job, ranks);
    set_reason(job, "moves: %s", why);
    save_and_go_on(core, job, qd_preemption_grace_ns(core), false);
}

void qd_job_call_off(qd_core *core, qd_job_record *job, const char *text) {
    bool pending = job->state == QD_STATE_PENDING;
    /* What was already aborted ends for the reason that is known. */
    if (!pending && (job->gang.live == 0 || job->gang.aborted)) {
        job->gang.unwanted = true;
        return;
    }
    set_reason(job, "%s", text[0] ? text : "cancelled");
    if (pending) {
        change_state(core, job, QD_STATE_CANCELLED);
        return;
    }
    job->gang.called_off = true;
    cancel_resize(core, job);
    if (job->state == QD_STATE_RUNNING)
        change_state(core, job, QD_STATE_COMPLETING);
    abort_members(core, job);
}

/* Keeps why the gang cannot finish. Only the first word counts: once members are aborted, or their
 * peers gone, failures of the others are consequences. Yet a failure outranks an ABORTED that
 * nobody had asked for. */
static void note_outcome(qd_job_record *job, int rank, qd_outcome outcome, int exit_code,
                         const char *text) {
    qd_gang *gang = &job->gang;
    if (gang->called_off || gang->ended[QD_OUTCOME_FAILED] > 1)
        return;
    if (outcome == QD_OUTCOME_FAILED) {
        gang->exit_code = exit_code < 0 ? exit_code : QD_EINTERNAL;
        if (text[0])
            set_reason(job, "%s", text);
        else
            set_reason(job, "rank %d failed and did not say why", rank);
    } else if (outcome == QD_OUTCOME_ABORTED && !gang->aborted) {
        set_reason(job, "rank %d was called off%s%s", rank, text[0] ? ": " : "", text);
    }
}

/* Saved to make room or short of a rank, and nothing else has happened to it since. */
static bool comes_back(const qd_core *core, const qd_job_record *job, qd_job_state verdict) {
    bool made_room = verdict == QD_STATE_PREEMPTED && job->preempted && !core->draining;
    return made_room || (verdict == QD_STATE_FAILED && qd_regroup_may(core, job));
}

static bool reached_limit(const qd_job_record *job) {
    return job->timed_out || (job->preempted && used_up(job));
}

/* On the ranks that were kept for it. False: they are too few. */
static bool go_on(qd_core *core, qd_job_record *job) {
    int ranks = qd_resize_take(core, job);
    if (ranks == 0)
        return false;
    if (core->policy->resizes)
        core->policy->resizes(core, job);
    qd_limits_resize(core, job, ranks);
    job->preempted = job->cut_off = job->makes_way = false;
    job->resizes++;
    begin_attempt(core, job, ranks, "goes on, on other ranks");
    return true;
}

static void end_job(qd_core *core, qd_job_record *job) {
    qd_job_state state = qd_gang_verdict(&job->gang);
    if (job->cut_off && state == QD_STATE_CANCELLED && !job->gang.called_off)
        state = QD_STATE_PREEMPTED;
    qd_timetable_ended(&core->timetable, job);
    settle(core, job);
    int64_t run_ns = core->now_ns - job->start_ns;
    job->run_before_ns += run_ns;
    if (run_ns > 0)
        job->done_ns += qd_time_on_ranks(run_ns, job->gang.size, job->submit.ranks_min);
    int64_t saved = job->progress.saved;
    qd_progress_end(job, state == QD_STATE_PREEMPTED && !job->cut_off);
    note_saved(job, saved);
    qd_moves_set(&core->alarms, job, QD_NEVER);
    qd_quotas_hold(core, job, job->claim_ranks);
    if (state == QD_STATE_PREEMPTED && reached_limit(job)) {
        set_limit_reason(job);
        state = QD_STATE_TIMEOUT;
    }
    job->inside = 0;
    bool returns = comes_back(core, job, state);
    if (returns && state == QD_STATE_PREEMPTED && job->resize_to > 0 && go_on(core, job))
        return;
    qd_resize_give_up(core, job);
    qd_regroup_let_go(core, job);
    if (returns) {
        bool lost = state == QD_STATE_FAILED;
        const char *how = lost && !job->progress.told ? "not launched"
                          : lost                      ? "lost a rank"
                          : job->cut_off              ? "cut off"
                                                      : "saved";
        job->losses += lost;
        if (lost && job->progress.told && !job->preempted)
            qd_regroup_owe(core, job);
        state = QD_STATE_PENDING;
        job->preempted = job->cut_off = false;
        job->gang = (qd_gang){0};
        set_reason(job, "%s, waits for %d rank%s", how, job->submit.ranks_min,
                   qd_plural(job->submit.ranks_min));
    }
    if (state == QD_STATE_COMPLETED)
        set_reason(job, "all steps done");
    else if (state == QD_STATE_PREEMPTED && !job->gang.stopped)
        set_reason(job, "saved");
    change_state(core, job, state);
    if (returns) {
        qd_job_cancel_if_too_wide(core, job); /* ranks were lost meanwhile */
        qd_limits_settle(core, job);          /* it waits with less than it held */
        qd_singleton_settle(core, job);
    }
    if (!job->makes_way)
        qd_preemption_returned(core, job);
    job->makes_way = false;
}

void qd_job_rank_drained(qd_core *core, qd_job_record *job, bool drained) {
    int change = drained ? -1 : 1;
    qd_timetable_give_back(&core->timetable, job, change);
    if (!job->preempted)
        qd_quotas_hold(core, job, job->planned_ranks + job->kept_ranks);
    else if (!job->makes_way)
        core->saving_ranks += change;
}

void qd_job_member_ended(qd_core *core, qd_job_record *job, int rank, bool spoken_for,
                         qd_outcome outcome, int exit_code, const char *text) {
    qd_gang_member_ended(&job->gang, outcome);
    if (!spoken_for) {
        qd_timetable_rank_left(&core->timetable, job, core->now_ns);
        core->saving_ranks -= job->preempted && !job->makes_way;
    }
    note_outcome(job, rank, outcome, exit_code, text);
    if (!job->preempted)
        qd_quotas_hold(core, job, job->planned_ranks + job->kept_ranks);
    if (job->gang.live == 0) {
        end_job(core, job);
        return;
    }
    bool broken = outcome == QD_OUTCOME_FAILED || (outcome == QD_OUTCOME_ABORTED && !job->cut_off);
    if (broken)
        cancel_resize(core, job);
    if (job->state == QD_STATE_RUNNING) {
        if (broken && job->inside == 0 && qd_regroup_may(core, job))
            qd_regroup_keep(core, job);
        if (!broken)
            set_reason(job, "%d of %d members ended", job->gang.size - job->gang.live,
                       job->gang.size);
        change_state(core, job, QD_STATE_COMPLETING);
    }
    if (broken)
        abort_members(core, job);
}
