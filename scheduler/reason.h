/*
 * reason.h: why a job does not run, in the words of Slurm (job_reason_codes), and in a fixed order:
 * none matters before all stronger ones are gone.
 */
#ifndef QD_SCHEDULER_REASON_H
#define QD_SCHEDULER_REASON_H

typedef enum {
    QD_REASON_HELD,          /* JobHeldUser */
    QD_REASON_BEGIN,         /* BeginTime */
    QD_REASON_DEPENDENCY,    /* Dependency */
    QD_REASON_ARRAY,         /* JobArrayTaskLimit */
    QD_REASON_RESERVATION,   /* Reservation: the one it belongs to, or one in its way */
    QD_REASON_MAINTENANCE,   /* ReqNodeNotAvail, Reserved for maintenance */
    QD_REASON_ACCOUNT_JOBS,  /* AssocGrpJobsLimit: its account holds as many as it may */
    QD_REASON_ACCOUNT_RANKS, /* AssocGrpNodeLimit: likewise of ranks */
    QD_REASON_QUOTA,         /* AssocGrpQuota: beyond what its team owns, and others lend now */
    QD_REASON_NODES,         /* ReqNodeNotAvail: workers have not come yet */
    QD_REASON_RESOURCES,     /* Resources: too few ranks are free */
    QD_REASON_PLACE,         /* Constraints: enough ranks may be free, but not together */
    QD_REASON_PRIORITY,      /* Priority: others come first */
    QD_REASON_CLEANING,      /* Cleaning: of one that ends: members have not answered */
    QD_REASON_NEVER,         /* DependencyNeverSatisfied: of one that has ended */
    QD_REASON_LIMIT,         /* TimeLimit: of one that has ended */
    QD_REASONS
} qd_reason;

extern const char *const qd_reason_names[QD_REASONS];

#endif
