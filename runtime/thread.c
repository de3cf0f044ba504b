#include "runtime/thread.h"

#include <errno.h>
#include <signal.h>
#include <time.h>

#include "runtime/error.h"

int qd_thread_start(pthread_t *thread, void *(*run)(void *), void *argument) {
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int code = pthread_create(thread, NULL, run, argument);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return code ? qd_error_set_errno(QD_EINTERNAL, code, "cannot start a thread") : 0;
}

int qd_cond_init(pthread_cond_t *condition) {
    pthread_condattr_t attributes;
    int code = pthread_condattr_init(&attributes);
    if (code)
        return qd_error_set_errno(QD_EINTERNAL, code, "cannot make a condition variable");
    code = pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    if (!code)
        code = pthread_cond_init(condition, &attributes);
    pthread_condattr_destroy(&attributes);
    return code ? qd_error_set_errno(QD_EINTERNAL, code, "cannot make a condition variable") : 0;
}

bool qd_cond_wait_until(pthread_cond_t *condition, pthread_mutex_t *mutex, qd_deadline deadline) {
    struct timespec at = {.tv_sec = deadline / 1000000000, .tv_nsec = deadline % 1000000000};
    return pthread_cond_timedwait(condition, mutex, &at) != ETIMEDOUT;
}
