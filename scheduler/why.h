/*
 * why.h: why a job stands as it does: all reasons, the strongest first, each with the jobs behind
 * it, since when and until when; when the job is predicted to start or to end; and what would be if
 * it asked for something else. A pure function of the core, for those who ask: no decision hangs on
 * it. O(n log n) for n jobs that have not ended.
 */
#ifndef QD_SCHEDULER_WHY_H
#define QD_SCHEDULER_WHY_H

#include "runtime/text.h"
#include "scheduler/core.h"
#include "scheduler/reason.h"
#include "scheduler/reservation_book.h"

/* A job that stands in the way. */
typedef struct qd_blocker {
    int64_t job;
    int64_t until_ns; /* predicted end, if it runs; INT64_MAX: nobody knows */
    bool overdue;     /* it has run for longer than was predicted when it started */
} qd_blocker;

enum { QD_WHY_BLOCKERS = 8 };

typedef struct qd_why_reason {
    qd_reason reason;
    int64_t since_ns;
    int64_t until_ns;  /* predicted to hold until then; INT64_MAX: unknown */
    int ranks;         /* NODES, CLEANING: awaited; RESOURCES: free ones; PLACE: free ones that are
                          together; QUOTA: it may have */
    int most;          /* PLACE: that could be together if all made room that may be told to */
    const char *team;  /* ACCOUNT_*, QUOTA: whose; "" where they have no names; of the core */
    int blocker_count; /* all; the first of them are in blockers */
    qd_blocker blockers[QD_WHY_BLOCKERS];
    char reservation[QD_RESERVATION_NAME_BYTES]; /* RESERVATION, MAINTENANCE: its name */
} qd_why_reason;

typedef struct qd_why {
    int64_t job;
    qd_job_state state;
    int64_t since_ns;         /* in that state, or at its gate */
    int64_t now_ns;           /* of the last event */
    int64_t age_ns;           /* PENDING: waiting time that counts for its priority */
    int64_t start_ns, end_ns; /* real or predicted; INT64_MAX: unknown, or it has not run */
    int ranks;                /* that it holds; PENDING: that it needs */
    char text[QD_EVENT_TEXT_BYTES + 64]; /* what the journal says of its state */
    char demand[128]; /* PENDING and choosy: what it needs, and how many ranks at most there are so
                       */
    int count;
    qd_why_reason
        reasons[QD_REASONS + 1]; /* [count]; none: it runs, has ended, or was not tried yet */
} qd_why;

/* QD_EPROTO: there is no such job; QD_ENOMEM. */
int qd_why_ask(const qd_core *core, int64_t job, qd_why *why);

/* What a pending job might ask for instead. */
typedef struct qd_what_if {
    bool importance_is_set, ranks_is_set, time_is_set;
    int importance;
    int ranks;       /* exactly so many; its time stays the same */
    int64_t time_ns; /* estimate and limit */
} qd_what_if;

/*
 * How the job would stand if it asked for that from now on: on a copy of the core, which decides
 * anew. RUNNING: it would start at once. QD_EPROTO: there is no such job, it is not pending, or the
 * values are not such as a submission may have; QD_ENOMEM.
 */
int qd_why_if(const qd_core *core, int64_t job, const qd_what_if *what_if, qd_why *why);

/* For people, some lines; times in seconds from why->now_ns on. */
void qd_why_format(const qd_why *why, qd_text *out);

#endif
