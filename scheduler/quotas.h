/*
 * quotas.h: who holds ranks that he owns, and who holds such as others own (teams.h). What a team
 * owns and does not use may be borrowed by jobs that can be preempted, unless it does not lend; and
 * is called back by preemption (preemption.h), whatever the classes of the jobs.
 *
 * A team holds the ranks of its running jobs that were not told to make room, those with which
 * others go on (resize.h), and those that its pending jobs have a claim to. Beyond its quota it
 * borrows. It may borrow more only while nothing
 * that another team is entitled to is waiting: else it would take back what it has just given.
 *
 * What a running reservation has is outside of all this: it is nobody's meanwhile, and who runs in
 * it holds none of his team's.
 *
 * What a team owns it can always get, if only its borrowers are old enough to be preempted: as all
 * that is held within quotas is not more than the cluster, those beyond hold enough. Nobody calls
 * back from a team that holds no more than its quota, and who has called back is within its own; so
 * no two call back from each other (compare Kueue, cohorts and reclaimWithinCohort).
 */
#ifndef QD_SCHEDULER_QUOTAS_H
#define QD_SCHEDULER_QUOTAS_H

#include <stdbool.h>
#include <stdint.h>

#include "scheduler/jobs.h"
#include "scheduler/teams.h"

typedef struct qd_quotas qd_quotas;

/* NULL: no memory. tree: outlives it. destroy accepts NULL. */
qd_quotas *qd_quotas_create(const qd_team_tree *tree);
void qd_quotas_destroy(qd_quotas *quotas);

/* The job holds, or has a claim to, so many ranks now. Nothing without quotas. O(levels). */
void qd_quotas_hold(qd_core *core, qd_job_record *job, int ranks);

/* A job that comes from another core. */
void qd_quotas_take_over(qd_core *core, qd_job_record *job);

/* So many ranks its account may still hold within all quotas. May be negative. O(levels). */
int64_t qd_quotas_own(const qd_core *core, int account);

/* The team whose quota that is. */
int qd_quotas_bound(const qd_core *core, int account);

/* So many with what it may borrow; as it is wanted (below). O(levels). */
int64_t qd_quotas_room(const qd_core *core, int account);

/* So many that nobody holds or keeps: with more than these it would call back. O(levels). */
int64_t qd_quotas_unheld(const qd_core *core, int account);

/* The widest job that the account could ever have, be everything idle. */
int64_t qd_quotas_most(const qd_core *core, const qd_job_record *job);

/* Forgets who waits; then, for all accounts with waiting jobs, what the narrowest of them needs. */
void qd_quotas_nobody_waits(qd_core *core);
void qd_quotas_waits(qd_core *core, int account, int64_t ranks);
/* Likewise of a job whose claim is counted already. */
void qd_quotas_claims(qd_core *core, int account);

typedef enum {
    QD_SAME_SIDE, /* no quota lies between the two */
    QD_BORROWER,  /* it holds what the other one's team owns */
    QD_BORROWERS, /* both are, or would be, beyond their quotas */
    QD_OWNER,     /* it holds no more than its team owns */
} qd_standing;

/* So many ranks more its teams can have through a running job, or one about to start: for good if
 * it keeps its ranks, else such as are idle and may be borrowed, too. As qd_quotas_room. */
int64_t qd_quotas_more(const qd_core *core, const qd_job_record *job);

/* How a running job, or one with a claim, stands towards a pending one that has none. O(levels). */
qd_standing qd_quotas_standing(const qd_core *core, const qd_job_record *holder,
                               const qd_job_record *job);

/* So many ranks the holder's side has beyond its quotas, as the job sees it; QD_SAME_SIDE: any
 * number. O(levels). */
int64_t qd_quotas_lent(const qd_core *core, const qd_job_record *holder, const qd_job_record *job);

#endif
