#include "core_witness_internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

bool broken(witness *w, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(w->broken, sizeof w->broken, fmt, ap);
    va_end(ap);
    return false;
}

witness_job *witness_find(const witness *w, int64_t job) {
    for (int i = 0; i < w->job_count; i++)
        if (w->jobs[i].submit.job == job)
            return (witness_job *)&w->jobs[i];
    return NULL;
}

int witness_live_members(const witness *w, int64_t job, int ranks[WITNESS_MAX_RANKS]) {
    int count = 0;
    for (int rank = 1; rank <= w->worker_ranks; rank++)
        if (w->ranks[rank].job == job)
            ranks[count++] = rank;
    return count;
}

bool over(qd_job_state state) {
    return state == QD_STATE_COMPLETED || state == QD_STATE_FAILED || state == QD_STATE_CANCELLED ||
           state == QD_STATE_PREEMPTED || state == QD_STATE_TIMEOUT;
}

const char *read_after(const char *text, char kind[8], long long *job) {
    if (!text || sscanf(text, "%7[a-z]:%lld", kind, job) != 2)
        return NULL;
    const char *comma = strchr(text, ',');
    return comma ? comma + 1 : "";
}

void look_at_after(const witness *w, const witness_job *job, int *waits, int *forbid) {
    char kind[8];
    long long number;
    *waits = *forbid = 0;
    for (const char *at = job->submit.after; (at = read_after(at, kind, &number));) {
        const witness_job *other = witness_find(w, number);
        bool ok = other->state == QD_STATE_COMPLETED;
        if (!over(other->state))
            ++*waits;
        else if (strcmp(kind, "any") != 0 &&
                 (strcmp(kind, "ok") == 0 ? !ok : ok || other->attempt == 0))
            ++*forbid;
    }
}

int count_ranks(const witness *w, bool (*is)(const witness_rank *)) {
    int count = 0;
    for (int rank = 1; rank <= w->worker_ranks; rank++)
        count += is(&w->ranks[rank]);
    return count;
}

bool is_alive(const witness_rank *r) {
    return !r->lost;
}

bool is_free(const witness_rank *r) {
    return r->ready && !r->lost && !r->drained && r->job == 0 && r->kept == 0;
}

bool is_in_service(const witness_rank *r) {
    return !r->lost && !r->drained;
}

bool is_on_its_way(const witness_rank *r) {
    return !r->ready && !r->lost;
}

bool waits_for_its_name(const witness *w, const witness_job *job) {
    bool waits = false;
    for (int i = 0; strstr(job->submit.after, "singleton") && i < w->job_count; i++) {
        const witness_job *other = &w->jobs[i];
        bool same = other != job && other->submit.account == job->submit.account &&
                    strcmp(other->submit.name, job->submit.name) == 0;
        waits = waits || (same && (other->live > 0 || (other->state == QD_STATE_PENDING &&
                                                       other->submit.job < job->submit.job)));
    }
    return waits;
}

bool waits_for_ranks(const witness *w, const witness_job *job) {
    int waits, forbid;
    if (job->state != QD_STATE_PENDING)
        return false;
    look_at_after(w, job, &waits, &forbid);
    bool too_wide = job->submit.ranks_min > most_together(w, job, is_in_service);
    return !waits_for_its_name(w, job) && !job->held && !job->limited && !too_wide &&
           !find_reservation(w, job->submit.reservation) && job->submit.begin_ns <= w->time_ns &&
           waits == 0;
}

int step_of(const qd_submission *s) {
    return s->ranks_step > 1 ? s->ranks_step : 1;
}

bool is_size_of(const qd_submission *s, int ranks) {
    return ranks >= s->ranks_min && ranks <= s->ranks_max &&
           (ranks - s->ranks_min) % step_of(s) == 0;
}

bool is_late(const witness *w, const witness_job *job) {
    int64_t run = job->run_before_ns + (job->live > 0 ? w->time_ns - job->start_ns : 0);
    return job->submit.limit_ns > 0 && run >= job->submit.limit_ns;
}

bool grace_is_over(const witness *w, const witness_job *job) {
    if (job->live == 0)
        return false;
    if (job->way_by_ns > 0)
        return w->time_ns >= job->way_by_ns;
    return w->by_class && (job->makes_room || job->shrinks) &&
           w->time_ns - job->stopped_ns >= job->grace_ns;
}

uint64_t ranks_in_service(const witness *w, const witness_job *job) {
    uint64_t ranks = 0;
    for (int rank = 1; rank <= w->worker_ranks; rank++)
        if (w->ranks[rank].job == job->submit.job && is_in_service(&w->ranks[rank]) &&
            w->ranks[rank].kept == 0)
            ranks |= UINT64_C(1) << (rank - 1);
    return ranks;
}

int live_in_service(const witness *w, const witness_job *job) {
    return __builtin_popcountll(ranks_in_service(w, job));
}

bool may_start(const witness *w) {
    return !w->draining && count_ranks(w, is_on_its_way) == 0;
}

bool somebody_saves(const witness *w) {
    bool saves = false;
    for (int i = 0; i < w->job_count; i++)
        saves = saves || ((w->jobs[i].makes_room || w->jobs[i].resized) && w->jobs[i].live > 0);
    return saves;
}
