/*
 * policy.h: the table of policies: in which order jobs wait, and who starts (or makes room) now.
 * Which ranks a job gets is the placement's business (placement.h), what a start means
 * lifecycle.c's. A new policy is one file and one row in policy.c.
 */
#ifndef QD_SCHEDULER_POLICY_H
#define QD_SCHEDULER_POLICY_H

#include <stdbool.h>
#include <stdint.h>

#include "scheduler/core.h"
#include "scheduler/jobs.h"

/* Who may start before the head of the queue; what a forecast goes by. */
typedef enum {
    QD_PASSING_NONE,     /* nobody */
    QD_PASSING_HARMLESS, /* who does not delay it */
    QD_PASSING_BLIND,    /* order and starts follow from what nobody can foresee */
} qd_passing;

typedef struct qd_policy {
    const char *name;
    const char *summary; /* one line, for people */

    /* Lanes of the queue (queue.h), and a job's. 0 and NULL: there is one. */
    int lanes;
    int (*lane)(const qd_core *core, const qd_job_record *job);

    /* The place of a pending job in its lane: lower starts earlier, equal by job number. Asked
     * when it enters the queue and by qd_job_requeue. */
    int64_t (*key)(const qd_core *core, const qd_job_record *job);

    /* Called just before a job takes a place in the queue, and just after it has left it for good.
     * NULL: nothing to note. */
    void (*enters)(qd_core *core, qd_job_record *job);
    void (*leaves)(qd_core *core, qd_job_record *job);

    /* A job that runs goes on, on other ranks: just before that. NULL: nothing to note. */
    void (*resizes)(qd_core *core, qd_job_record *job);

    /* The predicted run time of a job in the queue is another one now; it takes its place anew
     * after this. NULL: nothing to note. */
    void (*revised)(qd_core *core, qd_job_record *job);

    /*
     * Starts pending jobs (qd_job_start: of each at least its least ranks, all together no more
     * than are free) and, if it preempts, has running ones save (qd_job_preempt). Called at the end
     * of every instant, with jobs pending and all workers there. A pure function of the core's
     * state: replay depends on it.
     */
    void (*decide)(qd_core *core);

    /* Sets what the lanes of the queue may hold (quotas.h), after a start. NULL: it knows no
     * quotas. */
    void (*set_room)(qd_core *core);

    /* When it wants to decide again though nothing happens; QD_NEVER. NULL: never. */
    int64_t (*wake_ns)(const qd_core *core);

    qd_passing passing;
    bool preempts; /* decide may call qd_job_preempt */
    bool by_class; /* and goes by preemption.h, where the settings say so */
    bool plans;    /* decide is qd_decide_conservative */
} qd_policy;

extern const qd_policy qd_policy_fifo;         /* policy_fifo.c */
extern const qd_policy qd_policy_sjf;          /* policy_sjf.c */
extern const qd_policy qd_policy_easy;         /* policy_easy.c */
extern const qd_policy qd_policy_conservative; /* policy_conservative.c */
extern const qd_policy qd_policy_multifactor;  /* policy_multifactor.c */
extern const qd_policy qd_policy_attained;     /* policy_attained.c */

/* All policies, and their names in the same order with NULL behind: for messages and for the
 * choices of a cluster file. */
extern const qd_policy *const qd_policies[];
extern const char *const qd_policy_names[];

/* The index of the policy of that name. QD_ECONFIG when there is none; the error says which there
 * are. */
int qd_policy_find(const char *name);

/*
 * What policies are made of; each is a `decide` for a queue that is in order.
 *
 * qd_decide_in_order: nothing passes the head. The longest prefix whose least ranks fit starts, and
 * what is left over is dealt among those that start, round robin, up to each one's most. O(log n)
 * a start.
 *
 * qd_decide_easy: EASY backfill (Lifka, JSSPP 1995; Mu'alem and Feitelson, TPDS 2001). The head is
 * promised the first instant at which enough ranks are predicted to be free (its shadow time). A
 * later job, in order, starts now if it fits now and either ends by then or takes only ranks that
 * the head will not need then. Without a known shadow time nobody passes. O(log n) a start.
 *
 * qd_decide_conservative: conservative backfill (the same papers). Every job is planned when it
 * arrives, at the first start at which its ranks are free for its whole predicted run, and starts
 * when its time has come. Plans are kept while everything goes as predicted; else all jobs are
 * planned anew, in order. O(log n) an arrival, O(n log n) a new plan.
 *
 * Choosy jobs (together.h): a head of theirs is promised, by EASY, the first opening that is
 * predicted for it; conservative plans nothing as long as one waits, and goes by EASY. One that is
 * passed over since its ranks are not together costs O(log n) each time.
 */
void qd_decide_in_order(qd_core *core);
void qd_decide_easy(qd_core *core);
/* Its later jobs alone: those behind a head that cannot start, on up to now_free ranks. False: the
 * head has left the queue, since one of its name started; there is another one. */
bool qd_backfill(qd_core *core, const qd_queue_entry *head, int64_t now_free);
void qd_decide_conservative(qd_core *core);
int64_t qd_wake_overdue_ns(const qd_core *core); /* when the next prediction has to move */
int64_t qd_wake_conservative_ns(const qd_core *core);

/* Keys of orders that several policies share. */
int64_t qd_key_arrival(const qd_core *core, const qd_job_record *job);

#endif
