/*
 * gang.h: how one attempt of a job stands: its members, how those that ended did so, what the rest
 * were told, and what all of it amounts to. Plain values; which ranks the members are is kept in
 * the job (jobs.h), which of them still serve in the rank table (ranks.h).
 */
#ifndef QD_SCHEDULER_GANG_H
#define QD_SCHEDULER_GANG_H

#include <stdbool.h>

#include "scheduler/core.h"

typedef struct qd_gang {
    int size;               /* members at the start; 0: never started */
    int live;               /* members that have not ended */
    int ended[QD_OUTCOMES]; /* members by outcome; a lost one counts as FAILED */
    bool stopped;           /* live members were told to save and stop */
    bool aborted;           /* live members were told to end at once */
    bool called_off;        /* by a cancellation, before any member failed */
    bool unwanted;          /* by one that came later: the job does not come back */
    bool regroups;          /* the ranks of live members are kept together (regroup.h) */
    int exit_code;          /* QD_E code of the first failure */
} qd_gang;

/* "DONE", ... */
extern const char *const qd_outcome_names[QD_OUTCOMES];

/* Counts a live member as ended. */
void qd_gang_member_ended(qd_gang *gang, qd_outcome outcome);

/*
 * The state of a job whose members have all ended. All DONE: COMPLETED, whatever was asked
 * meanwhile, because the result is there. Called off: CANCELLED, since failures of members are then
 * only what calling off does to a gang. Else the worst outcome decides: FAILED, then ABORTED
 * (CANCELLED), then SAVED (PREEMPTED).
 */
qd_job_state qd_gang_verdict(const qd_gang *gang);

#endif
