#include "scheduler/shares.h"

#include <math.h>

/* Weights are kept below 2^this, far from what a double can hold. */
static const double most_half_lives = 400;

void qd_shares_init(qd_shares *shares, double half_life_s) {
    *shares = (qd_shares){.half_life_ns = half_life_s * 1e9};
}

void qd_shares_see(qd_shares *shares, int account) {
    shares->accounts += !shares->seen[account];
    shares->seen[account] = true;
}

static double half_lives(const qd_shares *shares, int64_t at_ns) {
    return (double)(at_ns - shares->begin_ns) / shares->half_life_ns;
}

static void rescale(qd_shares *shares, int64_t at_ns) {
    double scale = exp2(-half_lives(shares, at_ns));
    shares->begin_ns = at_ns;
    shares->total = 0;
    for (int i = 0; i < QD_ACCOUNTS; i++) {
        shares->usage[i] *= scale;
        shares->total += shares->usage[i];
    }
}

void qd_shares_use(qd_shares *shares, int account, int64_t at_ns, double rank_s) {
    if (half_lives(shares, at_ns) > most_half_lives)
        rescale(shares, at_ns);
    double weighted = rank_s * exp2(half_lives(shares, at_ns));
    double before = shares->usage[account];
    /* Taking back what was added before may leave a rounding error below 0. */
    shares->usage[account] = fmax(0, before + weighted);
    shares->total = fmax(0, shares->total + shares->usage[account] - before);
}

double qd_shares_factor(const qd_shares *shares, int account) {
    if (shares->usage[account] <= 0 || shares->total <= 0)
        return 1;
    return exp2(-shares->usage[account] / shares->total * shares->accounts);
}
