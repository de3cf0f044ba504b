#include "scheduler/frontier.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* Fraction bits of a class: 2 of a width, 3 of a run time. */
enum { WIDTH_BITS = 2, TIME_BITS = 3, WIDTHS = 32 << WIDTH_BITS, TIMES = 64 << TIME_BITS };

/* The last job placed into a class, for others that are nearly, or just, like it. */
typedef struct placed {
    int ranks; /* 0: none yet */
    int64_t run_ns, start_ns;
} placed;

/* All zeros: nothing is known, so that memory is touched only where something is. */
struct qd_frontier {
    uint64_t latest[WIDTHS + 1][TIMES + 1]; /* Fenwick tree of maxima of rising(start), from 1 */
    placed last[WIDTHS + 1][TIMES + 1];
    bool used;
};

/* INT64_MIN as 0, and so on in order; and back. */
static uint64_t rising(int64_t ns) {
    return (uint64_t)ns ^ UINT64_C(1) << 63;
}

static int64_t as_time(uint64_t ns) {
    return (int64_t)(ns ^ UINT64_C(1) << 63);
}

/* Rises with value; *exact when the value is the least of its class. value >= 1. */
static int class_of(int64_t value, int bits, bool *exact) {
    int exponent = 63 - __builtin_clzll((unsigned long long)value);
    int64_t fraction = exponent >= bits ? value >> (exponent - bits) : value << (bits - exponent);
    *exact = exponent <= bits || fraction << (exponent - bits) == value;
    return (exponent << bits) + (int)(fraction & ((1 << bits) - 1)) + 1;
}

qd_frontier *qd_frontier_create(void) {
    return calloc(1, sizeof(qd_frontier));
}

void qd_frontier_destroy(qd_frontier *frontier) {
    free(frontier);
}

void qd_frontier_forget(qd_frontier *frontier) {
    if (frontier->used)
        memset(frontier, 0, sizeof *frontier);
}

void qd_frontier_placed(qd_frontier *frontier, int ranks, int64_t run_ns, int64_t start_ns) {
    bool exact_width, exact_time;
    int width = class_of(ranks, WIDTH_BITS, &exact_width);
    int time = class_of(run_ns, TIME_BITS, &exact_time);
    frontier->used = true;
    frontier->last[width][time] = (placed){ranks, run_ns, start_ns};
    /* It binds jobs of whole classes, so those that begin at it or behind it. */
    for (int w = width + !exact_width; w <= WIDTHS; w += w & -w)
        for (int t = time + !exact_time; t <= TIMES; t += t & -t)
            if (rising(start_ns) > frontier->latest[w][t])
                frontier->latest[w][t] = rising(start_ns);
}

int64_t qd_frontier_earliest_ns(const qd_frontier *frontier, int ranks, int64_t run_ns) {
    bool ignored;
    int width = class_of(ranks, WIDTH_BITS, &ignored), time = class_of(run_ns, TIME_BITS, &ignored);
    const placed *like = &frontier->last[width][time];
    uint64_t earliest = 0;
    if (like->ranks > 0 && like->ranks <= ranks && like->run_ns <= run_ns)
        earliest = rising(like->start_ns);
    for (int w = width; w > 0; w -= w & -w)
        for (int t = time; t > 0; t -= t & -t)
            if (frontier->latest[w][t] > earliest)
                earliest = frontier->latest[w][t];
    return as_time(earliest);
}
