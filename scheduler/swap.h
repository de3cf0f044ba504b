/*
 * swap.h: slow ranks of running gangs (pace.h) are swapped for idle ones that are not, where that
 * is switched on (scheduler.swap). The job saves, and goes on at once as a new attempt on as many
 * ranks, all others being the ones it had; what it leaves is free again, for jobs that do not mind.
 *
 * Only where nobody waits for ranks, so that nobody is delayed by it; if the job may be told to
 * save at all; and if the steps that are left, at the pace of the slowest that stays, take less
 * than they do now by more than a save and a restart (scheduler.swap.cost_s). A new attempt has to
 * tell of paces anew before it is looked at, so a job moves at most once in three reports.
 */
#ifndef QD_SCHEDULER_SWAP_H
#define QD_SCHEDULER_SWAP_H

#include "scheduler/core.h"

/* Called when all starts have been decided. O(ranks). */
void qd_swap_slow(qd_core *core);

#endif
