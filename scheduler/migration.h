/*
 * migration.h: running gangs that move elsewhere so that the first in the queue, which must lie in
 * one island or host, fits there: enough ranks are free for it, but not together. Where that is
 * switched on (scheduler.migrate), and no more than so many gangs an hour: a move costs a save and
 * a restart.
 *
 * The place is found first, and each gang's new ranks with it; only then is anybody told. Of
 * several places, the one whose gangs lose the least rank-seconds: what they have not saved, and
 * scheduler.migrate.cost_s each. Who moves is no more important than the job, may be told to save,
 * has run for preemption.min_run_s and made a step, as in preemption.h. Nobody moves if the job is
 * predicted to fit anywhere within cost_s. While they save, nobody passes the job (together.h).
 */
#ifndef QD_SCHEDULER_MIGRATION_H
#define QD_SCHEDULER_MIGRATION_H

#include "scheduler/core.h"
#include "scheduler/jobs.h"

/* Has gangs move for a choosy head (together.h) that does not fit. O(ranks log ranks) for each
 * place that it could have. */
void qd_migrate_for(qd_core *core, qd_job_record *head);

#endif
