#include "core_witness_internal.h"

#include <string.h>

static int widest_held(const witness_job *job) {
    return job->resize_to > job->size ? job->resize_to : job->size;
}

/* What the others of its account hold, or wait for ranks with. */
static void count_account(const witness *w, const witness_job *job, bool with_queue, int64_t *jobs,
                          int64_t *ranks) {
    *jobs = *ranks = 0;
    for (int i = 0; i < w->job_count; i++) {
        const witness_job *other = &w->jobs[i];
        bool waits = with_queue && waits_for_ranks(w, other);
        if (other == job || other->submit.account != job->submit.account || other->inside != 0 ||
            (other->live == 0 && !waits))
            continue;
        *jobs += 1;
        *ranks += other->live > 0 ? widest_held(other) : other->submit.ranks_min;
    }
}

/* Somebody else of its account waits for the account before it. */
static bool has_to_queue(const witness *w, const witness_job *job) {
    for (int i = 0; i < w->job_count; i++) {
        const witness_job *other = &w->jobs[i];
        int lead = other->submit.importance - job->submit.importance;
        if (other != job && other->submit.account == job->submit.account && other->limited &&
            (lead > 0 || (lead == 0 && other->submit.job < job->submit.job)))
            return true;
    }
    return false;
}

bool accounts_keep_their_limits(witness *w) {
    int64_t most_jobs = w->account_jobs ? w->account_jobs : INT64_MAX;
    int64_t most_ranks = w->account_ranks ? w->account_ranks : INT64_MAX;
    for (int i = 0; i < w->job_count; i++) {
        const witness_job *job = &w->jobs[i];
        int64_t jobs, ranks;
        count_account(w, job, false, &jobs, &ranks);
        if (job->live > 0 && job->inside == 0 &&
            (jobs + 1 > most_jobs || ranks + widest_held(job) > most_ranks))
            return broken(w, "job %lld is too much for its account", (long long)job->submit.job);
        if (job->state == QD_STATE_PENDING && job->submit.ranks_min > most_ranks)
            return broken(w, "job %lld waits for more than its account may hold",
                          (long long)job->submit.job);
        count_account(w, job, true, &jobs, &ranks);
        if (job->limited && !has_to_queue(w, job) && jobs + 1 <= most_jobs &&
            ranks + job->submit.ranks_min <= most_ranks)
            return broken(w, "job %lld waits though its account may hold it",
                          (long long)job->submit.job);
    }
    return true;
}

void note_limits(witness *w, const qd_core *core) {
    for (int i = 0; i < w->job_count && i < qd_core_job_count(core); i++) {
        qd_job_view view;
        qd_core_job(core, i, &view);
        w->jobs[i].limited = view.state == QD_STATE_PENDING &&
                             strncmp(view.reason, "AssocGrp", strlen("AssocGrp")) == 0;
    }
}
