#include "naive_scheduler.h"

#include <stdbool.h>
#include <string.h>

static bool runs_at(const naive_job *job, int64_t t) {
    return job->start >= 0 && job->start <= t && t < job->start + job->duration;
}

static int free_at(const naive_job *jobs, int count, int ranks, int64_t t) {
    for (int i = 0; i < count; i++)
        ranks -= runs_at(&jobs[i], t) ? jobs[i].ranks : 0;
    return ranks;
}

static bool waits(const naive_job *job, int64_t now) {
    return job->submit <= now && job->start < 0;
}

/* The one that waits and comes first; -1. */
static int head(const naive_job *jobs, int count, int64_t now, bool shortest) {
    int best = -1;
    for (int i = 0; i < count; i++)
        if (waits(&jobs[i], now) &&
            (best < 0 || (shortest && jobs[i].duration < jobs[best].duration)))
            best = i;
    return best;
}

/* The first instant > now at which something ends, comes, or was planned to start; -1. */
static int64_t next_instant(const naive_job *jobs, int count, int64_t now) {
    int64_t next = -1;
    for (int i = 0; i < count; i++) {
        int64_t at[] = {jobs[i].submit, jobs[i].start,
                        jobs[i].start < 0 ? -1 : jobs[i].start + jobs[i].duration};
        for (int k = 0; k < 3; k++)
            if (at[k] > now && (next < 0 || at[k] < next))
                next = at[k];
    }
    return next;
}

static void backfill(naive_job *jobs, int count, int ranks, int64_t now, int h) {
    int64_t shadow = now;
    while (free_at(jobs, count, ranks, shadow) < jobs[h].ranks) {
        int64_t next = -1;
        for (int i = 0; i < count; i++)
            if (runs_at(&jobs[i], shadow) && (next < 0 || jobs[i].start + jobs[i].duration < next))
                next = jobs[i].start + jobs[i].duration;
        shadow = next;
    }
    for (int i = h + 1; i < count; i++) {
        if (!waits(&jobs[i], now) || jobs[i].ranks > free_at(jobs, count, ranks, now))
            continue;
        int spare = free_at(jobs, count, ranks, shadow) - jobs[h].ranks;
        if (now + jobs[i].duration <= shadow || jobs[i].ranks <= spare)
            jobs[i].start = now;
    }
}

static bool fits_from(const naive_job *jobs, int count, int ranks, const naive_job *job,
                      int64_t t) {
    if (free_at(jobs, count, ranks, t) < job->ranks)
        return false;
    for (int i = 0; i < count; i++)
        if (jobs[i].start > t && jobs[i].start < t + job->duration &&
            free_at(jobs, count, ranks, jobs[i].start) < job->ranks)
            return false;
    return true;
}

static void plan(naive_job *jobs, int count, int ranks, naive_job *job, int64_t now) {
    int64_t best = fits_from(jobs, count, ranks, job, now) ? now : -1;
    for (int i = 0; best != now && i < count; i++) {
        int64_t end = jobs[i].start < 0 ? -1 : jobs[i].start + jobs[i].duration;
        if (end > now && (best < 0 || end < best) && fits_from(jobs, count, ranks, job, end))
            best = end;
    }
    job->start = best;
}

static void decide(naive_job *jobs, int count, int ranks, const char *policy, int64_t now) {
    if (strcmp(policy, "conservative") == 0) {
        for (int i = 0; i < count; i++)
            if (waits(&jobs[i], now))
                plan(jobs, count, ranks, &jobs[i], now);
        return;
    }
    for (;;) {
        int h = head(jobs, count, now, strcmp(policy, "sjf") == 0);
        if (h >= 0 && fits_from(jobs, count, ranks, &jobs[h], now)) {
            jobs[h].start = now;
            continue;
        }
        if (h >= 0 && strcmp(policy, "easy") == 0)
            backfill(jobs, count, ranks, now, h);
        return;
    }
}

void naive_schedule(naive_job *jobs, int count, int ranks, const char *policy) {
    for (int i = 0; i < count; i++)
        jobs[i].start = jobs[i].reserved ? jobs[i].start : -1;
    for (int64_t now = jobs[0].submit; now >= 0; now = next_instant(jobs, count, now))
        decide(jobs, count, ranks, policy, now);
}
