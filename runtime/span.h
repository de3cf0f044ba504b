/*
 * span.h: where a rank's time goes. At every moment a rank is in exactly one activity; entering
 * another one charges the time since the last change to the one that is left. So the shares sum
 * to the wall time by construction, and nothing is counted twice.
 */
#ifndef QD_RUNTIME_SPAN_H
#define QD_RUNTIME_SPAN_H

#include <stdint.h>

typedef enum {
    QD_SPAN_COMPUTE,       /* forward, backward, update, evaluation */
    QD_SPAN_COMMUNICATION, /* exchange that nothing was computed beside (exposed) */
    QD_SPAN_PIPELINE,      /* waiting for another stage */
    QD_SPAN_DATA,          /* waiting for samples */
    QD_SPAN_CHECKPOINT,    /* work of saving and loading that training waited for */
    QD_SPAN_IDLE,          /* nothing to do */
    QD_SPAN_KINDS
} qd_span_kind;

/* "compute", "communication", ... as used for keys in logs. */
extern const char *const qd_span_names[QD_SPAN_KINDS];

typedef struct qd_span_clock {
    qd_span_kind kind;
    int64_t since_ns;
    int64_t total_ns[QD_SPAN_KINDS];
} qd_span_clock;

/* Starts counting, in the given activity. */
void qd_span_start(qd_span_clock *clock, qd_span_kind kind);

/* Changes the activity. Returns the one left, so that a caller can go back to it:
 * `qd_span_kind before = qd_span_enter(c, QD_SPAN_DATA); ... qd_span_enter(c, before);` */
qd_span_kind qd_span_enter(qd_span_clock *clock, qd_span_kind kind);

/* Charges the running activity up to now, hands out the totals since the last call, and begins
 * a new interval. */
void qd_span_take(qd_span_clock *clock, int64_t total_ns[QD_SPAN_KINDS]);

#endif
