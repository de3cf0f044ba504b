/*
 * shares.h: what each account, and each team above it (teams.h), has used of the cluster, fading
 * with a half-life, and how that counts for its next job. A job is charged for its predicted
 * rank-seconds when it starts, so that a burst of starts counts at once, and set right when it
 * ends. Time is the events' clock, which never falls.
 *
 * Usage is kept as if it grew instead of fading (forward decay: Cormode et al., ICDE 2009): what is
 * used at t is added with weight 2^((t - begin) / half-life). What counts is an account's part of
 * the whole, in which the common growth cancels out; so nothing has to be touched as time passes.
 */
#ifndef QD_SCHEDULER_SHARES_H
#define QD_SCHEDULER_SHARES_H

#include "scheduler/core.h"
#include "scheduler/teams.h"

typedef struct qd_shares {
    const qd_team_tree *teams;
    double half_life_ns;
    int64_t begin_ns;
    double usage[QD_ACCOUNTS]; /* of each team: weighted rank-seconds */
    double total;
    bool seen[QD_ACCOUNTS];
    int seen_count;
    double members[QD_ACCOUNTS]; /* shares of those below each team that were ever seen */
    double top_members;          /* likewise at the top */
} qd_shares;

/* tree: outlives shares. */
void qd_shares_init(qd_shares *shares, double half_life_s, const qd_team_tree *tree);

/* The account has a job: it takes part from now on. */
void qd_shares_see(qd_shares *shares, int account);

/* Adds rank-seconds (may be negative) that count as used at at_ns. O(levels), but for a rescaling
 * of all accounts once in some hundred half-lives. */
void qd_shares_use(qd_shares *shares, int account, int64_t at_ns, double rank_s);

/*
 * The product, over the account and the teams above it, of 2^(-U/S): U its part of what its parent
 * has used, S its part of the shares of its parent's members. So 1 for one that has used nothing,
 * 1/2 for one on one level that has used its share; 0 for shares of 0. This is Slurm's classic
 * factor (priority_multifactor), with usage and shares taken level by level as in its Fair Tree
 * (fair_tree): among the members of a team only what they use counts. Fair Tree itself ranks all
 * accounts, which would be O(n log n) at each start; this is O(levels) an account.
 */
double qd_shares_factor(const qd_shares *shares, int account);

#endif
