/*
 * room.h: what a job may take beside the reservations. Ranks that are free now may be promised from
 * some later time on; so how many a job can have depends on how long it will run: a staircase
 * that falls with each promise.
 *
 * Most jobs are held to their predicted runs. A job that yields is not, since that would keep it
 * waiting for ever or for nothing: nobody knows how long it will run, or it is longer than what
 * lies between two comings of a reservation. It can be told to save, so it starts if it has time
 * for its minimum run and a save before somebody else is promised its ranks.
 */
#ifndef QD_SCHEDULER_ROOM_H
#define QD_SCHEDULER_ROOM_H

#include "scheduler/core.h"
#include "scheduler/jobs.h"
#include "scheduler/profile.h"
#include "scheduler/queue.h"

enum { QD_GAPS = 2 * QD_RESERVATIONS };

/* Whether the pending job yields. Without reservations nobody does. */
bool qd_room_yields(const qd_core *core, const qd_job_record *job);

/* The first start >= from_ns at which a job like that has room, by the core's profile or a copy of
 * it in which the reservations are laid; QD_NEVER. */
int64_t qd_room_earliest_ns(const qd_core *core, qd_profile *profile, const qd_queue_entry *entry,
                            int64_t from_ns);

/* Ranks that a job in the queue can have now for as long as it needs them, by the core's profile;
 * whether it can have so many. A policy that is blind to run times gives it the least run. */
int64_t qd_room_for_job(qd_core *core, const qd_job_record *job);
bool qd_room_fits(qd_core *core, const qd_job_record *job, int ranks);

/* Ranks that can be had now for run_ns, by the core's profile. */
int64_t qd_room_for_ns(const qd_core *core, int64_t run_ns);

/* For how long a job must be able to run to be started although it will be told to save. */
int64_t qd_room_least_ns(const qd_core *core);

/* Whether the reservations leave so many ranks for a job that starts within delay_ns from now on,
 * whatever runs now. */
bool qd_room_beside(const qd_core *core, const qd_queue_entry *entry, int64_t delay_ns);

/* Whether n running gangs can go on on other ranks, as many as they have, of which so many are free
 * now, for as long as they will need them; asked by the core's profile, as of jobs that start. */
bool qd_room_for_moves(qd_core *core, qd_job_record *const *jobs, int n, int64_t fresh);

/* What fits now, by the core's profile, into up to now_free ranks, as gaps of the queue; returns
 * how many. */
int qd_room_gaps(qd_core *core, int64_t now_free, qd_gap gaps[QD_GAPS]);

#endif
