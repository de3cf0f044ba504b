/*
 * scheduling.h: by which policy a session schedules, and the settings of all policies: the
 * `scheduler` part of the cluster file. Plain numbers; written into the journal, since a replay
 * needs the same ones.
 */
#ifndef QD_SCHEDULER_SCHEDULING_H
#define QD_SCHEDULER_SCHEDULING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "runtime/schema.h"
#include "runtime/text.h"

/* Queues of attained service; the last one is without a limit. */
enum { QD_ATTAINED_QUEUES = 4 };

/* Who may be told to make room for whom. */
typedef enum {
    QD_PREEMPT_NONE,    /* nobody */
    QD_PREEMPT_CLASS,   /* jobs of a lower importance for those of a higher one */
    QD_PREEMPT_SURPLUS, /* elastic jobs, with what they have beyond their least ranks */
} qd_preempt_by;

/* Teams and users in all; levels of them; bytes of a name. */
enum { QD_TEAMS = 512, QD_TEAM_LEVELS = 6, QD_TEAM_NAME_BYTES = 32 };

/* A team, or a user, as the cluster file has it (scheduler.teams); what it means: teams.h. */
typedef struct qd_team_entry {
    char name[QD_TEAM_NAME_BYTES];
    char parent[QD_TEAM_NAME_BYTES]; /* "none": it is in no other team */
    qd_optional_int quota;           /* ranks that it owns */
    bool lends;                      /* idle ones of them to others */
    double shares;                   /* of what its parent's members use; 0: comes last */
    qd_optional_int jobs, ranks;     /* that it may hold at a time; 0: any number */
} qd_team_entry;

typedef struct qd_scheduling {
    int policy; /* scheduler.policy: index into qd_policy_names */
    /* scheduler.weights: of the factors of policy multifactor (policy_multifactor.c), each >= 0 */
    int64_t weight_class, weight_urgency, weight_age, weight_fair_share, weight_size;
    double age_s;       /* scheduler.age_s: waiting so long counts weight_age */
    double urgency_s;   /* scheduler.urgency_s: slack below which urgency begins to grow */
    double half_life_s; /* scheduler.half_life_s: of the usage that fair share counts */
    double quantum_s;   /* scheduler.attained.quantum_s: time between two looks at who runs */
    /* scheduler.attained.limits: rank-seconds at which a job leaves queue i for i + 1; rising */
    double limits[QD_ATTAINED_QUEUES - 1];
    double promotion; /* scheduler.attained.promotion: back to the first queue after waiting so
                         many times as long as it has run */
    /* scheduler.preemption; of policy multifactor */
    int preempt_by;      /* by: a qd_preempt_by */
    double min_run_s;    /* an attempt is left alone for so long */
    double save_grace_s; /* who has not saved after this is ended as it is */
    /* scheduler.grow */
    bool grow;             /* enabled: running jobs grow into idle ranks */
    double grow_cost_s;    /* cost_s: what a save and a restart take */
    double grow_min_run_s; /* min_run_s: an attempt does not grow before */
    /* scheduler.swap (swap.h) */
    bool swap;          /* enabled: slow ranks are swapped for idle ones */
    double swap_ratio;  /* ratio: above that, against the median of the gang, a rank is slow */
    double swap_cost_s; /* cost_s: what a save and a restart take */
    /* scheduler.migrate (migration.h) */
    bool migrate;             /* enabled: gangs move so that a job gets ranks together */
    int64_t migrate_per_hour; /* most: at most so many gangs an hour */
    double migrate_cost_s;    /* cost_s: what a save and a restart take */
    /* scheduler.limits: what an account may hold at a time; 0: any number */
    int64_t account_jobs, account_ranks;
    /* scheduler.teams: the accounts by their numbers; none: whatever names jobs give */
    qd_team_entry teams[QD_TEAMS];
    int team_count;
    double spare_wait_s; /* scheduler.spare_wait_s: a gang that lost a rank is owed ranks so long */
} qd_scheduling;

/* All defaults: fifo. */
void qd_scheduling_defaults(qd_scheduling *scheduling);

/* The defaults with the policy of that name. QD_ECONFIG: there is none; the error names them. */
int qd_scheduling_of(const char *policy, qd_scheduling *scheduling);

/* As text and back, for the journal. file: for messages. QD_ECONFIG. */
void qd_scheduling_emit(const qd_scheduling *scheduling, qd_text *out);
int qd_scheduling_parse(const char *file, const char *text, size_t length,
                        qd_scheduling *scheduling);

/* Rules over several keys. QD_ECONFIG. */
int qd_scheduling_check(const char *file, const qd_scheduling *scheduling);

/* Whether a gang may go on on as many other ranks. */
bool qd_may_move(const qd_scheduling *scheduling);

/* The schema, bound to a qd_scheduling; for the cluster file, where it is a part. */
extern const qd_field qd_scheduling_fields[];

#endif
