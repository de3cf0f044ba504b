/*
 * preemption_together.h: room for a choosy job (together.h) by preemption.h's rules: the island or
 * host is found first in which those that may make room would leave it enough, and only they are
 * told, as few as will do; of several such places the one where the least is lost. The ranks that
 * it will get are then claimed one by one: nobody else gets them, however many others are free.
 */
#ifndef QD_SCHEDULER_PREEMPTION_TOGETHER_H
#define QD_SCHEDULER_PREEMPTION_TOGETHER_H

#include "scheduler/core.h"
#include "scheduler/jobs.h"

/* Tells whom it takes to make room, and marks the ranks; its claim is the caller's business. False,
 * with nothing changed: no place can be made wide enough. O(r log r) for r ranks. */
bool qd_make_room_together(qd_core *core, qd_job_record *job, int64_t grace_ns);

/* Whether all ranks that it claims one by one are free; whether none of them was lost or drained.
 */
bool qd_claimed_are_free(const qd_core *core, const qd_job_record *job);
bool qd_claimed_are_whole(const qd_core *core, const qd_job_record *job);

/* They are everybody's again. */
void qd_give_back_claimed(qd_core *core, qd_job_record *job);

#endif
