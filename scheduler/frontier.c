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

/* What is known of the jobs of one class of widths. */
typedef struct row {
    uint64_t latest[TIMES + 1]; /* Fenwick tree of maxima of rising(start), from 1, along both */
    placed last[TIMES + 1];
} row;

/* A row is cleared when it is first written: most plans know few widths. */
struct qd_frontier {
    int widths; /* classes, from 1 */
    bool known[WIDTHS + 1];
    row rows[]; /* [widths + 1] */
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

qd_frontier *qd_frontier_create(int most_ranks) {
    bool ignored;
    int widths = class_of(most_ranks, WIDTH_BITS, &ignored);
    qd_frontier *frontier = malloc(sizeof *frontier + (size_t)(widths + 1) * sizeof(row));
    if (!frontier)
        return NULL;
    frontier->widths = widths;
    qd_frontier_forget(frontier);
    return frontier;
}

void qd_frontier_destroy(qd_frontier *frontier) {
    free(frontier);
}

void qd_frontier_forget(qd_frontier *frontier) {
    memset(frontier->known, 0, sizeof frontier->known);
}

static row *row_to_write(qd_frontier *frontier, int width) {
    if (!frontier->known[width])
        frontier->rows[width] = (row){0};
    frontier->known[width] = true;
    return &frontier->rows[width];
}

void qd_frontier_placed(qd_frontier *frontier, int ranks, int64_t run_ns, int64_t start_ns) {
    bool exact_width, exact_time;
    int width = class_of(ranks, WIDTH_BITS, &exact_width);
    int time = class_of(run_ns, TIME_BITS, &exact_time);
    row_to_write(frontier, width)->last[time] = (placed){ranks, run_ns, start_ns};
    /* It binds jobs of whole classes, so those that begin at it or behind it. */
    for (int w = width + !exact_width; w <= frontier->widths; w += w & -w) {
        row *r = row_to_write(frontier, w);
        for (int t = time + !exact_time; t <= TIMES; t += t & -t)
            if (rising(start_ns) > r->latest[t])
                r->latest[t] = rising(start_ns);
    }
}

/* rising(start) of the last job of the same class, if it is no wider and no longer; else 0. */
static uint64_t start_of_like(const qd_frontier *frontier, int width, int time, int ranks,
                              int64_t run_ns) {
    const placed *like = &frontier->rows[width].last[time];
    bool binds =
        frontier->known[width] && like->ranks > 0 && like->ranks <= ranks && like->run_ns <= run_ns;
    return binds ? rising(like->start_ns) : 0;
}

int64_t qd_frontier_earliest_ns(const qd_frontier *frontier, int ranks, int64_t run_ns) {
    bool ignored;
    int width = class_of(ranks, WIDTH_BITS, &ignored), time = class_of(run_ns, TIME_BITS, &ignored);
    uint64_t earliest = start_of_like(frontier, width, time, ranks, run_ns);
    for (int w = width; w > 0; w -= w & -w)
        for (int t = time; t > 0 && frontier->known[w]; t -= t & -t)
            if (frontier->rows[w].latest[t] > earliest)
                earliest = frontier->rows[w].latest[t];
    return as_time(earliest);
}
