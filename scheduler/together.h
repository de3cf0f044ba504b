/*
 * together.h: jobs that do not take any ranks: all of one island or host, or with enough memory
 * each (place.h). "Choosy" below. Enough ranks may be free for one, and yet not together; what a
 * profile of free ranks cannot tell is found here, from who holds which rank until when.
 */
#ifndef QD_SCHEDULER_TOGETHER_H
#define QD_SCHEDULER_TOGETHER_H

#include "scheduler/core.h"
#include "scheduler/jobs.h"
#include "scheduler/placement.h"

bool qd_is_choosy(const qd_job_record *job);

/* Whether a pending job could start now on so many ranks: they are free, together if it demands
 * that, and promised to no reservation that begins before it is out (room.h). Everybody asks here
 * before he starts a job outside reservations; how many of the free ranks are for claims is another
 * question (preemption.h). */
bool qd_fits_now(qd_core *core, const qd_job_record *job, int ranks);

/* The most ranks of those that it could have together, such being the case; all there are while
 * workers are on their way, since nobody knows where they will be. O(islands) for a choosy job. */
int qd_most_ranks(const qd_core *core, const qd_job_record *job, qd_measure measure);

/* "needs 4 ranks in one island, each with 80 GiB; here are at most 2": so many can ever be had
 * together. */
void qd_say_demand(const qd_job_record *job, int most, char *text, size_t size);

/* Where a choosy job is predicted to fit, and when. */
typedef struct qd_opening {
    int64_t at_ns; /* QD_NEVER: nobody knows, as while a job is RESIZING */
    int spot;      /* index of the island or host; 0 where it must not be in one */
    int needed;    /* ranks of those that are free there now */
} qd_opening;

/* Whether a job is RESIZING: which ranks it will have when, and then give back, is known once it
 * goes on. */
bool qd_somebody_is_resized(const qd_core *core);

/* The part of the row of ranks (places.h) from `first` on in which such a gang must lie ends here.
 */
int qd_end_of_spot(const qd_places *places, int within, int first);

/* O(ranks). */
qd_opening qd_find_opening(const qd_core *core, const qd_job_record *job);

/* The most ranks that it could have together if all made room for it that may be told to. */
int qd_most_with_room(const qd_core *core, const qd_job_record *job);

/* The later jobs of EASY, behind a choosy head that cannot start, for which others may move
 * (migration.h), on up to now_free ranks: those
 * that end before the head's opening, and those that leave it the ranks it needs there. O(ranks),
 * and O(ranks of the head) for each that is looked at. False: as qd_backfill. */
bool qd_backfill_around(qd_core *core, const qd_queue_entry *head, int64_t now_free);

#endif
