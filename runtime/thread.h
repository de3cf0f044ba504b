/*
 * thread.h: what background threads (loader, checkpoint writer, guard of MPI's end) share: starting
 * one, and waiting for it against a deadline. Not for computing in parallel.
 */
#ifndef QD_RUNTIME_THREAD_H
#define QD_RUNTIME_THREAD_H

#include <pthread.h>
#include <stdbool.h>

#include "runtime/clock.h"

/*
 * Starts a thread in which every signal is blocked: a request to stop (SIGTERM, SIGUSR1) must
 * reach the main thread, and a write beyond a file size limit must be an error, not a death.
 * QD_EINTERNAL.
 */
int qd_thread_start(pthread_t *thread, void *(*run)(void *), void *argument);

/* A condition whose timed waits count on CLOCK_MONOTONIC. QD_EINTERNAL; else
 * pthread_cond_destroy. */
int qd_cond_init(pthread_cond_t *condition);

/* pthread_cond_timedwait: false when deadline has passed. May wake early: call it in a loop. */
bool qd_cond_wait_until(pthread_cond_t *condition, pthread_mutex_t *mutex, qd_deadline deadline);

#endif
