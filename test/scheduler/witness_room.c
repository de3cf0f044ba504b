#include "core_witness_internal.h"

/* It makes room for one, so much more important, that will have what is free or being saved
 * together.
 */
static bool helps_a_choosy_one(const witness *w, const witness_job *job, int lead) {
    uint64_t ranks = ranks_that(w, is_free);
    for (int i = 0; i < w->job_count; i++)
        ranks |= w->jobs[i].makes_room || w->jobs[i].resized ? ranks_in_service(w, &w->jobs[i]) : 0;
    for (int i = 0; i < w->job_count; i++) {
        const witness_job *other = &w->jobs[i];
        if (is_choosy(other) && waits_for_ranks(w, other) &&
            (w->has_quotas || other->submit.importance >= job->submit.importance + lead) &&
            most_together_of(w, other, ranks) >= other->submit.ranks_min)
            return true;
    }
    return false;
}

/* Should it save in vain by now, what it gives is its own again. */
static bool somebody_saves_already(const witness *w) {
    bool saves = false;
    for (int i = 0; i < w->job_count; i++)
        saves = saves || ((w->jobs[i].makes_room || w->jobs[i].resized) && w->jobs[i].live > 0 &&
                          !w->jobs[i].stopped_now);
    return saves;
}

bool nobody_makes_room_for_nothing(witness *w) {
    int ranks = count_ranks(w, is_free);
    /* Nor is it free ranks alone that count where teams own them. */
    if (some_keep_idle_ranks(w) || (w->has_quotas && (w->loans || somebody_saves_already(w))))
        return true;
    for (int i = 0; i < w->job_count; i++)
        if (w->jobs[i].makes_room || w->jobs[i].resized)
            ranks += live_in_service(w, &w->jobs[i]);
    for (int i = 0; w->by_class && i < w->job_count; i++) {
        const witness_job *job = &w->jobs[i];
        int64_t wanted = 0;
        /* One step of a surplus less would do. */
        int gives = job->shrinks ? step_of(&job->submit) : live_in_service(w, job);
        if (!(job->makes_room || job->shrinks) || job->live == 0 || !job->stopped_now)
            continue;
        for (int k = 0; k < w->job_count; k++)
            if (waits_for_ranks(w, &w->jobs[k]) &&
                (w->has_quotas ||
                 w->jobs[k].submit.importance + job->shrinks > job->submit.importance))
                wanted += w->jobs[k].submit.ranks_min;
        if (wanted <= ranks - gives && !helps_a_choosy_one(w, job, 1))
            return broken(w, "job %lld makes room for nothing", (long long)job->submit.job);
    }
    return true;
}

bool nobody_migrates_for_nothing(witness *w) {
    for (int i = 0; i < w->job_count; i++)
        if (w->jobs[i].migrates_now && !helps_a_choosy_one(w, &w->jobs[i], 0))
            return broken(w, "job %lld migrates for nothing", (long long)w->jobs[i].submit.job);
    bool many = w->time_ns < INT64_C(3600000000000) && w->migrations > w->migrate_per_hour;
    return !many || broken(w, "%lld gangs migrated", (long long)w->migrations);
}

bool nobody_saves_past_the_grace(witness *w) {
    for (int i = 0; i < w->job_count; i++)
        if (w->jobs[i].live > 0 && grace_is_over(w, &w->jobs[i]) && !w->jobs[i].aborted)
            return broken(w, "job %lld saves for ever", (long long)w->jobs[i].submit.job);
    return true;
}
