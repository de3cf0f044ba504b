/*
 * core_trial.h: random histories for the core. Two cores get the same events in lock-step under the
 * eyes of a witness, and sometimes a copy of the first takes the place of the second; events are
 * drawn from a source of numbers (a generator with a seed, or a fuzzer's bytes), mostly such as a
 * live cluster would send, sometimes nonsense.
 */
#ifndef QD_TEST_SCHEDULER_CORE_TRIAL_H
#define QD_TEST_SCHEDULER_CORE_TRIAL_H

#include "core_witness.h"

/* Where numbers come from: draw(context, n) gives one of 0 .. n-1 (n >= 1). */
typedef struct trial_source {
    uint32_t (*draw)(void *context, uint32_t n);
    void *context;
} trial_source;

/* splitmix64 (Steele, Lea, Flood, OOPSLA 2014); context is a uint64_t, its seed. */
uint32_t trial_draw_splitmix(void *seed, uint32_t n);

typedef struct trial {
    trial_source source;
    witness witness;
    qd_scheduling scheduling;
    bool has_places; /* ranks are on different hosts and islands */
    bool reserves;   /* this history has reservations */
    qd_core *core, *twin;
    qd_action_list actions; /* of the last event, from core */
    bool taken;             /* the last event was not refused */
    int64_t forecasts;      /* heard so far */
    char broken[512];       /* what went wrong; "" while all is well */
} trial;

/* A world of 1 to 12 workers, under any of the policies. */
bool trial_begin(trial *t, trial_source source);
/* Of 4 workers or more, which teams with quotas share. */
bool trial_begin_sharing(trial *t, trial_source source);
/* One of so many, under these settings. */
bool trial_begin_with(trial *t, trial_source source, int workers, const qd_scheduling *scheduling);
void trial_end(trial *t);

/* An event as the source pleases. */
qd_event trial_draw_event(trial *t);

/* Likewise where all workers have come and more jobs come than end. */
qd_event trial_draw_busy_event(trial *t);

/* Gives the event to both cores and checks everything. False: t->broken says what is wrong. */
bool trial_step(trial *t, const qd_event *event);

/* Lets all workers come, closes or drains, and has every worker answer until the core shuts down;
 * it must. False as above. */
bool trial_finish(trial *t, bool by_drain);

/* A history of one kind: workers (hosts of so many ranks each, 0: nobody says where they are) come,
 * then so many events as draw gives them. Returns how many actions of that kind had a reason that
 * begins so, or -1: t->broken says what is wrong. The trial was begun, and is ended here. */
typedef struct trial_plan {
    qd_event (*draw)(trial *t);
    int events, ranks_of_host;
    qd_action_kind kind;
    const char *reason;
} trial_plan;
int trial_live(trial *t, const trial_plan *plan);

#endif
