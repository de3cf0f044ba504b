/*
 * timetable.h: what is expected to happen when: the predicted ends of running jobs and the planned
 * starts of pending ones, each job once, beside what they do to the profile of free ranks
 * (profile.h). Whoever starts, plans, ends or moves a job says so here, so that table and profile
 * cannot disagree. O(log n) each.
 */
#ifndef QD_SCHEDULER_TIMETABLE_H
#define QD_SCHEDULER_TIMETABLE_H

#include "scheduler/jobs.h"
#include "scheduler/profile.h"

typedef struct qd_timetable {
    qd_profile profile; /* now_free: set by the core before it decides */
    qd_tree ends;       /* of running jobs, by predicted end */
    qd_tree starts;     /* of pending jobs that have a place in the plan, by planned start */
    bool stale;         /* something did not go as planned: planned starts may be too late now */
} qd_timetable;

void qd_timetable_init(qd_timetable *table);
void qd_timetable_fini(qd_timetable *table);

/* Room for so many jobs that have not ended, and all reservations. QD_ENOMEM. */
int qd_timetable_reserve(qd_timetable *table, size_t jobs);

/* A job has started on job->gang.size ranks and is predicted to end at end_ns. */
void qd_timetable_started(qd_timetable *table, qd_job_record *job, int64_t end_ns);

/* So many ranks that a RESIZING job goes on with, beside those that it gives back, will be free at
 * at_ns; 0: none, from now on. */
void qd_timetable_keep(qd_timetable *table, qd_job_record *job, int ranks, int64_t at_ns);

/* A job that comes from another table with all that was expected of it: into a fresh one. */
void qd_timetable_take_over(qd_timetable *table, qd_job_record *job);

/* Its predicted end is another one now. */
void qd_timetable_moved(qd_timetable *table, qd_job_record *job, int64_t end_ns);

/* So many more of its ranks (fewer if negative) will be free once it ends. */
void qd_timetable_give_back(qd_timetable *table, qd_job_record *job, int ranks);

/* One of its ranks has become free, or is gone. */
void qd_timetable_rank_left(qd_timetable *table, qd_job_record *job, int64_t now_ns);

/* All of them have. */
void qd_timetable_ended(qd_timetable *table, qd_job_record *job);

/* A pending job claims its least ranks from start_ns on for its predicted run time. */
void qd_timetable_plan(qd_timetable *table, qd_job_record *job, int64_t start_ns);

/* It gives its claim up, if it has one. */
void qd_timetable_unplan(qd_timetable *table, qd_job_record *job);

/* All of them give up their claims, and reservations theirs: they have to be laid again. O(p + r
 * log r) for p planned and r running jobs. */
void qd_timetable_unplan_all(qd_timetable *table);

/* The running job that is predicted to end first, the pending one that is planned to start first;
 * NULL when there is none. */
qd_job_record *qd_timetable_first_end(const qd_timetable *table);
qd_job_record *qd_timetable_first_start(const qd_timetable *table);

#endif
