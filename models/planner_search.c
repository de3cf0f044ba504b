#include "models/planner_search.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "models/pipeline.h"
#include "runtime/error.h"

enum {
    MOST_COUNTS = 512,
    MOST_SIZES = 40, /* of micro-batches that are tried, else every second one is left out */
    MOST_STAGES = 256,
    MOST_CHUNKS = 4,
    MOST_PIPELINES = 3 * MOST_COUNTS,
    MOST_RANKS_OF_DATA = 65536,
};

/* Numbers to try, ascending. */
typedef struct counts {
    int64_t n[MOST_COUNTS];
    int count;
} counts;

typedef struct pipeline {
    int pp, chunks;
} pipeline;

typedef struct pipeline_list {
    pipeline at[MOST_PIPELINES];
    int count;
} pipeline_list;

static void add(counts *c, int64_t n) {
    if (c->count < MOST_COUNTS && (c->count == 0 || c->n[c->count - 1] < n))
        c->n[c->count++] = n;
}

static int ascending(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static void divisors(int64_t of, counts *c) {
    int64_t found[MOST_COUNTS];
    int n = 0;
    for (int64_t d = 1; d * d <= of; d++) {
        if (of % d != 0 || n > MOST_COUNTS - 2)
            continue;
        found[n++] = d;
        found[n++] = of / d;
    }
    qsort(found, (size_t)n, sizeof *found, ascending);
    c->count = 0;
    for (int i = 0; i < n; i++)
        add(c, found[i]);
}

static void thin(counts *c, int most) {
    while (c->count > most) {
        int kept = 0;
        for (int i = 0; i < c->count; i++)
            if (i % 2 == 0 || i == c->count - 1)
                c->n[kept++] = c->n[i];
        c->count = kept;
    }
}

static void pinned(int64_t pin, counts *c) {
    if (pin == QD_PLAN_FREE)
        return;
    c->count = 0;
    add(c, pin);
}

/* ---- what is tried ---- */

/* Stages: those that share the blocks evenly, and powers of two. */
static void stage_counts(const qd_planner *p, const qd_search *s, counts *c) {
    int blocks = p->profile->one->block_count;
    int64_t most = p->most_parts < s->ranks ? p->most_parts : s->ranks;
    c->count = 0;
    for (int64_t n = 1; n <= most && n <= MOST_STAGES; n++) {
        bool power = (n & (n - 1)) == 0, even = blocks > 0 && blocks % n == 0;
        if (power || even || n == 3 || (blocks == 0 && n <= 16))
            add(c, n);
    }
    pinned(s->pins.pp, c);
}

static int by_parts(const void *left, const void *right) {
    const pipeline *a = left, *b = right;
    int x = a->pp * a->chunks, y = b->pp * b->chunks;
    return x != y ? (x > y) - (x < y) : (a->pp > b->pp) - (a->pp < b->pp);
}

/* Those of as many parts follow each other, since parts are measured once. */
static void pipelines(const qd_planner *p, const qd_search *s, pipeline_list *list) {
    counts stages;
    stage_counts(p, s, &stages);
    list->count = 0;
    for (int i = 0; i < stages.count; i++)
        for (int chunks = 1; chunks <= (stages.n[i] > 1 ? MOST_CHUNKS : 1); chunks *= 2)
            if (stages.n[i] * chunks <= p->most_parts)
                list->at[list->count++] = (pipeline){(int)stages.n[i], chunks};
    qsort(list->at, (size_t)list->count, sizeof *list->at, by_parts);
}

/* Tensor ranks within a node; `across`: beyond it, which only serves who fits nowhere else. */
static void tensor_counts(const qd_planner *p, const qd_search *s, bool across, counts *c) {
    int64_t devices = p->hardware->devices;
    c->count = 0;
    for (int64_t n = 1; n <= p->profile->most_tp && n <= s->ranks; n++) {
        bool inside = devices % n == 0, beyond = n > devices && n % devices == 0;
        if (across ? beyond && (n & (n - 1)) == 0 : inside)
            add(c, n);
    }
    if (s->pins.tp != QD_PLAN_FREE && !across && s->pins.tp <= p->profile->most_tp)
        pinned(s->pins.tp, c);
    else if (s->pins.tp != QD_PLAN_FREE)
        c->count = 0;
}

static void recompute_counts(const qd_planner *p, const qd_search *s, counts *c) {
    c->count = 0;
    add(c, 0);
    add(c, p->profile->one->block_count);
    if (s->pins.recompute <= p->profile->one->block_count)
        pinned(s->pins.recompute, c);
}

static void sample_counts(const qd_planner *p, const qd_search *s, counts *c) {
    divisors(p->profile->job->train.batch, c);
    if (s->pins.micro_batches == QD_PLAN_FREE && s->pins.slots == QD_PLAN_FREE)
        thin(c, MOST_SIZES);
    while (c->count > 0 && c->n[0] < p->profile->least_samples)
        memmove(c->n, c->n + 1, (size_t)--c->count * sizeof *c->n);
}

static void data_counts(const qd_planner *p, const qd_search *s, counts *c) {
    divisors(s->pins.slots == QD_PLAN_FREE ? p->profile->job->train.batch : s->pins.slots, c);
    if (s->pins.slots != QD_PLAN_FREE && s->ranks < s->pins.slots) { /* uneven shares */
        add(c, s->ranks);
        qsort(c->n, (size_t)c->count, sizeof *c->n, ascending);
    }
    pinned(s->pins.dp, c);
}

/* ---- lists ---- */

static int64_t ranks_of(const qd_plan_layout *l) {
    return (int64_t)l->dp * l->pp * l->tp;
}

static bool same_grid(const qd_plan_layout *a, const qd_plan_layout *b) {
    return a->dp == b->dp && a->pp == b->pp && a->tp == b->tp;
}

/* Differences in the last digits decide nothing: the plan that was tried first stays. */
static bool better(const qd_search *s, const qd_plan *a, const qd_plan *b) {
    if (s->aim == QD_SEARCH_FEWEST_RANKS && ranks_of(&a->layout) != ranks_of(&b->layout))
        return ranks_of(&a->layout) < ranks_of(&b->layout);
    return a->step_s < b->step_s * (1 - 1e-9);
}

static bool wanted(const qd_search *s, const qd_search_list *list, const qd_plan *plan) {
    return list->count < QD_SEARCH_KEPT || better(s, plan, &list->plans[list->count - 1]);
}

/* One plan of a grid, the better one. */
static void keep(const qd_search *s, qd_search_list *list, const qd_plan *plan) {
    int at = 0;
    for (; at < list->count; at++)
        if (same_grid(&list->plans[at].layout, &plan->layout))
            break;
    if (at < list->count && !better(s, plan, &list->plans[at]))
        return;
    if (at == list->count && list->count < QD_SEARCH_KEPT)
        list->count++;
    else if (at == list->count)
        at--; /* the worst one goes */
    for (; at > 0 && better(s, plan, &list->plans[at - 1]); at--)
        list->plans[at] = list->plans[at - 1];
    list->plans[at] = *plan;
}

static void consider(const qd_plan_case *c, const qd_plan_layout *layout, qd_search *s) {
    qd_plan plan;
    qd_plan_predict_time(c, layout, &plan);
    s->tried++;
    if (!wanted(s, &s->fit, &plan))
        return;
    qd_plan_predict_memory(c, layout, &plan);
    if (plan.fits)
        keep(s, &s->fit, &plan);
    else if (wanted(s, &s->unfit, &plan))
        keep(s, &s->unfit, &plan);
    if (s->fit.count == 0 &&
        (s->leanest.memory_bytes == 0 || plan.memory_bytes < s->leanest.memory_bytes))
        s->leanest = plan;
}

/* ---- the loops, from the outermost in ---- */

typedef struct loops {
    qd_planner *planner;
    qd_search *search;
    counts data, samples;
    pipeline_list pipelines;
    int tp, recompute;
    int64_t micro_samples;
    int gpipe, one_f_one_b, interleaved, zb_h1; /* indices of schedules */
} loops;

static int index_of(const qd_pipeline_kind *kind) {
    int i = 0;
    while (strcmp(qd_pipeline_names[i], kind->name) != 0)
        i++;
    return i;
}

static void try_schedule(const loops *l, const qd_plan_case *c, qd_plan_layout *layout,
                         int schedule) {
    const qd_pipeline_kind *kind = qd_pipeline_by_name(qd_pipeline_names[schedule]);
    int64_t pin = l->search->pins.schedule;
    layout->schedule = schedule;
    if ((pin == QD_PLAN_FREE || pin == schedule) &&
        qd_plan_micro_batches(layout) >= kind->least_micro_batches(c->pp))
        consider(c, layout, l->search);
}

/* GPipe takes as long as 1F1B and keeps more: it is not tried unless it is asked for. */
static void try_schedules(const loops *l, const qd_plan_case *c, qd_plan_layout *layout) {
    if (c->pp == 1) {
        layout->schedule = QD_PLAN_NO_SCHEDULE;
        consider(c, layout, l->search);
    } else if (c->chunks > 1) {
        try_schedule(l, c, layout, l->interleaved);
    } else {
        try_schedule(l, c, layout, l->one_f_one_b);
        try_schedule(l, c, layout, l->zb_h1);
        if (l->search->pins.schedule == l->gpipe)
            try_schedule(l, c, layout, l->gpipe);
    }
}

static void try_zero(const loops *l, const qd_plan_case *c, qd_plan_layout *layout) {
    int64_t pin = l->search->pins.zero;
    for (int zero = 0; zero <= (layout->dp > 1 ? 3 : 0) || zero == pin; zero++) {
        if (pin != QD_PLAN_FREE && pin != zero)
            continue;
        layout->zero = zero;
        try_schedules(l, c, layout);
    }
}

/* Slots and micro-batches of a slot that dp leaves; without a pin each rank has one slot, whose
 * gradients are one vector. */
static bool divide_batch(const loops *l, int dp, qd_plan_layout *layout) {
    const qd_plan_pins *pins = &l->search->pins;
    int64_t batch = l->planner->profile->job->train.batch;
    layout->dp = dp;
    layout->slots = pins->slots == QD_PLAN_FREE ? dp : pins->slots;
    if (layout->slots < dp || batch % layout->slots != 0 ||
        batch / layout->slots % l->micro_samples != 0)
        return false;
    layout->micro_batches = batch / layout->slots / l->micro_samples;
    return pins->micro_batches == QD_PLAN_FREE || pins->micro_batches == layout->micro_batches;
}

static void try_data(const loops *l, const qd_plan_case *c) {
    int64_t most = l->search->ranks / ((int64_t)c->pp * l->tp);
    qd_plan_layout layout = {
        .pp = c->pp, .tp = l->tp, .chunks = c->chunks, .recompute = l->recompute};
    for (int i = 0; i < l->data.count && l->data.n[i] <= most; i++)
        if (l->data.n[i] <= MOST_RANKS_OF_DATA && divide_batch(l, (int)l->data.n[i], &layout))
            try_zero(l, c, &layout);
}

/* Whether any part of it could hold one micro-batch. */
static bool hopeless(const loops *l, const qd_plan_case *c) {
    for (int i = 0; i < c->pp; i++)
        if (c->stages[i].most_peak > l->planner->hardware->memory_bytes)
            return true;
    return false;
}

static int try_pipelines(loops *l, bool *hope) {
    for (int i = 0; i < l->pipelines.count; i++) {
        pipeline p = l->pipelines.at[i];
        qd_plan_case c;
        if ((int64_t)p.pp * l->tp > l->search->ranks)
            continue;
        int rc = qd_planner_measure(l->planner, l->tp, l->recompute, (double)l->micro_samples, p.pp,
                                    p.chunks, &c);
        if (rc)
            return rc;
        *hope |= !hopeless(l, &c);
        try_data(l, &c);
    }
    return 0;
}

/* Larger micro-batches keep more: once none fits, no larger one will. */
static int try_samples(loops *l) {
    bool hope = true;
    for (int i = 0; i < l->samples.count && hope; i++) {
        l->micro_samples = l->samples.n[i];
        hope = false;
        int rc = try_pipelines(l, &hope);
        if (rc)
            return rc;
    }
    return 0;
}

static int try_tensor(loops *l, bool across) {
    counts tensor, recompute;
    tensor_counts(l->planner, l->search, across, &tensor);
    recompute_counts(l->planner, l->search, &recompute);
    for (int t = 0; t < tensor.count; t++)
        for (int r = 0; r < recompute.count; r++) {
            l->tp = (int)tensor.n[t];
            l->recompute = (int)recompute.n[r];
            int rc = try_samples(l);
            if (rc)
                return rc;
        }
    return 0;
}

/* The fewest blocks that have to be recomputed: memory falls with each, time grows. */
static int recompute_less(qd_planner *p, qd_plan *plan) {
    int low = 0, high = plan->layout.recompute;
    while (high - low > 1) {
        qd_plan less;
        qd_plan_layout layout = plan->layout;
        layout.recompute = low + (high - low) / 2;
        int rc = qd_planner_predict(p, &layout, &less);
        if (rc)
            return rc;
        if (less.fits && less.step_s <= plan->step_s) {
            *plan = less;
            high = layout.recompute;
        } else {
            low = layout.recompute;
        }
    }
    return 0;
}

static int refine(qd_planner *p, qd_search *s) {
    qd_search_list all = s->fit;
    s->fit.count = 0;
    for (int i = 0; i < all.count; i++) {
        int rc = s->pins.recompute == QD_PLAN_FREE ? recompute_less(p, &all.plans[i]) : 0;
        if (rc)
            return rc;
        keep(s, &s->fit, &all.plans[i]);
    }
    return 0;
}

int qd_planner_search(qd_planner *planner, qd_search *search) {
    loops l = {.planner = planner,
               .search = search,
               .gpipe = index_of(&qd_pipeline_gpipe),
               .one_f_one_b = index_of(&qd_pipeline_1f1b),
               .interleaved = index_of(&qd_pipeline_interleaved),
               .zb_h1 = index_of(&qd_pipeline_zb_h1)};
    search->fit.count = search->unfit.count = 0;
    search->leanest = (qd_plan){0};
    search->tried = 0;
    data_counts(planner, search, &l.data);
    pipelines(planner, search, &l.pipelines);
    sample_counts(planner, search, &l.samples);
    int rc = try_tensor(&l, false);
    if (!rc && search->fit.count == 0)
        rc = try_tensor(&l, true);
    return rc ? rc : refine(planner, search);
}

/* ---- choosing ---- */

static void add_losers(const qd_planner *p, const qd_search_list *list, int first, int most,
                       bool only_faster, qd_plan_choice *choice) {
    for (int i = first; i < list->count && choice->loser_count < most; i++) {
        qd_plan_loser *loser = &choice->losers[choice->loser_count];
        bool chosen_grid = same_grid(&list->plans[i].layout, &choice->best.layout);
        if (only_faster && (chosen_grid || list->plans[i].step_s >= choice->best.step_s))
            continue;
        loser->plan = list->plans[i];
        qd_plan_reason(p, &choice->best, &loser->plan, loser->reason);
        choice->loser_count++;
    }
}

int qd_planner_choose(qd_planner *planner, int64_t ranks, const qd_plan_pins *pins,
                      qd_plan_choice *choice) {
    qd_search *s = calloc(1, sizeof *s);
    if (!s)
        return qd_error_set(QD_ENOMEM, "no memory to choose a layout");
    s->ranks = ranks;
    s->pins = *pins;
    int rc = qd_planner_search(planner, s);
    if (!rc && s->fit.count == 0)
        rc = qd_plan_refuse(planner, s);
    if (!rc) {
        *choice = (qd_plan_choice){.best = s->fit.plans[0], .tried = s->tried};
        add_losers(planner, &s->fit, 1, QD_PLAN_MOST - 2, false, choice);
        add_losers(planner, &s->unfit, 0, QD_PLAN_MOST, true, choice);
    }
    free(s);
    return rc;
}
