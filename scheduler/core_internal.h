/*
 * core_internal.h: the core's state and the seams between the files that share it: core.c
 * (dispatch, views), core_events.c (one pair of functions for each event), lifecycle.c (what
 * happens to a job), core_digest.c, core_copy.c, and the policies with what they are made of:
 * in_order.c, easy.c, conservative.c. Nobody else includes this.
 */
#ifndef QD_SCHEDULER_CORE_INTERNAL_H
#define QD_SCHEDULER_CORE_INTERNAL_H

#include "scheduler/actions.h"
#include "scheduler/core.h"
#include "scheduler/frontier.h"
#include "scheduler/jobs.h"
#include "scheduler/limits.h"
#include "scheduler/moves.h"
#include "scheduler/pace.h"
#include "scheduler/policy.h"
#include "scheduler/queue.h"
#include "scheduler/quotas.h"
#include "scheduler/ranks.h"
#include "scheduler/reservation_book.h"
#include "scheduler/shares.h"
#include "scheduler/singleton.h"
#include "scheduler/teams.h"
#include "scheduler/timetable.h"

struct qd_core {
    qd_scheduling scheduling;
    const qd_policy *policy;
    qd_rank_table ranks;
    qd_job_table jobs;
    qd_queue queue;            /* the pending jobs, as the policy orders them */
    qd_timetable timetable;    /* what is expected of the jobs that have not ended */
    int64_t now_ns;            /* time of the last event that was taken */
    qd_moves moves;            /* of pending jobs within the queue */
    qd_moves alarms;           /* when running jobs reach their limit, and blocked ones may begin */
    qd_shares shares;          /* what the accounts have used */
    qd_pace *paces;            /* [ranks.count + 1], by world rank */
    qd_book book;              /* reservations */
    qd_team_tree *teams;       /* who is above which account; does not change */
    qd_account_use *accounts;  /* [teams->count], what they hold; NULL: without limits */
    qd_quotas *quotas;         /* what is held of what teams own; NULL: without quotas */
    qd_names names;            /* jobs that have not ended, by account and name */
    int saving_ranks;          /* that gangs give up once they have saved, as they were told to */
    int claimed_ranks;         /* free or saving, kept for those that they make room for */
    int claims;                /* number of the newest claim; 0: there is none */
    int64_t next_room_ns;      /* when somebody may be told to make room who may not be yet */
    int choosy;                /* jobs of the queue that do not take any ranks (together.h) */
    int64_t next_growth_ns;    /* when somebody may grow who may not yet */
    int64_t migrated_since_ns; /* migration.c: when the present hour began */
    int migrated;              /* gangs that moved in it */
    int64_t planned_up_to;     /* job number; conservative.c */
    int64_t next_look_ns;      /* when a policy with a quantum looks again at who runs */
    qd_job_record *first_ended, *last_ended; /* by this event; linked by next (gates.h) */
    uint32_t epoch;                          /* of the newest attempt of any job */
    bool closed, draining, shut_down;
    char drain_reason[QD_EVENT_TEXT_BYTES];

    /* Not state: room for the event at hand. */
    qd_actions actions;
    int *members;            /* [ranks.count] */
    int *targets;            /* [ranks.count]; migration.c */
    qd_frontier *frontier;   /* speeds planning up, and changes nothing; conservative.c */
    qd_job_record **running; /* [2 * ranks.count] */
    qd_job_record **waiting; /* [waiting_capacity] */
    size_t waiting_capacity;
    int fault; /* QD_EINTERNAL once an invariant of ours was broken */
};

/* The words of ours in a reason, numbers and final NUL included; the text of an event comes on
 * top. */
enum { QD_REASON_WORDS_BYTES = 64 };

typedef struct qd_event_handler {
    /* Whether the event can be true: QD_EPROTO if not. Changes nothing. */
    int (*check)(const qd_core *core, const qd_event *event);
    /* Allocates what apply needs beyond actions; QD_ENOMEM. NULL: nothing. */
    int (*reserve)(qd_core *core, const qd_event *event);
    /* Changes the state and adds actions. Cannot fail. */
    void (*apply)(qd_core *core, const qd_event *event);
    bool whole_queue; /* apply may change every job that has not ended, not just one */
} qd_event_handler;

