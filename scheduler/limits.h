/*
 * limits.h: what an account, and each team above it (teams.h), may hold at a time, in jobs and in
 * ranks. Jobs in the queue count as well as those that hold ranks, so that the queue holds no more
 * of them than could run together: the others wait at a gate (gates.h), where they claim nothing,
 * do not age and cost nothing. A job waits for the lowest team that may not hold it. There they
 * come in order, the most important first, and none passes another on its way up; a job that is
 * more important than some in the queue takes their place. O(log n) at each level for each job that
 * is moved.
 */
#ifndef QD_SCHEDULER_LIMITS_H
#define QD_SCHEDULER_LIMITS_H

#include "scheduler/core.h"
#include "scheduler/jobs.h"
#include "scheduler/reason.h"
#include "scheduler/teams.h"

typedef struct qd_account_use {
    int64_t jobs, ranks; /* counted ones, with those of all below */
    qd_tree waiting;     /* at the gate for this one, the first to be let in first */
    qd_tree queued;      /* counted and in the queue, the first to be put out first */
} qd_account_use;

/* [tree->count], to be freed; NULL: no memory. A core without limits does without. */
qd_account_use *qd_limits_create(const qd_team_tree *tree);

/* Whether the job, if it does not count yet, would be too much for its account, or a team, now. */
bool qd_limits_exceeded(const qd_core *core, const qd_job_record *job);

/* For which team a job at the gate waits, and which of its limits that is. */
qd_reason qd_limits_reason(const qd_core *core, const qd_job_record *job);

/* The first of its teams than which it is wider; QD_NO_TEAM: it may be held some time. */
int qd_limits_forbid(const qd_core *core, const qd_job_record *job);

/* The most ranks that its teams may hold; 0: any number. */
int64_t qd_limits_most_ranks(const qd_core *core, const qd_job_record *job);

/* Of a job that would be too much: less important ones of the same teams leave the queue for it, if
 * that is enough, and it counts. False, with nothing changed: it is not. */
bool qd_limits_displace(qd_core *core, qd_job_record *job);

/* A PENDING job has reached a gate, or the queue. */
void qd_limits_note_gate(qd_core *core, qd_job_record *job);

/* Gives a job that is about to start more than its least ranks, as far as its teams may. */
bool qd_limits_take(qd_core *core, qd_job_record *job, int more_ranks);

/* So many ranks more its account and teams may hold, beyond what it counts there. */
int64_t qd_limits_room(const qd_core *core, const qd_job_record *job);

/* It goes on, on so many ranks; others are let in for those that it gave back. */
void qd_limits_resize(qd_core *core, qd_job_record *job, int ranks);

/* It runs now; has ended; and others are let in for one that has. */
void qd_limits_note_start(qd_core *core, qd_job_record *job);
void qd_limits_note_end(qd_core *core, qd_job_record *job);
void qd_limits_settle(qd_core *core, const qd_job_record *job);

/* A PENDING job for which note_end was called asks for something else now: it waits, or counts if
 * its teams may hold it. */
void qd_limits_revise(qd_core *core, qd_job_record *job);

/* A job that comes from another core with all that is known of it. */
void qd_limits_take_over(qd_core *core, qd_job_record *job);

#endif
