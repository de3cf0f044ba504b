#include "scheduler/frontier.h"

#include <stdbool.h>
#include <stdlib.h>

/* Fraction bits of a class: 2 of a width, 3 of a run time. */
enum { WIDTH_BITS = 2, TIME_BITS = 3, WIDTHS = 32 << WIDTH_BITS, TIMES = 64 << TIME_BITS };

/* The last job placed into a class, for others that are nearly, or just, like it. */
typedef struct placed {
    int ranks; /* 0: none yet */
    int64_t run_ns, start_ns;
} placed;

struct qd_frontier {
    int64_t latest[WIDTHS + 1][TIMES + 1]; /* Fenwick tree of maxima, from 1 */
    placed last[WIDTHS + 1][TIMES + 1];
    bool used;
};

/* Rises with value; *exact when the value is the least of its class. value >= 1. */
static int class_of(int64_t value, int bits, bool *exact) {
    int exponent = 63 - __builtin_clzll((unsigned long long)value);
    int64_t fraction = exponent >= bits ? value >> (exponent - bits) : value << (bits - exponent);
    *exact = exponent <= bits || fraction << (exponent - bits) == value;
    return (exponent << bits) + (int)(fraction & ((1 << bits) - 1)) + 1;
}

qd_frontier *qd_frontier_create(void) {
    qd_frontier *frontier = calloc(1, sizeof *frontier);
    if (frontier) {
        frontier->used = true;
        qd_frontier_forget(frontier);
    }
    return frontier;
}

void qd_frontier_destroy(qd_frontier *frontier) {
    free(frontier);
}

void qd_frontier_forget(qd_frontier *frontier) {
    if (!frontier->used)
        return;
    for (int w = 0; w <= WIDTHS; w++)
        for (int t = 0; t <= TIMES; t++) {
            frontier->latest[w][t] = INT64_MIN;
            frontier->last[w][t].ranks = 0;
        }
    frontier->used = false;
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
            if (start_ns > frontier->latest[w][t])
                frontier->latest[w][t] = start_ns;
}

int64_t qd_frontier_earliest_ns(const qd_frontier *frontier, int ranks, int64_t run_ns) {
    bool ignored;
    int width = class_of(ranks, WIDTH_BITS, &ignored), time = class_of(run_ns, TIME_BITS, &ignored);
    const placed *like = &frontier->last[width][time];
    int64_t earliest = INT64_MIN;
    if (like->ranks > 0 && like->ranks <= ranks && like->run_ns <= run_ns)
        earliest = like->start_ns;
    for (int w = width; w > 0; w -= w & -w)
        for (int t = time; t > 0; t -= t & -t)
            if (frontier->latest[w][t] > earliest)
                earliest = frontier->latest[w][t];
    return earliest;
}
