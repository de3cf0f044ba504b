/*
 * jobs.h: the job table: every job of the session with its state, and lists of those that wait and
 * those that hold ranks, so that no event costs more because many jobs have ended. It knows which
 * changes of state are legal; what leads to them is lifecycle.c's business.
 */
#ifndef QD_SCHEDULER_JOBS_H
#define QD_SCHEDULER_JOBS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "scheduler/core.h"
#include "scheduler/gang.h"
#include "scheduler/profile.h"
#include "scheduler/queue.h"

/* A reason may quote the text of an event with a few words around it. */
#define QD_REASON_BYTES (QD_EVENT_TEXT_BYTES + 64)

/* What keeps a pending job out of the queue (gates.h), the strongest first. */
typedef enum {
    QD_GATE_OPEN, /* nothing: it is in the queue */
    QD_GATE_HELD,
    QD_GATE_BEGIN,
    QD_GATE_AFTER,
    QD_GATE_SINGLETON,
    QD_GATE_NODES,
    QD_GATE_ARRAY,
    QD_GATE_RESERVATION,
    QD_GATE_ACCOUNT,
} qd_gate;

typedef enum { QD_AFTER_ANY, QD_AFTER_OK, QD_AFTER_NOT_OK } qd_after;

/* One job that another comes after; in a list of the former. */
typedef struct qd_after_link {
    struct qd_job_record *waiter;
    struct qd_after_link *next;
    qd_after kind;
} qd_after_link;

/* How far a job is, as far as it has told. */
typedef struct qd_progress {
    int64_t step, saved;          /* done in all, and of them saved */
    int64_t steps;                /* that it takes in all; 0: not known */
    int64_t saved_ns;             /* when that was said */
    bool told;                    /* the newest attempt has made a step */
    int64_t first_step, first_ns; /* its first word */
    int64_t told_ns;              /* and its newest */
    int64_t step_ns;              /* a step took so long, of this attempt or an earlier one; 0 */
    int step_ranks;               /* on so many ranks */
} qd_progress;

/* What policy attained keeps of a job (policy_attained.c). */
typedef struct qd_attained {
    int queue;               /* from 0 */
    int64_t since_ns;        /* since when it has been in that queue */
    int64_t service_rank_us; /* rank-microseconds held since the last promotion */
    int64_t waited_ns;       /* time waited since then */
    int64_t counted_ns;      /* up to when the above are counted */
    bool claims;             /* pending: ranks are being freed for it */
    bool young;              /* running: in its first quantum; set at each look */
} qd_attained;

/* In which trees of its account and the teams above it a job is (limits.h). */
typedef enum { QD_ACCOUNT_NONE, QD_ACCOUNT_WAITING, QD_ACCOUNT_QUEUED } qd_account_place;

typedef struct qd_queued_place {
    qd_tree_node node; /* first: a node is a place */
    struct qd_job_record *job;
} qd_queued_place;

