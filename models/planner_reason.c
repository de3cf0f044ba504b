#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "models/pipeline.h"
#include "models/planner_search.h"
#include "runtime/error.h"
#include "runtime/text.h"

enum { MOST_RANKS = 1 << 20 };

static double gib(double bytes) {
    return bytes / (1 << 30);
}

const char *qd_plan_layout_text(const qd_plan_layout *l, char *text, size_t size) {
    int n = snprintf(
        text, size, "dp %d, pp %d, tp %d, zero %d, %" PRId64 " slot%s of %" PRId64 " micro-batch%s",
        l->dp, l->pp, l->tp, l->zero, l->slots, qd_plural(l->slots), l->micro_batches,
        l->micro_batches == 1 ? "" : "es");
    if (l->pp > 1)
        n += snprintf(text + n, size - (size_t)n, ", %s", qd_pipeline_names[l->schedule]);
    if (l->chunks > 1)
        n += snprintf(text + n, size - (size_t)n, " of %d chunks", l->chunks);
    if (l->recompute > 0)
        snprintf(text + n, size - (size_t)n, ", %d block%s recomputed", l->recompute,
                 qd_plural(l->recompute));
    return text;
}

static const char *seconds_text(double s, char text[32]) {
    if (s >= 1)
        snprintf(text, 32, "%.3g s", s);
    else if (s >= 1e-3)
        snprintf(text, 32, "%.3g ms", s * 1e3);
    else
        snprintf(text, 32, "%.3g us", s * 1e6);
    return text;
}

static int greatest(const double *values, int count) {
    int at = 0;
    for (int i = 1; i < count; i++)
        if (values[i] > values[at])
            at = i;
    return at;
}

void qd_plan_reason(const qd_planner *planner, const qd_plan *best, const qd_plan *loser,
                    char text[QD_PLAN_REASON_BYTES]) {
    double more[QD_PLAN_TIMES], slower = loser->step_s / best->step_s - 1;
    char by[32];
    if (!loser->fits) {
        int most = greatest(loser->memory, QD_PLAN_MEMORIES);
        snprintf(text, QD_PLAN_REASON_BYTES,
                 "does not fit by %.1f GiB: %.1f GiB, of which %s %.1f GiB; it would be %.1f %% "
                 "faster",
                 gib(loser->memory_bytes - planner->hardware->memory_bytes),
                 gib(loser->memory_bytes), qd_plan_memory_names[most], gib(loser->memory[most]),
                 -100 * slower);
        return;
    }
    for (int t = 0; t < QD_PLAN_TIMES; t++)
        more[t] = loser->time[t] - best->time[t];
    int most = greatest(more, QD_PLAN_TIMES);
    snprintf(text, QD_PLAN_REASON_BYTES, "%.1f %% slower: %s more of %s", 100 * slower,
             seconds_text(more[most], by), qd_plan_time_names[most]);
}

/* ---- refusal ---- */

/* One thing that was pinned, and what to write instead of it. */
typedef struct remedy {
    const char *key;
    size_t pin; /* offset in qd_plan_pins */
    int64_t (*value)(const qd_plan_layout *layout);
} remedy;

static int64_t recompute_of(const qd_plan_layout *l) {
    return l->recompute;
}
static int64_t zero_of(const qd_plan_layout *l) {
    return l->zero;
}
static int64_t micro_batches_of(const qd_plan_layout *l) {
    return l->micro_batches;
}
static int64_t slots_of(const qd_plan_layout *l) {
    return l->slots;
}
static int64_t tp_of(const qd_plan_layout *l) {
    return l->tp;
}
static int64_t pp_of(const qd_plan_layout *l) {
    return l->pp;
}
static int64_t dp_of(const qd_plan_layout *l) {
    return l->dp;
}

