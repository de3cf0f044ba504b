/*
 * core.h: the scheduler's mind as a pure state machine: an event goes in, actions come out. It
 * reads no clock, file, socket or MPI; time comes with each event. The live server, the replay of
 * a journal and the tests all drive this one piece of code (DESIGN 3.2).
 *
 * All that happens at one instant is told before the core decides: ends, then arrivals, each but
 * the last with `more` set. So what is decided does not hang on the order in which simultaneous
 * things are told.
 *
 * Rules it keeps, whatever comes in: a rank serves at most one attempt; a gang is started whole or
 * not at all; a rank is free again only when its worker has acknowledged the end; a word about an
 * attempt that is over changes nothing; an event that cannot be true is refused with QD_EPROTO and
 * changes nothing.
 *
 * A running job becomes wider or narrower between two attempts: it is RESIZING, its members save
 * and end, RESIZE names the ranks that it goes on with, and they serve nobody until it does.
 */
#ifndef QD_SCHEDULER_CORE_H
#define QD_SCHEDULER_CORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "models/job.h"
#include "scheduler/place.h"
#include "scheduler/reservation_book.h"
#include "scheduler/scheduling.h"

/* States, named as Slurm names them. */
typedef enum {
    QD_STATE_PENDING,    /* waits for ranks */
    QD_STATE_RUNNING,    /* its gang trains */
    QD_STATE_RESIZING,   /* told to save; goes on at once on other ranks, as a new attempt */
    QD_STATE_COMPLETING, /* told to stop, or some members ended: waits for the rest */
    QD_STATE_COMPLETED,
    QD_STATE_FAILED,
    QD_STATE_CANCELLED, /* ended before it ran, or called off */
    QD_STATE_PREEMPTED, /* saved, can be resumed */
    QD_STATE_TIMEOUT,   /* ran for its limit; saved, can be resumed */
    QD_STATES
} qd_job_state;

/* "PENDING", ... */
extern const char *const qd_job_state_names[QD_STATES];

/* Whether a job in that state holds ranks: RUNNING, RESIZING, COMPLETING; and whether it has ended:
 * nothing can happen to it any more. */
bool qd_job_holds_ranks(qd_job_state state);
bool qd_job_has_ended(qd_job_state state);

typedef enum {
    QD_EVENT_WORKER_READY, /* rank, place */
    QD_EVENT_WORKER_LOST,  /* rank, text: why */
    QD_EVENT_SUBMIT,       /* submit */
    QD_EVENT_CLOSED,       /* no further submission will come */
    QD_EVENT_MEMBER_ENDED, /* job, attempt, rank, outcome, text */
    QD_EVENT_DRAIN,        /* save and stop everything, start nothing more; text: why */
    QD_EVENT_CANCEL,       /* job, text: why */
    QD_EVENT_HOLD,         /* job: is not considered until it is released */
    QD_EVENT_RELEASE,      /* job */
    QD_EVENT_LIMIT,        /* job, submit.limit_ns: its limit is another one from now on */
    QD_EVENT_PRIORITY,     /* job, submit.importance: its class is another one from now on */
    QD_EVENT_RESIZE,       /* job, submit.ranks_min: it is to run on so many ranks; text: why */
    QD_EVENT_RANK_DRAIN,   /* rank, text: why: it is given to nobody any more; who has it goes on */
    QD_EVENT_RANK_RESUME,  /* rank: it may be given again */
    QD_EVENT_PROGRESS,     /* job, attempt, step, saved, steps: how far it is */
    QD_EVENT_RESERVE,      /* reserve: ranks are kept from others (reservations.h) */
    QD_EVENT_UNRESERVE,    /* reserve.number: that is over, or will never be */
    QD_EVENT_RANK_TIME,    /* job, attempt, rank, busy_ns: so long a step keeps it busy */
    QD_EVENT_TIME,         /* nothing but that it is so late now */
    QD_EVENTS
} qd_event_kind;

extern const char *const qd_event_names[QD_EVENTS];

/* How one member's attempt ended. */
typedef enum {
    QD_OUTCOME_DONE,    /* all steps done */
    QD_OUTCOME_SAVED,   /* stopped as told; the run folder resumes */
    QD_OUTCOME_FAILED,  /* text says why */
    QD_OUTCOME_ABORTED, /* called off as told, nothing saved */
    QD_OUTCOMES
} qd_outcome;

enum { QD_AFTER_MOST = 4, QD_AFTER_BYTES = 112 };

/* What the core needs to know of a job; the rest of it is none of its business. Times in ns. */
typedef struct qd_submission {
    int64_t job; /* unique, ascending, > 0 */
    char name[QD_JOB_NAME_BYTES];
    int ranks_min, ranks_max; /* 1 <= min <= max */
    int ranks_step;      /* any gang has min ranks and a multiple of it, max too; 0 counts as 1 */
    int64_t estimate_ns; /* run time on ranks_min, a guess and no limit; 0: none */
    int64_t limit_ns;    /* run time of all attempts together, enforced; 0: none */
    int64_t deadline_ns; /* when it is wanted, on the events' clock; 0: none */
    int importance;      /* class: higher is more important; -100 .. 100 */
    int nice;            /* points off the priority, -1000000 .. 1000000 */
    int account;         /* whose share it uses, 0 .. QD_ACCOUNTS - 1 */
    int keeps_ranks;     /* 1: it is never told to make room */
    int tells;           /* 1: it tells of its steps (PROGRESS) */
    int held;            /* 1: not considered until it is released */
    int64_t begin_ns;    /* nor before; 0: at once */
    /* Jobs it comes after, "ok:3,any:5,singleton", see gates.h; "": none. */
    char after[QD_AFTER_BYTES];
    int64_t array;  /* number of the first job of the array it belongs to; 0: none */
    int array_most; /* of the first job: so many of the array may be in the queue or run; 0: all */
    qd_demand demand;    /* of the ranks it gets */
    int64_t reservation; /* number of the one it belongs to; 0: none */
} qd_submission;

