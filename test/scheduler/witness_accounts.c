#include "core_witness_internal.h"

#include <string.h>

static int widest_held(const witness_job *job) {
    return job->resize_to > job->size ? job->resize_to : job->size;
}

/* What the others in a team hold, or wait for ranks with. */
static void count_team(const witness *w, int team, const witness_job *job, bool with_queue,
                       int64_t *jobs, int64_t *ranks) {
    *jobs = *ranks = 0;
    for (int i = 0; i < w->job_count; i++) {
        const witness_job *other = &w->jobs[i];
        bool waits = with_queue && waits_for_ranks(w, other);
        if (other == job || !is_in(w, other, team) || other->inside != 0 ||
            (other->live == 0 && !waits))
            continue;
        *jobs += 1;
        *ranks += other->live > 0 ? widest_held(other) : other->submit.ranks_min;
    }
}

/* Somebody else in this team waits for a limit before it. */
static bool has_to_queue(const witness *w, int team, const witness_job *job) {
    for (int i = 0; i < w->job_count; i++) {
        const witness_job *other = &w->jobs[i];
        int lead = other->submit.importance - job->submit.importance;
        if (other != job && is_in(w, other, team) && other->limited &&
            (lead > 0 || (lead == 0 && other->submit.job < job->submit.job)))
            return true;
    }
    return false;
}

static bool team_keeps_its_limits(witness *w, int team, const witness_job *job, bool *is_full) {
    int64_t jobs, ranks;
    const witness_team *most = &w->teams[team];
    count_team(w, team, job, false, &jobs, &ranks);
    if (job->live > 0 && job->inside == 0 &&
        (jobs + 1 > most->most_jobs || ranks + widest_held(job) > most->most_ranks))
        return broken(w, "job %lld is too much for its account", (long long)job->submit.job);
    if (job->state == QD_STATE_PENDING && job->submit.ranks_min > most->most_ranks)
        return broken(w, "job %lld waits for more than its account may hold",
                      (long long)job->submit.job);
    count_team(w, team, job, true, &jobs, &ranks);
    *is_full = *is_full || has_to_queue(w, team, job) || jobs + 1 > most->most_jobs ||
               ranks + job->submit.ranks_min > most->most_ranks;
    return true;
}

bool accounts_keep_their_limits(witness *w) {
    for (int i = 0; i < w->job_count; i++) {
        const witness_job *job = &w->jobs[i];
        bool is_full = false;
        for (int team = job->submit.account; team >= 0; team = w->teams[team].parent)
            if (!team_keeps_its_limits(w, team, job, &is_full))
                return false;
        if (job->limited && !is_full)
            return broken(w, "job %lld waits though its account may hold it",
                          (long long)job->submit.job);
    }
    return true;
}

void note_limits(witness *w, const qd_core *core) {
    for (int i = 0; i < w->job_count && i < qd_core_job_count(core); i++) {
        qd_job_view view;
        qd_core_job(core, i, &view);
        w->jobs[i].was_limited = w->jobs[i].limited;
        w->jobs[i].limited = view.state == QD_STATE_PENDING &&
                             strncmp(view.reason, "AssocGrp", strlen("AssocGrp")) == 0;
    }
}