extern const qd_event_handler qd_event_handlers[QD_EVENTS];

/*
 * lifecycle.c. Each changes the job and adds the actions that follow from it. text is copied; an
 * empty one is replaced by plain words.
 */
void qd_job_submitted(qd_core *core, const qd_submission *submission);
/* Of a PENDING job; why it is this one's turn: at most QD_REASON_WORDS_BYTES. */
void qd_job_start(qd_core *core, qd_job_record *job, int ranks, const char *why);
/* Likewise in a reservation, on its least ranks, which are in job->ranks. */
void qd_job_start_inside(qd_core *core, qd_job_record *job, int64_t reservation, const char *why);
void qd_job_stop(qd_core *core, qd_job_record *job,
                 const char *text); /* of one that has not ended */
/* Has RUNNING jobs whose limit is reached save and end, and lets in those whose begin has come. */
void qd_core_ring_alarms(qd_core *core);
/* It is held from now on, or released. */
void qd_job_hold(qd_core *core, qd_job_record *job, bool held);
/* Its limit is another one from now on; 0: none. */
void qd_job_limit(qd_core *core, qd_job_record *job, int64_t limit_ns);
/* Its class is another one from now on. */
void qd_job_priority(qd_core *core, qd_job_record *job, int importance);

/* The newest attempt of a job that holds ranks says how far it is. */
void qd_job_told(qd_core *core, qd_job_record *job, const qd_event *progress);
/* Has a RUNNING job saved and put back into the queue, with its age. One that takes longer than
 * grace_ns (QD_NEVER: any time) is ended as it is. */
void qd_job_preempt(qd_core *core, qd_job_record *job, int64_t grace_ns, const char *text);
/* Has a RUNNING job save and go on at once on so many ranks, a size that it may have: no more than
 * it has in service and nobody else claims. cut: one that takes longer than the grace is ended as
 * it is, and goes on from what it had saved. */
void qd_job_resize(qd_core *core, qd_job_record *job, int ranks, bool cut, const char *text);
/* Has a RUNNING job, or one that is RESIZING, out of the way of a reservation by by_ns: a RUNNING
 * one goes on with so many ranks only, or (0), as any other does, back into the queue. What it
 * gives is for nobody that room is made for. */
void qd_job_make_way(qd_core *core, qd_job_record *job, int ranks, int64_t by_ns, const char *text);

/* Has a RUNNING job, all of its ranks in service, save and go on at once on these ranks, as many as
 * it has: its own, or free ones. */
void qd_job_move(qd_core *core, qd_job_record *job, const int *ranks, const char *why);

/* The time is up that something was predicted for: it is predicted anew. Of a job that holds
 * ranks. */
void qd_job_predict_end(qd_core *core, qd_job_record *job);

void qd_job_call_off(qd_core *core, qd_job_record *job, const char *text); /* of any job */

/* What the submission of a PENDING job asks for is something else now: it takes its place anew. */
void qd_job_revised(qd_core *core, qd_job_record *job);

/* A copy in which that job could be given so many ranks. */
int qd_core_copy_for(const qd_core *core, int64_t job, int ranks, qd_core **copy);

/* A member, whose rank is no longer held, has ended. spoken_for: the rank goes to nobody else,
 * since it is drained or kept. exit_code: with FAILED. */
void qd_job_member_ended(qd_core *core, qd_job_record *job, int rank, bool spoken_for,
                         qd_outcome outcome, int exit_code, const char *text);

/* One of the ranks it holds will go to nobody once it is free, or will after all. */
void qd_job_rank_drained(qd_core *core, qd_job_record *job, bool drained);

/* What keeps a pending job out of the queue, or no longer does, has changed. */
void qd_job_reconsider(qd_core *core, qd_job_record *job);

/* Says what keeps a job at its gate, which has changed though the gate has not. */
void qd_job_set_gate_reason(const qd_core *core, qd_job_record *job);

/* A pending job's place in the queue is another one now. */
void qd_job_requeue(qd_core *core, qd_job_record *job);

/* The job in whose record an entry of the queue is. */
qd_job_record *qd_job_of_entry(const qd_queue_entry *entry);

/* Ends the job if it is pending and the living workers are too few for it, now and for ever. */
void qd_job_cancel_if_too_wide(qd_core *core, qd_job_record *job);

#endif
