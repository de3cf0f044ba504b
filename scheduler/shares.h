/*
 * shares.h: what each account has used of the cluster, fading with a half-life, and how that counts
 * for its next job. A job is charged for its predicted rank-seconds when it starts, so that a burst
 * of starts counts at once, and set right when it ends. Time is the events' clock, which never
 * falls.
 *
 * Usage is kept as if it grew instead of fading (forward decay: Cormode et al., ICDE 2009): what is
 * used at t is added with weight 2^((t - begin) / half-life). What counts is an account's part of
 * the whole, in which the common growth cancels out; so nothing has to be touched as time passes.
 */
#ifndef QD_SCHEDULER_SHARES_H
#define QD_SCHEDULER_SHARES_H

#include "scheduler/core.h"

typedef struct qd_shares {
    double half_life_ns;
    int64_t begin_ns;
    double usage[QD_ACCOUNTS]; /* weighted rank-seconds */
    double total;
    bool seen[QD_ACCOUNTS];
    int accounts; /* that were ever seen */
} qd_shares;

void qd_shares_init(qd_shares *shares, double half_life_s);

/* The account has a job: it takes part from now on. */
void qd_shares_see(qd_shares *shares, int account);

/* Adds rank-seconds (may be negative) that count as used at at_ns. O(1), but for a rescaling of all
 * accounts once in some hundred half-lives. */
void qd_shares_use(qd_shares *shares, int account, int64_t at_ns, double rank_s);

/* 2^(-U/S), U the account's part of all usage, S its share (1 / accounts): 1 for one that has used
 * nothing, 1/2 for one that has used its share (Slurm's classic factor, priority_multifactor). */
double qd_shares_factor(const qd_shares *shares, int account);

#endif
