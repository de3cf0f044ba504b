#include "runtime/clock.h"

#include <sched.h>
#include <stdio.h>
#include <time.h>

enum { SPIN_POLLS = 64, YIELD_POLLS = QD_BACKOFF_ASLEEP, FIRST_SLEEP_US = 8, MOST_DOUBLINGS = 20 };

int64_t qd_clock_now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

qd_deadline qd_deadline_in(double seconds) {
    return qd_clock_now_ns() + (int64_t)(seconds * 1e9);
}

bool qd_deadline_passed(qd_deadline deadline) {
    return qd_clock_now_ns() >= deadline;
}

void qd_backoff_pause(qd_backoff *backoff, unsigned max_sleep_us) {
    unsigned n = backoff->polls++;
    if (n < SPIN_POLLS)
        return;
    if (n < YIELD_POLLS || max_sleep_us == 0) {
        sched_yield();
        return;
    }
    unsigned doublings = n - YIELD_POLLS < MOST_DOUBLINGS ? n - YIELD_POLLS : MOST_DOUBLINGS;
    unsigned sleep_us = FIRST_SLEEP_US << doublings;
    if (sleep_us >= max_sleep_us) {
        sleep_us = max_sleep_us;
        backoff->polls = n; /* stay at the longest pause */
    }
    struct timespec t = {.tv_sec = sleep_us / 1000000,
                         .tv_nsec = (long)(sleep_us % 1000000) * 1000};
    nanosleep(&t, NULL);
}

void qd_clock_utc(char *text, size_t size) {
    struct timespec t;
    struct tm tm;
    clock_gettime(CLOCK_REALTIME, &t);
    gmtime_r(&t.tv_sec, &tm);
    char date[32];
    strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(text, size, "%s.%03dZ", date, (int)(t.tv_nsec / 1000000));
}