enum { QD_ACCOUNTS = 1024 };

#define QD_EVENT_TEXT_BYTES 512

typedef struct qd_event {
    qd_event_kind kind;
    int64_t time_ns; /* of the caller's clock; never falls */
    bool more;       /* another event of this instant follows: decide only after that one */
    int64_t job;
    int attempt;
    int rank;
    qd_outcome outcome;
    int exit_code;       /* MEMBER_ENDED with FAILED: the QD_E code of the failure */
    int64_t step, saved; /* PROGRESS: steps done in all, and of them saved; saved <= step */
    int64_t steps;       /* PROGRESS: that the job takes in all; 0: not known */
    int64_t busy_ns;     /* RANK_TIME, > 0: waiting for others left out */
    qd_place place;      /* WORKER_READY */
    qd_submission submit;
    qd_reservation reserve;
    char text[QD_EVENT_TEXT_BYTES];
} qd_event;

typedef enum {
    QD_ACTION_START,     /* send each of ranks its place in the gang of (job, attempt) */
    QD_ACTION_STOP,      /* tell ranks to save at the next step boundary and end */
    QD_ACTION_ABORT,     /* tell ranks to end at once */
    QD_ACTION_RESIZE,    /* ranks: kept for the next attempt of job, and for nobody else */
    QD_ACTION_JOB_STATE, /* job changed to state, because of reason */
    QD_ACTION_SHUTDOWN,  /* nothing is left to do: let the workers go */
    QD_ACTIONS
} qd_action_kind;

extern const char *const qd_action_names[QD_ACTIONS];

typedef struct qd_action {
    qd_action_kind kind;
    int64_t job;
    int attempt;    /* of the job, from 1; 0: it never started */
    uint32_t epoch; /* START, STOP, ABORT: of the attempt; from 1, never used again in this world */
    const int *ranks; /* START, STOP, ABORT, RESIZE: in the order of the gang; owned by the list */
    int rank_count;
    qd_job_state state;
    const char *reason; /* of the decision; NULL for SHUTDOWN; owned by the list */
    int exit_code;      /* JOB_STATE with FAILED: the QD_E code */
} qd_action;

/* What one event led to, in order. Valid until the next qd_core_handle or destroy. */
typedef struct qd_action_list {
    const qd_action *actions;
    int count;
} qd_action_list;

typedef struct qd_core qd_core;

/* A core for world ranks 1 .. worker_ranks (>= 1), none of them ready yet. The settings are copied.
 * QD_ENOMEM. */
int qd_core_create(int worker_ranks, const qd_scheduling *scheduling, qd_core **core);
void qd_core_destroy(qd_core *core);

/*
 * Takes an event. QD_EPROTO (impossible event, nothing changed), QD_ENOMEM (nothing changed),
 * QD_EINTERNAL (a fault of ours: the core takes no further event). *actions is untouched on error.
 */
int qd_core_handle(qd_core *core, const qd_event *event, qd_action_list *actions);

/* Another core in the same state: it answers what would be, while this one lives on. QD_ENOMEM. */
int qd_core_copy(const qd_core *core, qd_core **copy);

/* When the core wants to be told of the time (QD_EVENT_TIME) if nothing else happens before;
 * INT64_MAX: never. */
int64_t qd_core_wake_ns(const qd_core *core);

/* A look at a job; pointers as in qd_action. */
typedef struct qd_job_view {
    int64_t job;
    const char *name;
    qd_job_state state;
    const char *reason;
    int attempt;
    const int *ranks;
    int rank_count;
    int preemptions; /* so often it was told to make room; none of them is a failure */
    int resizes;     /* so often it went on, on other ranks than before, without waiting */
    int lost_ranks;  /* so many were lost while it held them */
} qd_job_view;

/* Ranks that are free, and of them those in islands that are not free as a whole: no use for a gang
 * as wide as an island. Zeros before all workers have come. */
typedef struct qd_free_view {
    int free, broken;
} qd_free_view;

qd_free_view qd_core_free(const qd_core *core);

int qd_core_job_count(const qd_core *core);
void qd_core_job(const qd_core *core, int i, qd_job_view *view);

/* A look at a reservation that is not over; false: there are no more. */
typedef struct qd_reservation_view {
    qd_reservation is; /* from, until: of the present occurrence, else of the next one */
    bool running;
    int has; /* ranks that it holds; fewer than is.ranks while it runs: it is degraded */
} qd_reservation_view;

bool qd_core_reservation(const qd_core *core, int i, qd_reservation_view *view);

/* A digest of the complete state: equal states give equal digests (for replay tests). */
uint64_t qd_core_digest(const qd_core *core);

#endif
