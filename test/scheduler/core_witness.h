/*
 * core_witness.h: an independent observer of a core, for property tests and fuzzing. It sees only
 * what goes in (events) and what comes out (actions, views), keeps its own simple books, and says
 * which rule of the scheduler was broken. It shares no code with the core.
 */
#ifndef QD_TEST_SCHEDULER_CORE_WITNESS_H
#define QD_TEST_SCHEDULER_CORE_WITNESS_H

#include <stdbool.h>
#include <stdint.h>

#include "scheduler/core.h"
#include "scheduler/scheduling.h"

enum {
    WITNESS_MAX_RANKS = 64,
    WITNESS_MAX_JOBS = 256,
    WITNESS_MAX_RESERVATIONS = 128,
    WITNESS_OUTSTAYED = -1
};

typedef struct witness_reservation {
    qd_reservation is; /* from, until: of the present occurrence, else of the next one */
    bool over, running;
} witness_reservation;

typedef struct witness_rank {
    bool ready, lost, drained;
    qd_place place;
    int64_t job;     /* 0: serves nobody */
    int64_t kept;    /* the job that goes on with it; 0: none */
    int64_t busy_ns; /* in a step, as its present attempt says; 0: not yet */
    int against;     /* so often in a row it was not what it is taken for */
    bool slow;
} witness_rank;

typedef struct witness_job {
    qd_submission submit;
    int64_t submit_ns;
    qd_job_state state;
    int attempt;
    int size, live;   /* members of the gang; those that have not ended */
    uint64_t members; /* of the newest attempt; bit rank - 1 */
    int ended[QD_OUTCOMES];
    bool cancelled; /* a CANCEL came while it ran, before any failure */
    bool stopped, aborted;
    bool timed_out; /* stopped since its limit was reached */
    bool held;
    bool limited;      /* the core says that its account may not hold it now */
    bool was_limited;  /* before the present event */
    bool waited;       /* for ranks, before the present event, if that is a RESIZE */
    bool makes_room;   /* stopped by a policy that preempts, or for a reservation */
    bool resized;      /* stopped, to go on on other ranks */
    bool shrinks;      /* for others */
    bool migrates_now; /* by the present event */
    bool grows_now;    /* by the present event, of its own */
    int resize_to;     /* and it still can, on so many; 0: not */
    int64_t way_by_ns; /* for a reservation, and has to be out by then, or what it gives; 0: not */
    /* Its newest start from the queue was in this reservation; WITNESS_OUTSTAYED: in one that is
     * over since, 0: in none. */
    int64_t inside;
    int64_t stopped_ns;
    int64_t grace_ns; /* from then on, if it makes room under preemption by class, or shrinks */
    bool cut;         /* and ended since its grace was over */
    int losses;       /* gangs that failed for a lost rank, since the last saved step */
    bool unwanted;    /* a CANCEL came after a failure */
    bool regroups;    /* ranks of the gang are let go when all members have ended */
    int64_t owed_until_ns;                    /* it waits, and is owed ranks */
    int64_t start_ns, run_before_ns, done_ns; /* done: as long as it takes on the least ranks */
    bool told;                                /* by its newest attempt */
    int64_t first_step, first_ns, told_ns, step, saved, steps;
    int64_t step_ns; /* as measured last, on so many ranks */
    int step_ranks;
    char first_failure[QD_EVENT_TEXT_BYTES + 64];
    int exit_code;
    bool started_now, stopped_now; /* by the present event */
    bool claimed;                  /* room had been made for it */
    int granted;                   /* ranks, if started_now */
} witness_job;

/* A team or user, as the settings have it. */
typedef struct witness_team {
    int parent; /* -1: none */
    bool has_members, lends;
    int64_t most_jobs, most_ranks; /* INT64_MAX: any number */
    int64_t quota;                 /* -1: none */
} witness_team;

typedef struct witness {
    int worker_ranks;
    const char *policy;
    bool preempts, by_class;
    int64_t min_run_ns, grace_ns; /* by_class */
    bool grow;
    int64_t grow_min_run_ns, grow_cost_ns;
    int64_t spare_wait_ns;
    bool swap, migrate;
    int64_t migrate_per_hour, migrations;
    double swap_ratio;
    int64_t patience_ns; /* of attained: after this, at the earliest, ranks are kept for a job */
    bool classes, loans; /* preemption by class is on; or of surplus, at least */
    witness_team teams[QD_TEAMS]; /* [team_count]; without a tree: of each account */
    int team_count;
    bool has_tree, has_quotas;
    witness_rank ranks[WITNESS_MAX_RANKS + 1]; /* by world rank */
    witness_job jobs[WITNESS_MAX_JOBS];        /* in order of submission */
    int job_count;
    witness_reservation reservations[WITNESS_MAX_RESERVATIONS];
    int reservation_count; /* over or not */
    int judged;            /* times at which ranks were to be kept for one, and were */
    int64_t reservation_grace_ns;
    int64_t time_ns;
    const qd_event *event; /* the present one */
    bool undecided;        /* more of them are coming at once */
    uint32_t epoch;        /* last one seen */
    bool closed, draining, shut_down;
    char broken[256]; /* the rule that was broken; "" while all is well */
} witness;

void witness_init(witness *w, int worker_ranks, const qd_scheduling *scheduling);

/* Whether the core must take the event (true) or refuse it, by the rules and the witness's books.
 */
bool witness_expects(const witness *w, const qd_event *event);

/* Takes note of an event the core took and of what it led to. False: w->broken says what is wrong.
 */
bool witness_see(witness *w, const qd_event *event, const qd_action_list *actions,
                 const qd_core *core);

/* Asks the core when pending jobs will start, after an instant: everyone in the queue is foretold a
 * start, or that nobody knows it, and no two of the starts contradict each other. False as above.
 */
bool witness_hears_forecast(witness *w, const qd_core *core);

witness_job *witness_find(const witness *w, int64_t job);

/* Members of job that have not ended, ascending; returns how many. */
int witness_live_members(const witness *w, int64_t job, int ranks[WITNESS_MAX_RANKS]);

#endif
