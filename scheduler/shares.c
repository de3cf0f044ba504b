#include "scheduler/shares.h"

#include <math.h>

/* Weights are kept below 2^this, far from what a double can hold. */
static const double most_half_lives = 400;

void qd_shares_init(qd_shares *shares, double half_life_s, const qd_team_tree *tree) {
    *shares = (qd_shares){.half_life_ns = half_life_s * 1e9, .teams = tree};
}

static int parent_of(const qd_shares *shares, int team) {
    return shares->teams->team[team].parent;
}

void qd_shares_see(qd_shares *shares, int account) {
    for (int team = account; team != QD_NO_TEAM && !shares->seen[team];
         team = parent_of(shares, team)) {
        int parent = parent_of(shares, team);
        double *members = parent == QD_NO_TEAM ? &shares->top_members : &shares->members[parent];
        *members += shares->teams->team[team].shares;
        shares->seen[team] = true;
        shares->seen_count++;
    }
}

static double half_lives(const qd_shares *shares, int64_t at_ns) {
    return (double)(at_ns - shares->begin_ns) / shares->half_life_ns;
}

static void rescale(qd_shares *shares, int64_t at_ns) {
    double scale = exp2(-half_lives(shares, at_ns));
    shares->begin_ns = at_ns;
    shares->total *= scale;
    for (int i = 0; i < shares->teams->count; i++)
        shares->usage[i] *= scale;
}

/* Taking back what was added before may leave a rounding error below 0. */
static void add(double *usage, double weighted) {
    *usage = fmax(0, *usage + weighted);
}

void qd_shares_use(qd_shares *shares, int account, int64_t at_ns, double rank_s) {
    if (half_lives(shares, at_ns) > most_half_lives)
        rescale(shares, at_ns);
    double weighted = rank_s * exp2(half_lives(shares, at_ns));
    double before = shares->usage[account];
    add(&shares->usage[account], weighted);
    double change = shares->usage[account] - before;
    for (int team = parent_of(shares, account); team != QD_NO_TEAM; team = parent_of(shares, team))
        add(&shares->usage[team], change);
    add(&shares->total, change);
}

double qd_shares_factor(const qd_shares *shares, int account) {
    double halvings = 0;
    for (int team = account; team != QD_NO_TEAM; team = parent_of(shares, team)) {
        int parent = parent_of(shares, team);
        double used = parent == QD_NO_TEAM ? shares->total : shares->usage[parent];
        double members = parent == QD_NO_TEAM ? shares->top_members : shares->members[parent];
        double own = shares->teams->team[team].shares;
        if (own <= 0)
            return 0;
        if (shares->usage[team] > 0 && used > 0)
            halvings += shares->usage[team] / used * members / own;
    }
    return exp2(-halvings);
}