typedef struct qd_job_record {
    int64_t job;
    qd_submission submit; /* as submitted, its step 1 or more */
    qd_job_state state;
    char reason[QD_REASON_BYTES];          /* of the state; of the coming end once that is known */
    int attempt;                           /* the newest, from 1; 0: never started */
    uint32_t epoch;                        /* of that attempt */
    qd_gang gang;                          /* of that attempt */
    struct qd_job_record *previous, *next; /* in the list of its state */
    bool
        preempted; /* told to save, and to come back into the queue; or, with resize_to, to go on */
    bool makes_way; /* and that for a reservation: nobody claims what it gives */
    int resize_to;  /* RESIZING: on so many ranks, or what is left of them; else 0 */
    int reserved;   /* RESIZING: so many of them it does not have yet; behind the gang in ranks */
    int most_ranks; /* it may grow up to so many */
    int resizes;
    int64_t told_ns, grace_ns;   /* when it was told to, and how long it may take for it */
    bool cut_off;                /* its grace was over: it was ended as it was */
    int preemptions, lost_ranks; /* so often; so many while it held them */
    int losses;                  /* gangs that failed for a lost rank since its last saved step */
    int64_t owed_until_ns;       /* PENDING: it is owed ranks until then (regroup.h) */
    int claim;                   /* PENDING: > 0, ranks are being freed for it */
    int claim_ranks;             /* so many */
    int claimed;                 /* PENDING: ranks, in `ranks`, that its claim is to, one by one */
    double lost_rank_s;          /* scratch of preemption.c */
    int room;                    /* scratch of preemption_together.c, 0 between its calls */
    bool chosen;                 /* the same */
    int gives, surplus;          /* scratch of preemption.c */
    bool owes;                   /* likewise */
    bool timed_out;              /* told to save since its limit is reached */
    int64_t limit_ns;            /* the newest; 0: none */

    qd_queue_entry entry; /* while PENDING */
    qd_tree_node due;     /* in the timetable: of ends while it holds ranks, else of starts */
    int64_t due_ns;       /* predicted end, or planned start; QD_NEVER */
    int64_t planned_end_ns;
    int planned_ranks; /* in the profile, at due_ns */
    int kept_ranks;    /* RESIZING: so many go on, and are free at kept_ns */
    int64_t kept_ns;
    int64_t start_ns;      /* of the newest attempt */
    int64_t run_ns;        /* predicted for that attempt when it started */
    int64_t run_before_ns; /* run time of earlier attempts */
    int64_t done_ns;       /* and as long as that would have taken on the least ranks */
    int64_t pending_ns;    /* since when it has been PENDING, this time */
    int64_t waited_ns;     /* in earlier times */
    qd_tree_node move;     /* in the core's moves while PENDING, else its alarms */
    int64_t move_ns;
    int64_t submit_ns;  /* when it was submitted */
    int64_t changed_ns; /* since when it has been in its state, and at its gate */
    int64_t held_ns;    /* since when it is held */
    qd_gate gate;
    bool held;
    int comes_after;                   /* jobs that have not ended */
    const struct qd_job_record *never; /* its end keeps this one from ever running */
    qd_after_link after[QD_AFTER_MOST];
    qd_after_link *dependants;
    struct qd_job_record *array; /* the first job of its array; NULL: none */
    bool counts;                 /* in array->array_open */
    int array_open;              /* of its first job: members past this gate that have not ended */
    qd_tree array_waiters;       /* of its first job: those at gate ARRAY, by number */
    qd_tree_node in_array;       /* at gate ARRAY */
    int64_t inside;              /* holds ranks of this reservation; 0: of none */
    bool waits_inside;           /* at gate RESERVATION, in the tree of its reservation */
    qd_tree_node in_reservation;
    int counted_ranks; /* of its account's use (limits.h); 0: it does not count there */
    qd_account_place account_place;
    int waits_at;                              /* WAITING: for this team */
    qd_tree_node in_account;                   /* WAITING */
    qd_queued_place in_queued[QD_TEAM_LEVELS]; /* QUEUED: of the team at each level */
    int quota_ranks;                           /* that its teams hold through it (quotas.h) */
    bool is_singleton;                         /* it runs alone of its name (singleton.h) */
    bool is_named;                             /* in the tree of names */
    qd_tree_node in_names;
    double charged_rank_s; /* for its newest attempt; shares.h */
    qd_progress progress;
    qd_attained attained; /* policy_attained.c */
    int ranks[];          /* [gang.size], in its order; room: qd_jobs_room */
} qd_job_record;

typedef struct qd_job_list {
    qd_job_record *first, *last;
    int count;
} qd_job_list;

/* Readable by all of scheduler/, changed by the functions below only, and made by core_copy.c. */
typedef struct qd_job_table {
    qd_job_record **all; /* [count], ascending by number */
    int count, capacity;
    qd_job_list pending;  /* in the queue */
    qd_job_list blocked;  /* pending, but kept out of the queue by a gate */
    qd_job_list active;   /* that hold ranks, in order of their starts */
    qd_job_record *spare; /* reserved for the next submission */
} qd_job_table;

/* A table of zeros is empty. */
void qd_jobs_fini(qd_job_table *table);

/* Ranks that a record of such a job must have room for, of so many in all: those it has, and those
 * it gets beside them when it is resized (some of its own may be drained), or moves. */
int qd_jobs_room(const qd_submission *submission, int ranks, bool moves);

/* Makes room for one more job of a gang of at most max_ranks, so that the next qd_jobs_add cannot
 * fail. QD_ENOMEM, nothing changed that can be seen. */
int qd_jobs_reserve(qd_job_table *table, int max_ranks);

/* Adds a job, PENDING, with the memory reserved last. submission->job exceeds all others. */
qd_job_record *qd_jobs_add(qd_job_table *table, const qd_submission *submission);

/* The job of that number; NULL when there is none. O(log n). */
qd_job_record *qd_jobs_find(const qd_job_table *table, int64_t job);

/* Highest number so far; 0 when there is no job. */
int64_t qd_jobs_last_number(const qd_job_table *table);

/* Whether job ran on rank in its newest attempt. O(gang). */
bool qd_job_is_member(const qd_job_record *job, int rank);

/* Whether a job may go from one state to the other. */
bool qd_job_may_become(qd_job_state from, qd_job_state to);

/* Moves a PENDING job to the list of that gate. */
void qd_jobs_set_gate(qd_job_table *table, qd_job_record *job, qd_gate gate);

/* Changes the state and moves the job to the list of that state. QD_EINTERNAL for a change that is
 * not legal: a fault of ours. */
int qd_jobs_set_state(qd_job_table *table, qd_job_record *job, qd_job_state state);

#endif
