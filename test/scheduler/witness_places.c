#include "core_witness_internal.h"

/* ---- what is together ---- */

static bool same_host(const qd_place *a, const qd_place *b) {
    return a->host == b->host;
}

/* Ranks that differ in memory are in islands of their own. */
static bool same_island(const qd_place *a, const qd_place *b) {
    return a->host == b->host && a->island == b->island && a->memory_bytes == b->memory_bytes;
}

static bool anywhere(const qd_place *a, const qd_place *b) {
    (void)a;
    (void)b;
    return true;
}

typedef bool (*same_spot)(const qd_place *a, const qd_place *b);

static same_spot spot_of(const witness_job *job) {
    static const same_spot spots[QD_WITHINS] = {
        [QD_WITHIN_ANYTHING] = anywhere,
        [QD_WITHIN_HOST] = same_host,
        [QD_WITHIN_ISLAND] = same_island,
    };
    return spots[job->submit.demand.within];
}

/* Ranks at the spot of one of them that are such and have the memory. */
static int count_at(const witness *w, const witness_job *job, int at, same_spot same,
                    bool (*is)(const witness_rank *)) {
    int count = 0;
    for (int rank = 1; rank <= w->worker_ranks; rank++)
        count += is(&w->ranks[rank]) && same(&w->ranks[at].place, &w->ranks[rank].place) &&
                 w->ranks[rank].place.memory_bytes >= job->submit.demand.memory_bytes;
    return count;
}

int most_together_of(const witness *w, const witness_job *job, uint64_t ranks) {
    int most = 0;
    for (int at = 1; at <= w->worker_ranks; at++) {
        int count = 0;
        for (int rank = 1; rank <= w->worker_ranks; rank++)
            count += (ranks >> (rank - 1) & 1) &&
                     spot_of(job)(&w->ranks[at].place, &w->ranks[rank].place) &&
                     w->ranks[rank].place.memory_bytes >= job->submit.demand.memory_bytes;
        most = count > most ? count : most;
    }
    return most;
}

uint64_t ranks_that(const witness *w, bool (*is)(const witness_rank *)) {
    uint64_t ranks = 0;
    for (int rank = 1; rank <= w->worker_ranks; rank++)
        ranks |= (uint64_t)is(&w->ranks[rank]) << (rank - 1);
    return ranks;
}

/* While some are on their way, nobody knows where they will be. */
int most_together(const witness *w, const witness_job *job, bool (*is)(const witness_rank *)) {
    if (count_ranks(w, is_on_its_way) > 0)
        return count_ranks(w, is);
    return most_together_of(w, job, ranks_that(w, is));
}

bool is_choosy(const witness_job *job) {
    return job->submit.demand.within != QD_WITHIN_ANYTHING || job->submit.demand.memory_bytes > 0;
}

/* ---- what a gang got ---- */

/* The fewest free ranks at a spot that has enough; 0: none has. */
static int best_fit(const witness *w, const witness_job *job, int count, same_spot same) {
    int best = 0;
    for (int at = 1; at <= w->worker_ranks; at++) {
        int here = count_at(w, job, at, same, is_free);
        if (here >= count && (best == 0 || here < best))
            best = here;
    }
    return best;
}

static bool all_at(const witness *w, const qd_action *a, same_spot same) {
    for (int i = 1; i < a->rank_count; i++)
        if (!same(&w->ranks[a->ranks[0]].place, &w->ranks[a->ranks[i]].place))
            return false;
    return true;
}

/* Some ranks may be kept for a job that needs them to be together. */
static bool another_waits_for_a_place(const witness *w, const witness_job *job) {
    for (int i = 0; i < w->job_count; i++)
        if (&w->jobs[i] != job && is_choosy(&w->jobs[i]) && !over(w->jobs[i].state) &&
            w->jobs[i].live == 0)
            return true;
    return false;
}

bool is_as_demanded(witness *w, const witness_job *job, const qd_action *a) {
    for (int i = 0; i < a->rank_count; i++)
        if (w->ranks[a->ranks[i]].place.memory_bytes < job->submit.demand.memory_bytes)
            return broken(w, "job %lld got a rank without the memory", (long long)a->job);
    if (!all_at(w, a, spot_of(job)))
        return broken(w, "the gang of job %lld is torn apart", (long long)a->job);
    return true;
}

bool has_its_place(witness *w, const witness_job *job, const qd_action *a) {
    if (!is_as_demanded(w, job, a))
        return false;
    same_spot levels[] = {same_island, same_host};
    if (w->reservation_count > 0)
        return true; /* which of the free ranks are kept for reservations, nobody says */
    for (int i = 0; i < 2 && !another_waits_for_a_place(w, job); i++) {
        int best = best_fit(w, job, a->rank_count, levels[i]);
        if (best == 0)
            continue;
        if (!all_at(w, a, levels[i]) || count_at(w, job, a->ranks[0], levels[i], is_free) != best)
            return broken(w, "the gang of job %lld does not lie where it fits best",
                          (long long)a->job);
        break;
    }
    return true;
}
