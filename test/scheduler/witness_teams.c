#include <string.h>

#include "core_witness_internal.h"

static int64_t any_if_0(int64_t most) {
    return most > 0 ? most : INT64_MAX;
}

static int named(const qd_scheduling *s, const char *name) {
    for (int i = 0; i < s->team_count; i++)
        if (strcmp(s->teams[i].name, name) == 0)
            return i;
    return -1;
}

/* What it owns: as the file says, else what its members own. *said: the file says so somewhere. */
static int64_t owned_by(const witness *w, const qd_scheduling *s, int team, bool *said) {
    int64_t sum = 0;
    if (s->teams[team].quota.given) {
        *said = true;
        return s->teams[team].quota.value;
    }
    for (int i = 0; i < w->team_count; i++)
        sum += w->teams[i].parent == team ? owned_by(w, s, i, said) : 0;
    return sum;
}

static void note_tree(witness *w, const qd_scheduling *s) {
    for (int i = 0; i < w->team_count; i++)
        w->teams[i].parent = named(s, s->teams[i].parent);
    for (int i = 0; i < w->team_count; i++) {
        witness_team *team = &w->teams[i];
        const qd_team_entry *entry = &s->teams[i];
        bool said = false; /* of one with the same parent */
        for (int k = 0; k < w->team_count; k++) {
            team->has_members = team->has_members || w->teams[k].parent == i;
            if (w->teams[k].parent == team->parent)
                owned_by(w, s, k, &said);
        }
        bool own = !team->has_members;
        team->lends = entry->lends;
        team->most_jobs = any_if_0(entry->jobs.given ? entry->jobs.value : own * s->account_jobs);
        team->most_ranks =
            any_if_0(entry->ranks.given ? entry->ranks.value : own * s->account_ranks);
        team->quota = said ? owned_by(w, s, i, &said) : -1;
        w->has_quotas = w->has_quotas || said;
    }
}

void note_teams(witness *w, const qd_scheduling *s) {
    w->has_tree = s->team_count > 0;
    w->team_count = w->has_tree ? s->team_count : QD_TEAMS;
    for (int i = 0; i < w->team_count && !w->has_tree; i++)
        w->teams[i] = (witness_team){.parent = -1,
                                     .most_jobs = any_if_0(s->account_jobs),
                                     .most_ranks = any_if_0(s->account_ranks),
                                     .quota = -1};
    if (w->has_tree)
        note_tree(w, s);
}

bool is_below(const witness *w, int account, int team) {
    int at = account;
    while (at != team && at >= 0)
        at = w->teams[at].parent;
    return at == team;
}

bool is_in(const witness *w, const witness_job *job, int team) {
    return is_below(w, job->submit.account, team);
}
