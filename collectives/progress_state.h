/*
 * progress_state.h: what groups tell the communication thread. Not for other folders.
 */
#ifndef QD_COLLECTIVES_PROGRESS_STATE_H
#define QD_COLLECTIVES_PROGRESS_STATE_H

#include "collectives/progress.h"

struct qd_group;

/* From now on the thread looks at the group, and not any more. Leave waits while it does. NULL
 * progress is fine. */
void qd_progress_join(qd_progress *progress, struct qd_group *group);
void qd_progress_leave(qd_progress *progress, struct qd_group *group);

/* One operation more, or less, that the thread is to see to. */
void qd_progress_more(qd_progress *progress);
void qd_progress_less(qd_progress *progress);

#endif
