/*
 * choose_layout.h: the planner (models/planner.h) put to use: the layout of a job that leaves it
 * open, and whether one that does not fits into memory, on hardware that is described or on this
 * machine.
 */
#ifndef QD_LAUNCH_CHOOSE_LAYOUT_H
#define QD_LAUNCH_CHOOSE_LAYOUT_H

#include "models/planner.h"

/* This machine as the ranks of a world have it that may use `ranks` of its cores: its cores and
 * memory as found, rates as measured once on a machine of that kind (conf/clusters/cpu-2.yaml).
 * hosts > 1: as many of them as are asked for. QD_EINTERNAL, QD_ECONFIG. */
int qd_this_machine(int ranks, int hosts, qd_hardware *hardware);

/* The planner's answer for a job as it was loaded, which may leave its layout open. pins: bounds
 * beyond it. QD_ECONFIG when nothing fits, with the changes that would help; QD_ENOMEM. */
int qd_layout_choose(const qd_job *job, const qd_hardware *hardware, int64_t ranks,
                     const qd_plan_pins *pins, qd_plan_choice *choice);

/*
 * Puts numbers into a job of `layout: auto`, as the fastest layout on at most so many ranks that
 * this engine can run has them. earlier: the job of the run that is to be continued, whose result
 * must stay: slots and micro-batches are its, the rest is chosen anew; NULL: a new run. *report:
 * the plan and why others lost, for people; the caller's (free). QD_ECONFIG, QD_ENOMEM, *job
 * untouched.
 */
int qd_layout_settle(const char *file, const qd_hardware *hardware, int64_t ranks,
                     const qd_job *earlier, qd_job *job, char **report);

/* Whether a job of a given layout fits into the memory of at most so many ranks, in its leanest
 * gang. QD_ECONFIG with the changes that would make it fit; QD_ENOMEM. */
int qd_layout_check_memory(const qd_job *job, const qd_hardware *hardware, int64_t ranks);

#endif
