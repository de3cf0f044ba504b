#include "scheduler/quotas.h"

#include <stdlib.h>

#include "scheduler/core_internal.h"

typedef struct team_use {
    int64_t held; /* by all below, with what those below that do not lend keep idle */
    int64_t idle; /* of that, if nothing ran */
    /* Scratch: by all members below it that are entitled to more and wait; as of round. */
    int64_t round;
    int waiting_members;
    bool waits;
} team_use;

struct qd_quotas {
    const qd_team_tree *tree;
    team_use *team; /* [tree->count], and the whole cluster behind */
    int64_t round;
};

static int up(const qd_team_tree *tree, int team) {
    if (team == tree->count)
        return QD_NO_TEAM;
    int parent = tree->team[team].parent;
    return parent == QD_NO_TEAM ? tree->count : parent;
}

static int64_t quota_of(const qd_team_tree *tree, int team) {
    return team == tree->count ? QD_NO_QUOTA : tree->team[team].quota;
}

/* As those above it see it: one that does not lend keeps what it owns. */
static int64_t seen_from_above(const qd_team_tree *tree, int team, int64_t held) {
    int64_t quota = quota_of(tree, team);
    bool keeps = team < tree->count && !tree->team[team].lends && quota != QD_NO_QUOTA;
    return keeps && quota > held ? quota : held;
}

static void add(qd_quotas *quotas, int account, int64_t ranks) {
    const qd_team_tree *tree = quotas->tree;
    for (int team = account; team != QD_NO_TEAM && ranks != 0; team = up(tree, team)) {
        int64_t before = seen_from_above(tree, team, quotas->team[team].held);
        quotas->team[team].held += ranks;
        ranks = seen_from_above(tree, team, quotas->team[team].held) - before;
    }
}

/* What those that do not lend keep, from the lowest level upwards. */
static void keep_idle(qd_quotas *quotas) {
    const qd_team_tree *tree = quotas->tree;
    for (int level = QD_TEAM_LEVELS - 1; level >= 0; level--)
        for (int i = 0; i < tree->count; i++)
            if (tree->team[i].level == level)
                quotas->team[up(tree, i)].held += seen_from_above(tree, i, quotas->team[i].held);
    for (int i = 0; i <= tree->count; i++)
        quotas->team[i].idle = quotas->team[i].held;
}

qd_quotas *qd_quotas_create(const qd_team_tree *tree) {
    qd_quotas *quotas = calloc(1, sizeof *quotas);
    team_use *team = calloc((size_t)tree->count + 1, sizeof *team);
    if (!quotas || !team) {
        free(quotas);
        free(team);
        return NULL;
    }
    *quotas = (qd_quotas){.tree = tree, .team = team, .round = 1};
    keep_idle(quotas);
    return quotas;
}

void qd_quotas_destroy(qd_quotas *quotas) {
    if (quotas)
        free(quotas->team);
    free(quotas);
}

void qd_quotas_hold(qd_core *core, qd_job_record *job, int ranks) {
    if (!core->quotas)
        return;
    add(core->quotas, job->submit.account, ranks - job->quota_ranks);
    job->quota_ranks = ranks;
}

void qd_quotas_take_over(qd_core *core, qd_job_record *job) {
    int ranks = job->quota_ranks;
    job->quota_ranks = 0;
    qd_quotas_hold(core, job, ranks);
}

/* ---- room ---- */

/* Ranks that teams share: not those of reservations that run. */
static int64_t shared_ranks(const qd_core *core) {
    int64_t ranks = qd_ranks_in_service(&core->ranks);
    for (int i = 0; i < core->book.count; i++)
        ranks -= core->book.bookings[i].has;
    return ranks;
}

/* What a team keeps for its members: so much of what they take changes nothing above it. */
static int64_t kept_by(const qd_quotas *quotas, int team) {
    int64_t held = quotas->team[team].held;
    return seen_from_above(quotas->tree, team, held) - held;
}

/* The least room within a quota, of the account and those above it; and whose that is. */
static int64_t least_room(const qd_quotas *quotas, int account, int *bound) {
    int64_t least = INT64_MAX, kept = 0;
    *bound = account;
    for (int team = account; team != QD_NO_TEAM; team = up(quotas->tree, team)) {
        int64_t quota = quota_of(quotas->tree, team);
        int64_t room = quota - quotas->team[team].held + kept;
        if (quota != QD_NO_QUOTA && room < least) {
            least = room;
            *bound = team;
        }
        kept += kept_by(quotas, team);
    }
    return least;
}

int qd_quotas_bound(const qd_core *core, int account) {
    int bound;
    least_room(core->quotas, account, &bound);
    return bound;
}

int64_t qd_quotas_own(const qd_core *core, int account) {
    int bound;
    return least_room(core->quotas, account, &bound);
}

static bool another_member_waits(const qd_quotas *quotas, int team) {
    const team_use *use = &quotas->team[team], *above = &quotas->team[up(quotas->tree, team)];
    int waiting = above->round == quotas->round ? above->waiting_members : 0;
    return waiting > (use->round == quotas->round && use->waits ? 1 : 0);
}

/* Of a team, where its parent has so much: what it owns it gets, whoever has it now. */
static int64_t room_below(const qd_quotas *quotas, int team, int64_t room_above, int64_t held,
                          bool wanted) {
    int64_t quota = quota_of(quotas->tree, team), own = quota - held;
    if (quota == QD_NO_QUOTA)
        return room_above;
    if (wanted)
        return own;
    int64_t kept = quotas->tree->team[team].lends || own < 0 ? 0 : own;
    int64_t with_others = kept + (room_above > 0 ? room_above : 0);
    return own > with_others ? own : with_others;
}

