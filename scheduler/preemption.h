/*
 * preemption.h: room for a job of a higher class (importance), as a protocol. Nobody is told
 * anything before it is known that the job will fit. Then it has a claim: so many ranks, free ones
 * and such as are being saved, are kept for it, and for nobody else but a job of a still higher
 * class. Who makes room saves, within a grace, and returns to the queue with its age; should its
 * ranks not be needed any more, it has a claim to them itself.
 *
 * "May preempt" is the order of the classes, which no preemption changes: nobody is ever told to
 * make room for a job that made room for it. A job is left alone until it has run for min_run_s
 * and, if it tells of its steps, has made one: so each attempt saves something new.
 *
 * Who makes room: first claims of lower classes are given up, which costs nothing; then elastic
 * jobs give what they have beyond their least ranks, as much as is needed and no more: that is a
 * loan, which equals call back, too; they save and go on at once (resize.h). Of such as borrow from
 * its team (quotas.h) they give what is borrowed, whatever their class. Where that is not
 * enough, whole gangs, of the lowest class, those that would lose the least unsaved work
 * (rank-seconds); nobody whose ranks are not needed, and one gang alone where that loses no more
 * than several. Since a loan goes to a job's least ranks only, and no job grows where one waits
 * (elastic.h), it does not go back and forth. O(r log r) for r gangs.
 */
#ifndef QD_SCHEDULER_PREEMPTION_H
#define QD_SCHEDULER_PREEMPTION_H

#include "scheduler/core.h"
#include "scheduler/jobs.h"

/* Free ranks that nobody has a claim to, now. */
int64_t qd_unclaimed_ranks(const qd_core *core);

/* How long somebody who makes room may take to save. */
int64_t qd_preemption_grace_ns(const qd_core *core);

/* Where a claim comes in the queue: before all that have none, by class. Of a job that has one. */
int64_t qd_claim_key(const qd_job_record *job);

/* Whether a running job, the whole gang, could be told to make room for a pending one, of a higher
 * class, now or once it has run for long enough. */
bool qd_preemption_may_ask(const qd_core *core, const qd_job_record *job,
                           const qd_job_record *other);

/* The same, now. */
bool qd_preemption_may_make_room(const qd_core *core, const qd_job_record *job,
                                 const qd_job_record *other);

/* Whether the ranks that a job has a claim to are free. */
bool qd_claim_is_met(const qd_core *core, const qd_job_record *job);

/* Of the free ranks and those that are being saved: how many nobody claims, and the job's team may
 * have. May be negative. */
int64_t qd_preemption_there(const qd_core *core, const qd_job_record *job);

/* Gives a pending job, which cannot start now, a claim, and tells whom it takes to make room.
 * False, with nothing changed: that would not be enough, a reservation is in its way, or nobody
 * makes room for anybody here. */
bool qd_preemption_make_room(qd_core *core, qd_job_record *job);

/* Has so many ranks be free by by_ns, when a reservation begins: those who would hold theirs beyond
 * that shrink or save by then, as few as will do, the cheapest, as above; all of them, whole, if
 * that is not enough. */
void qd_preemption_clear(qd_core *core, int64_t ranks, int64_t by_ns, const char *text);

/* Claims that can't be met any more, since ranks were lost, are given up, the last one first; and
 * those that a reservation has come into the way of. */
void qd_preemption_settle(qd_core *core);

/* Claims to ranks one by one are given up: idle ones are for a reservation that lacks some. */
void qd_preemption_leave_places(qd_core *core);

/* A job that made room is back, or has ended: if nobody needs its ranks, they are its again. */
void qd_preemption_returned(qd_core *core, qd_job_record *job);

/* The job leaves the queue, or asks for something else: its claim, if it has one, is over; and
 * those who save in vain now have one to what they held. */
void qd_preemption_forget(qd_core *core, qd_job_record *job);

#endif
