#include "models/planner_candidates.h"

#include <stdlib.h>
#include <string.h>

enum {
    MOST_SIZES = 40, /* of micro-batches that are tried, else every second one is left out */
    MOST_STAGES = 256,
    MOST_CHUNKS = 4,
};

static void add(qd_plan_counts *c, int64_t n) {
    if (c->count < QD_PLAN_MOST_COUNTS && (c->count == 0 || c->n[c->count - 1] < n))
        c->n[c->count++] = n;
}

static int ascending(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static void divisors(int64_t of, qd_plan_counts *c) {
    int64_t found[QD_PLAN_MOST_COUNTS];
    int n = 0;
    for (int64_t d = 1; d * d <= of; d++) {
        if (of % d != 0 || n > QD_PLAN_MOST_COUNTS - 2)
            continue;
        found[n++] = d;
        found[n++] = of / d;
    }
    qsort(found, (size_t)n, sizeof *found, ascending);
    c->count = 0;
    for (int i = 0; i < n; i++)
        add(c, found[i]);
}

static void thin(qd_plan_counts *c, int most) {
    while (c->count > most) {
        int kept = 0;
        for (int i = 0; i < c->count; i++)
            if (i % 2 == 0 || i == c->count - 1)
                c->n[kept++] = c->n[i];
        c->count = kept;
    }
}

static int64_t at_most(int64_t n, int64_t bound) {
    return bound != QD_PLAN_FREE && bound < n ? bound : n;
}

static void pinned(int64_t pin, qd_plan_counts *c) {
    if (pin == QD_PLAN_FREE)
        return;
    c->count = 0;
    add(c, pin);
}

/* Stages: those that share the blocks evenly, and powers of two. */
static void stage_counts(const qd_planner *p, const qd_search *s, qd_plan_counts *c) {
    int blocks = p->profile->one->block_count;
    int64_t most = at_most(p->most_parts < s->ranks ? p->most_parts : s->ranks, s->pins.most_pp);
    c->count = 0;
    for (int64_t n = 1; n <= most && n <= MOST_STAGES; n++) {
        bool power = (n & (n - 1)) == 0, even = blocks > 0 && blocks % n == 0;
        if (power || even || n == 3 || (blocks == 0 && n <= 16))
            add(c, n);
    }
    pinned(s->pins.pp, c);
}

static int by_parts(const void *left, const void *right) {
    const qd_plan_pipeline *a = left, *b = right;
    int x = a->pp * a->chunks, y = b->pp * b->chunks;
    return x != y ? (x > y) - (x < y) : (a->pp > b->pp) - (a->pp < b->pp);
}

/* Those of as many parts follow each other, since parts are measured once. */
void qd_plan_list_pipelines(const qd_planner *p, const qd_search *s, qd_plan_pipelines *list) {
    qd_plan_counts stages;
    stage_counts(p, s, &stages);
    list->count = 0;
    for (int i = 0; i < stages.count; i++)
        for (int chunks = 1; chunks <= (stages.n[i] > 1 ? MOST_CHUNKS : 1); chunks *= 2)
            if (stages.n[i] * chunks <= at_most(p->most_parts, s->pins.most_parts))
                list->at[list->count++] = (qd_plan_pipeline){(int)stages.n[i], chunks};
    qsort(list->at, (size_t)list->count, sizeof *list->at, by_parts);
}

void qd_plan_tensor_counts(const qd_planner *p, const qd_search *s, bool across,
                           qd_plan_counts *c) {
    int64_t devices = p->hardware->devices;
    int64_t most = at_most(p->profile->most_tp, s->pins.most_tp);
    c->count = 0;
    for (int64_t n = 1; n <= most && n <= s->ranks; n++) {
        bool inside = devices % n == 0, beyond = n > devices && n % devices == 0;
        if (across ? beyond && (n & (n - 1)) == 0 : inside)
            add(c, n);
    }
    if (s->pins.tp != QD_PLAN_FREE && !across && s->pins.tp <= most)
        pinned(s->pins.tp, c);
    else if (s->pins.tp != QD_PLAN_FREE)
        c->count = 0;
}

void qd_plan_recompute_counts(const qd_planner *p, const qd_search *s, qd_plan_counts *c) {
    c->count = 0;
    add(c, 0);
    add(c, p->profile->one->block_count);
    if (s->pins.recompute <= p->profile->one->block_count)
        pinned(s->pins.recompute, c);
}

void qd_plan_sample_counts(const qd_planner *p, const qd_search *s, qd_plan_counts *c) {
    divisors(p->profile->job->train.batch, c);
    if (s->pins.micro_batches == QD_PLAN_FREE && s->pins.slots == QD_PLAN_FREE)
        thin(c, MOST_SIZES);
    while (c->count > 0 && c->n[0] < p->profile->least_samples)
        memmove(c->n, c->n + 1, (size_t)--c->count * sizeof *c->n);
}

void qd_plan_data_counts(const qd_planner *p, const qd_search *s, qd_plan_counts *c) {
    divisors(s->pins.slots == QD_PLAN_FREE ? p->profile->job->train.batch : s->pins.slots, c);
    if (s->pins.slots != QD_PLAN_FREE && s->ranks < s->pins.slots) { /* uneven shares */
        add(c, s->ranks);
        qsort(c->n, (size_t)c->count, sizeof *c->n, ascending);
    }
    pinned(s->pins.dp, c);
}
