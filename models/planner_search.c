#include "models/planner_search.h"

#include "models/pipeline.h"
#include "models/planner_candidates.h"
#include "models/planner_shortlist.h"

enum { MOST_RANKS_OF_DATA = 65536 };

static void consider(const qd_plan_case *c, const qd_plan_layout *layout, qd_search *s) {
    qd_plan plan;
    qd_plan_predict_time(c, layout, &plan);
    s->tried++;
    if (!qd_search_wanted(s, &s->fit, &plan))
        return;
    qd_plan_predict_memory(c, layout, &plan);
    if (plan.fits)
        qd_search_keep(s, &s->fit, &plan);
    else if (qd_search_wanted(s, &s->unfit, &plan))
        qd_search_keep(s, &s->unfit, &plan);
    if (s->fit.count == 0 &&
        (s->leanest.memory_bytes == 0 || plan.memory_bytes < s->leanest.memory_bytes))
        s->leanest = plan;
}

/* ---- the loops, from the outermost in ---- */

typedef struct loops {
    qd_planner *planner;
    qd_search *search;
    qd_plan_counts data, samples;
    qd_plan_pipelines pipelines;
    int tp, recompute;
    int64_t micro_samples;
} loops;

static void try_schedule(const loops *l, const qd_plan_case *c, qd_plan_layout *layout,
                         const qd_pipeline_kind *kind) {
    int schedule = qd_pipeline_place(kind);
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
        try_schedule(l, c, layout, &qd_pipeline_interleaved);
    } else {
        try_schedule(l, c, layout, &qd_pipeline_1f1b);
        try_schedule(l, c, layout, &qd_pipeline_zb_h1);
        if (l->search->pins.schedule == qd_pipeline_place(&qd_pipeline_gpipe))
            try_schedule(l, c, layout, &qd_pipeline_gpipe);
    }
}

static void try_zero(const loops *l, const qd_plan_case *c, qd_plan_layout *layout) {
    int64_t pin = l->search->pins.zero;
    int64_t bound = l->search->pins.most_zero;
    for (int zero = 0; zero <= (layout->dp > 1 ? 3 : 0) || zero == pin; zero++) {
        if ((pin != QD_PLAN_FREE && pin != zero) || (bound != QD_PLAN_FREE && zero > bound))
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
        if (l->data.n[i] <= MOST_RANKS_OF_DATA &&
            l->data.n[i] * c->pp * l->tp >= l->search->pins.least_ranks &&
            divide_batch(l, (int)l->data.n[i], &layout))
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
        qd_plan_pipeline p = l->pipelines.at[i];
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
    qd_plan_counts tensor, recompute;
    qd_plan_tensor_counts(l->planner, l->search, across, &tensor);
    qd_plan_recompute_counts(l->planner, l->search, &recompute);
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
        qd_search_keep(s, &s->fit, &all.plans[i]);
    }
    return 0;
}

int qd_planner_search(qd_planner *planner, qd_search *search) {
    loops l = {.planner = planner, .search = search};
    search->fit.count = search->unfit.count = 0;
    search->leanest = (qd_plan){0};
    search->tried = 0;
    qd_plan_data_counts(planner, search, &l.data);
    qd_plan_list_pipelines(planner, search, &l.pipelines);
    qd_plan_sample_counts(planner, search, &l.samples);
    int rc = try_tensor(&l, false);
    if (!rc && search->fit.count == 0)
        rc = try_tensor(&l, true);
    return rc ? rc : refine(planner, search);
}