static const remedy remedies[] = {
    {"train.recompute", offsetof(qd_plan_pins, recompute), recompute_of},
    {"layout.zero", offsetof(qd_plan_pins, zero), zero_of},
    {"train.micro_batches", offsetof(qd_plan_pins, micro_batches), micro_batches_of},
    {"slots.data", offsetof(qd_plan_pins, slots), slots_of},
    {"layout.tp", offsetof(qd_plan_pins, tp), tp_of},
    {"layout.pp", offsetof(qd_plan_pins, pp), pp_of},
    {"layout.dp", offsetof(qd_plan_pins, dp), dp_of},
};
enum { REMEDIES = sizeof remedies / sizeof *remedies };

static void add_remedy(char *text, size_t size, const char *words) {
    size_t length = strlen(text);
    snprintf(text + length, size - length, "%s%s", length > 0 ? ", or " : "", words);
}

/* With one pin out, all else as it was asked for. */
static int try_remedy(qd_planner *p, const qd_search *failed, const remedy *r, char *text,
                      size_t size) {
    qd_search s = {.ranks = failed->ranks, .pins = failed->pins};
    int64_t *pin = (int64_t *)(void *)((char *)&s.pins + r->pin);
    char words[64];
    if (*pin == QD_PLAN_FREE)
        return 0;
    *pin = QD_PLAN_FREE;
    int rc = qd_planner_search(p, &s);
    if (rc || s.fit.count == 0)
        return rc;
    snprintf(words, sizeof words, "%s %" PRId64, r->key, r->value(&s.fit.plans[0].layout));
    add_remedy(text, size, words);
    return 0;
}

static int64_t most_ranks(const qd_hardware *h) {
    return h->nodes > 0 ? h->nodes * h->devices : MOST_RANKS;
}

static int try_more_ranks(qd_planner *p, const qd_search *failed, char *text, size_t size) {
    qd_search s = {
        .aim = QD_SEARCH_FEWEST_RANKS, .ranks = most_ranks(p->hardware), .pins = failed->pins};
    char words[64];
    if (s.ranks <= failed->ranks)
        return 0;
    int rc = qd_planner_search(p, &s);
    if (rc || s.fit.count == 0)
        return rc;
    const qd_plan_layout *l = &s.fit.plans[0].layout;
    snprintf(words, sizeof words, "at least %" PRId64 " ranks", (int64_t)l->dp * l->pp * l->tp);
    add_remedy(text, size, words);
    return 0;
}

static int refuse_untried(const qd_planner *p, const qd_search *s) {
    return qd_error_set(QD_ECONFIG,
                        "%s has no layout of that kind on %" PRId64 " rank(s) of %s: layers can be "
                        "cut into 1 to %d tensor ranks, the model into 1 to %d stages, and slots "
                        "and micro-batches divide the batch of %" PRId64,
                        p->profile->job->name, s->ranks, p->hardware->name, p->profile->most_tp,
                        p->most_parts, p->profile->job->train.batch);
}

int qd_plan_refuse(qd_planner *planner, const qd_search *search) {
    char layout[QD_PLAN_REASON_BYTES], changes[512] = "";
    const qd_plan *lean = &search->leanest;
    if (search->tried == 0)
        return refuse_untried(planner, search);
    for (int i = 0; i < REMEDIES; i++) {
        int rc = try_remedy(planner, search, &remedies[i], changes, sizeof changes);
        if (rc)
            return rc;
    }
    int rc = try_more_ranks(planner, search, changes, sizeof changes);
    if (rc)
        return rc;
    return qd_error_set(QD_ECONFIG,
                        "%s does not fit on %" PRId64
                        " rank(s) of %s: the leanest layout (%s) needs %.2f GiB of "
                        "the %.2f GiB that a rank has, most of it %s; %s%s",
                        planner->profile->job->name, search->ranks, planner->hardware->name,
                        qd_plan_layout_text(&lean->layout, layout, sizeof layout),
                        gib(lean->memory_bytes), gib(planner->hardware->memory_bytes),
                        qd_plan_memory_names[greatest(lean->memory, QD_PLAN_MEMORIES)],
                        changes[0] ? "it would fit with " : "no more ranks would help", changes);
}