static int64_t room_of(const qd_quotas *quotas, int team, int64_t ranks) {
    if (team == quotas->tree->count)
        return ranks - quotas->team[team].held;
    return room_below(quotas, team, room_of(quotas, up(quotas->tree, team), ranks),
                      quotas->team[team].held, another_member_waits(quotas, team));
}

int64_t qd_quotas_room(const qd_core *core, int account) {
    return room_of(core->quotas, account, shared_ranks(core));
}

int64_t qd_quotas_unheld(const qd_core *core, int account) {
    const qd_quotas *quotas = core->quotas;
    const qd_team_tree *tree = quotas->tree;
    int64_t unheld = shared_ranks(core) - quotas->team[tree->count].held;
    for (int team = account; team != tree->count; team = up(tree, team))
        unheld += kept_by(quotas, team);
    return unheld;
}

int64_t qd_quotas_more(const qd_core *core, const qd_job_record *job) {
    int account = job->submit.account;
    int64_t most =
        job->submit.keeps_ranks ? qd_quotas_own(core, account) : qd_quotas_room(core, account);
    int64_t unheld = qd_quotas_unheld(core, account);
    most = unheld < most ? unheld : most;
    return most > 0 ? most : 0;
}

static int64_t most_of(const qd_quotas *quotas, int team, int64_t ranks) {
    if (team == quotas->tree->count)
        return ranks - quotas->team[team].idle;
    return room_below(quotas, team, most_of(quotas, up(quotas->tree, team), ranks),
                      quotas->team[team].idle, false);
}

int64_t qd_quotas_most(const qd_core *core, const qd_job_record *job) {
    const qd_quotas *quotas = core->quotas;
    int64_t own = INT64_MAX;
    if (!job->submit.keeps_ranks)
        return most_of(quotas, job->submit.account, qd_ranks_alive(&core->ranks));
    for (int team = job->submit.account; team != QD_NO_TEAM; team = up(quotas->tree, team)) {
        int64_t quota = quota_of(quotas->tree, team);
        own = quota != QD_NO_QUOTA && quota < own ? quota : own;
    }
    return own;
}

/* ---- who waits ---- */

void qd_quotas_nobody_waits(qd_core *core) {
    core->quotas->round++;
}

static team_use *fresh(qd_quotas *quotas, int team) {
    team_use *use = &quotas->team[team];
    if (use->round != quotas->round) {
        use->round = quotas->round;
        use->waiting_members = 0;
        use->waits = false;
    }
    return use;
}

void qd_quotas_waits(qd_core *core, int account, int64_t ranks) {
    qd_quotas *quotas = core->quotas;
    for (int team = account; team != quotas->tree->count; team = up(quotas->tree, team)) {
        team_use *use = fresh(quotas, team);
        int64_t quota = quota_of(quotas->tree, team);
        bool within = use->held + ranks <= quota;
        ranks -= kept_by(quotas, team) < ranks ? kept_by(quotas, team) : ranks;
        if (quota == QD_NO_QUOTA || use->waits || !within)
            continue;
        use->waits = true;
        fresh(quotas, up(quotas->tree, team))->waiting_members++;
    }
}

void qd_quotas_claims(qd_core *core, int account) {
    qd_quotas_waits(core, account, 0);
}

/* ---- who owns, who borrows ---- */

qd_standing qd_quotas_standing(const qd_core *core, const qd_job_record *holder,
                               const qd_job_record *job) {
    const qd_quotas *quotas = core->quotas;
    const qd_team_tree *tree = quotas->tree;
    int common = qd_teams_common(tree, holder->submit.account, job->submit.account);
    bool bounded = false, beyond = true, within = true;
    common = common == QD_NO_TEAM ? tree->count : common;
    for (int team = holder->submit.account; team != common; team = up(tree, team)) {
        int64_t quota = quota_of(tree, team);
        bounded = bounded || quota != QD_NO_QUOTA;
        beyond = beyond && (quota == QD_NO_QUOTA || quotas->team[team].held > quota);
    }
    /* Of the pending one, the highest quota counts: how its team deals with its own is its own
     * business. */
    int64_t ranks = job->entry.ranks;
    for (int team = job->submit.account; team != common; team = up(tree, team)) {
        int64_t quota = quota_of(tree, team), kept = kept_by(quotas, team);
        if (quota != QD_NO_QUOTA)
            within = quotas->team[team].held + ranks <= quota;
        ranks -= kept < ranks ? kept : ranks;
    }
    if (!bounded)
        return QD_SAME_SIDE;
    if (!beyond)
        return QD_OWNER;
    return within ? QD_BORROWER : QD_BORROWERS;
}

int64_t qd_quotas_lent(const qd_core *core, const qd_job_record *holder, const qd_job_record *job) {
    const qd_quotas *quotas = core->quotas;
    const qd_team_tree *tree = quotas->tree;
    int common = qd_teams_common(tree, holder->submit.account, job->submit.account);
    int64_t lent = INT64_MAX;
    common = common == QD_NO_TEAM ? tree->count : common;
    for (int team = holder->submit.account; team != common; team = up(tree, team)) {
        int64_t beyond = quotas->team[team].held - quota_of(tree, team);
        if (quota_of(tree, team) != QD_NO_QUOTA && beyond < lent)
            lent = beyond;
    }
    return lent;
}
