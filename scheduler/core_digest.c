/*
 * A digest of all that the core's future depends on, and of what its views show. Field by field and
 * not over the structs, whose padding and pointers say nothing.
 */
#include <string.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "scheduler/core_internal.h"

/* Each hash seeds the next one, so that the order counts too. */
static void add_number(uint64_t *digest, int64_t number) {
    *digest = XXH64(&number, sizeof number, *digest);
}

/* The NUL goes in too, so that "ab","c" differs from "a","bc". */
static void add_text(uint64_t *digest, const char *text) {
    *digest = XXH64(text, strlen(text) + 1, *digest);
}

static void add_ranks(uint64_t *digest, const qd_rank_table *table) {
    add_number(digest, table->count);
    for (int rank = 1; rank <= table->count; rank++) {
        add_number(digest, table->rank[rank].state);
        add_number(digest, table->rank[rank].drained);
        add_number(digest, table->rank[rank].kept);
        add_number(digest, table->rank[rank].reservation);
        add_number(digest, table->rank[rank].job);
        add_number(digest, table->rank[rank].attempt);
        add_number(digest, table->rank[rank].claimed_by);
        add_number(digest, table->place[rank].host);
        add_number(digest, table->place[rank].island);
        add_number(digest, table->place[rank].memory_bytes);
    }
}

static void add_paces(uint64_t *digest, const qd_core *core) {
    for (int rank = 1; rank <= core->ranks.count; rank++) {
        add_number(digest, core->paces[rank].busy_ns);
        add_number(digest, core->paces[rank].against);
        add_number(digest, core->paces[rank].slow);
    }
}

static void add_gang(uint64_t *digest, const qd_job_record *job) {
    const qd_gang *gang = &job->gang;
    const int numbers[] = {gang->size,       gang->live,     gang->stopped,  gang->aborted,
                           gang->called_off, gang->unwanted, gang->regroups, gang->exit_code};
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        add_number(digest, numbers[i]);
    for (int outcome = 0; outcome < QD_OUTCOMES; outcome++)
        add_number(digest, gang->ended[outcome]);
    for (int i = 0; i < gang->size; i++)
        add_number(digest, job->ranks[i]);
}

static void add_job(uint64_t *digest, const qd_job_record *job) {
    const qd_submission *s = &job->submit;
    const qd_attained *a = &job->attained;
    const qd_progress *p = &job->progress;
    const int64_t numbers[] = {job->job,
                               s->ranks_min,
                               s->ranks_max,
                               s->ranks_step,
                               s->estimate_ns,
                               s->limit_ns,
                               s->deadline_ns,
                               s->importance,
                               s->nice,
                               s->account,
                               job->state,
                               job->attempt,
                               job->epoch,
                               job->preempted,
                               job->resize_to,
                               job->reserved,
                               job->most_ranks,
                               job->resizes,
                               job->kept_ranks,
                               job->kept_ns,
                               job->done_ns,
                               job->told_ns,
                               job->grace_ns,
                               job->cut_off,
                               job->preemptions,
                               job->lost_ranks,
                               job->losses,
                               job->owed_until_ns,
                               job->makes_way,
                               job->inside,
                               job->waits_inside,
                               s->reservation,
                               job->entry.yields,
                               job->claim,
                               job->claim_ranks,
                               job->claimed,
                               job->timed_out,
                               job->gate,
                               job->held,
                               job->comes_after,
                               job->never ? job->never->job : 0,
                               job->array ? job->array->job : 0,
                               job->counts,
                               job->counted_ranks,
                               job->account_place,
                               job->account_place == QD_ACCOUNT_WAITING ? job->waits_at : 0,
                               job->quota_ranks,
                               job->is_singleton,
                               job->is_named,
                               job->array_open,
                               s->begin_ns,
                               s->array_most,
                               job->limit_ns,
                               job->due_ns,
                               job->entry.key,
                               job->planned_ranks,
                               job->start_ns,
                               job->run_before_ns,
                               job->pending_ns,
                               job->waited_ns,
                               job->submit_ns,
                               job->changed_ns,
                               job->held_ns,
                               s->tells,
                               s->keeps_ranks,
                               s->demand.within,
                               s->demand.memory_bytes,
                               s->demand.peers,
                               p->steps,
                               p->step,
                               p->saved,
                               p->saved_ns,
                               p->told,
                               p->first_step,
                               p->first_ns,
                               p->told_ns,
                               p->step_ns,
                               p->step_ranks,
                               a->queue,
                               a->since_ns,
                               a->service_rank_us,
                               a->waited_ns,
                               a->counted_ns,
                               job->move_ns,
                               a->claims};
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        add_number(digest, numbers[i]);
    add_text(digest, s->name);
    add_text(digest, s->after);
    add_text(digest, job->reason);
    add_gang(digest, job);
}

static void add_shares(uint64_t *digest, const qd_shares *shares) {
    add_number(digest, shares->begin_ns);
    add_number(digest, shares->seen_count);
    for (int i = 0, left = shares->seen_count; left > 0; i++) {
        if (!shares->seen[i])
            continue;
        add_number(digest, i);
        *digest = XXH64(&shares->usage[i], sizeof shares->usage[i], *digest);
        left--;
    }
}

static void add_book(uint64_t *digest, const qd_book *book) {
    add_number(digest, book->last_number);
    add_number(digest, book->count);
    for (int i = 0; i < book->count; i++) {
        const qd_booking *b = &book->bookings[i];
        const int64_t numbers[] = {b->is.number,   b->is.kind,    b->is.ranks,
                                   b->is.account,  b->is.from_ns, b->is.until_ns,
                                   b->is.every_ns, b->running,    b->has};
        for (size_t k = 0; k < sizeof numbers / sizeof numbers[0]; k++)
            add_number(digest, numbers[k]);
        add_text(digest, b->is.name);
    }
}

static void add_list(uint64_t *digest, const qd_job_list *list) {
    add_number(digest, list->count);
    for (const qd_job_record *job = list->first; job; job = job->next)
        add_number(digest, job->job);
}

uint64_t qd_core_digest(const qd_core *core) {
    uint64_t digest = 0;
    add_text(&digest, core->policy->name);
    add_number(&digest, core->now_ns);
    add_number(&digest, core->epoch);
    add_number(&digest, core->closed);
    add_number(&digest, core->draining);
    add_number(&digest, core->shut_down);
    add_text(&digest, core->drain_reason);
    add_ranks(&digest, &core->ranks);
    add_paces(&digest, core);
    add_shares(&digest, &core->shares);
    add_book(&digest, &core->book);
    add_number(&digest, core->timetable.stale);
    add_number(&digest, core->names.kept);
    add_number(&digest, core->planned_up_to);
    add_number(&digest, core->choosy);
    add_number(&digest, core->saving_ranks);
    add_number(&digest, core->claimed_ranks);
    add_number(&digest, core->claims);
    add_number(&digest, core->next_room_ns);
    add_number(&digest, core->next_growth_ns);
    add_number(&digest, core->next_look_ns);
    add_number(&digest, core->migrated_since_ns);
    add_number(&digest, core->migrated);
    add_number(&digest, core->jobs.count);
    for (int i = 0; i < core->jobs.count; i++)
        add_job(&digest, core->jobs.all[i]);
    add_list(&digest, &core->jobs.pending);
    add_list(&digest, &core->jobs.blocked);
    add_list(&digest, &core->jobs.active);
    return digest;
}
