/*
 * progress.h: the communication thread: it carries on the operations that were started on its
 * groups while their owner computes. It sleeps while there are none, and between looks while peers
 * are late, so that it leaves the core to the computing thread; while the owner itself waits on a
 * group, the owner drives and this thread keeps away.
 */
#ifndef QD_COLLECTIVES_PROGRESS_H
#define QD_COLLECTIVES_PROGRESS_H

typedef struct qd_progress qd_progress;

/* Starts the thread. QD_ENOMEM, QD_EINTERNAL. */
int qd_progress_create(qd_progress **progress);

/* Ends it. Its groups must have been destroyed. NULL is fine. */
void qd_progress_destroy(qd_progress *progress);

#endif
