/*
 * clock.h: monotonic time and deadlines. Nothing in the project waits without a deadline, and no
 * decision reads the wall clock; qd_clock_utc is for time stamps that people read.
 */
#ifndef QD_RUNTIME_CLOCK_H
#define QD_RUNTIME_CLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Nanoseconds of CLOCK_MONOTONIC. */
int64_t qd_clock_now_ns(void);

/* A point of monotonic time, in ns. */
typedef int64_t qd_deadline;

/* The deadline that lies seconds (>= 0) ahead of now. */
qd_deadline qd_deadline_in(double seconds);

bool qd_deadline_passed(qd_deadline deadline);

/*
 * Waiting politely in a polling loop: start at {0}, call qd_backoff_pause once for each fruitless
 * poll. First it spins, then yields the processor, then sleeps twice as long each time, up to
 * max_sleep_us. Reset by assigning {0}; or {QD_BACKOFF_ASLEEP}, to sleep at once: for who can wait
 * and must not take the core from those that compute.
 */
enum { QD_BACKOFF_ASLEEP = 2048 };

typedef struct qd_backoff {
    unsigned polls;
} qd_backoff;

void qd_backoff_pause(qd_backoff *backoff, unsigned max_sleep_us);

/* "2026-11-25T04:22:01.123Z" into text; size >= 25. */
void qd_clock_utc(char *text, size_t size);

#endif
