/*
 * reservations.h: how the core keeps what the book (reservation_book.h) promises. A reservation is
 * a number of ranks; which ones is decided when it begins: free ones, which from then on are
 * nobody else's. To the nanosecond [from, until) is half open: at one instant first ends are told,
 * then one reservation ends and the next begins, then jobs start.
 *
 * Before it begins: a job starts or grows only where its predicted end leaves the ranks in time
 * (room.h). One grace (scheduler.preemption.grace_s) before, those that are predicted to stand in
 * the way are told: elastic ones to shrink, as far as that is enough, else as few gangs as will do,
 * the cheapest first, to save; their grace ends when it begins. One that has outrun its prediction
 * counts as in the way; one that does so within that time is told when it does, and has what is
 * left of the grace. Nor does one that is being resized go on into its way, and who is told within
 * that time to make room for another has until it begins. Claims that do not fit
 * beside it are given up. One that must not be told (keeps_ranks) is taken at its word, and keeps
 * its ranks if it outruns it.
 *
 * While it runs: the jobs that name it start in it, by importance and number, none passing another,
 * on their least ranks, which are together if they demand that, if they can be out at its end: a
 * known run has to fit, any other must be one that can be told to save and leave time for that.
 * They never leave it and keep their size, and those still inside one grace before its end are told
 * to save. Limits of accounts do not count inside. A reservation that has fewer ranks than it
 * should (they were lost or drained, or somebody outran his word) is degraded, and takes any rank
 * that becomes free, first of all.
 *
 * When it is over, or taken away: jobs that hold ranks of it hold them as others do, those that
 * wait for it wait as others do; unless it comes again.
 */
#ifndef QD_SCHEDULER_RESERVATIONS_H
#define QD_SCHEDULER_RESERVATIONS_H

#include "scheduler/core.h"
#include "scheduler/jobs.h"
#include "scheduler/profile.h"

/* Whether a submission names a reservation that can take it, or none. QD_EPROTO. */
int qd_reservations_check(const qd_core *core, const qd_submission *submission);

void qd_reservations_add(qd_core *core, const qd_reservation *reservation); /* a checked one */
void qd_reservations_remove(qd_core *core, int64_t number);

/* All that time asks for: ends, beginnings, repairs, and who has to save. At the end of an instant,
 * before any job starts. O(r) for r running jobs within a grace of an edge; else O(1). */
void qd_reservations_keep(qd_core *core);

/* Starts the jobs that wait for reservations that run. */
void qd_reservations_start(qd_core *core);

/* How long somebody who is told now may take to save: the grace, but not beyond the beginning of a
 * reservation, which may count on his ranks. */
int64_t qd_reservations_grace_ns(const qd_core *core);

/* Whether a running job that is out in time for one that begins within a grace would not be if it
 * shrank now: too late to be told again. */
bool qd_reservations_meet_narrower(const qd_core *core, const qd_job_record *job);

/* Whether one that has a claim would be in nobody's way who begins within a grace if it started
 * now: too late to tell it again. */
bool qd_reservations_spare(const qd_core *core, const qd_job_record *job);

/* When qd_reservations_keep has to be called next; QD_NEVER. */
int64_t qd_reservations_wake_ns(const qd_core *core);

/* The one that keeps a job in the queue from starting now, although its ranks are free, or would be
 * but for it: the last to end; NULL: none does. */
const qd_booking *qd_reservations_in_the_way(const qd_core *core, const qd_job_record *job);

/* A rank that a reservation has is being drained, or is lost. */
void qd_reservations_rank_gone(qd_core *core, int64_t reservation);

/* Whether a pending job has to wait for its reservation. */
bool qd_reservations_keep_out(const qd_core *core, const qd_job_record *job);

/* A pending job has come to gate RESERVATION; has left it. The latter of any job. */
void qd_reservations_wait(qd_core *core, qd_job_record *job);
void qd_reservations_stop_waiting(qd_core *core, qd_job_record *job);

/* Adds what all reservations claim to a profile, or (sign -1) takes it off. O(n log n). */
void qd_reservations_lay(const qd_core *core, qd_profile *profile, int sign);

#endif
