/*
 * listener.h: long work that nobody else interrupts listens now and then, so that the scheduler
 * hears from this rank meanwhile, and is heard. Called often: it keeps its own pace.
 */
#ifndef QD_WORKER_LISTENER_H
#define QD_WORKER_LISTENER_H

/* All zero: nobody listens. */
typedef struct qd_listener {
    int (*listen)(void *context); /* what is not 0, a QD_E with its message, ends the work */
    void *context;
} qd_listener;

static inline int qd_listen(qd_listener listener) {
    return listener.listen ? listener.listen(listener.context) : 0;
}

#endif
