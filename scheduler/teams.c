#include "scheduler/teams.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/error.h"
#include "runtime/text.h"
#include "scheduler/policy.h"

enum { WORDS_BYTES = 256 };

/* The file whose settings are looked at. */
typedef struct source {
    const char *file;
    const qd_schema_lines *lines;
    const char *prefix;
    const qd_scheduling *scheduling;
} source;

/* "FILE:LINE: teams[2].quota: WORDS" */
static int wrong(const source *s, int team, const char *key, const char *words) {
    char path[128];
    snprintf(path, sizeof path, "%steams[%d].%s", s->prefix, team, key);
    return qd_error_set(QD_ECONFIG, "%s:%d: %s: %s", s->file, qd_schema_line(s->lines, path), path,
                        words);
}

static int find(const qd_scheduling *s, const char *name) {
    for (int i = 0; i < s->team_count; i++)
        if (strcmp(s->teams[i].name, name) == 0)
            return i;
    return QD_NO_TEAM;
}

static int parent_of(const qd_scheduling *s, int team) {
    return find(s, s->teams[team].parent);
}

static bool is_top(const qd_scheduling *s, int team) {
    return strcmp(s->teams[team].parent, "none") == 0;
}

/* ---- whether it is a tree ---- */

static int check_name(const source *s, int team) {
    char words[WORDS_BYTES];
    const char *name = s->scheduling->teams[team].name;
    if (strcmp(name, "none") == 0)
        return wrong(s, team, "name", "'none' stands for no team; choose another name");
    if (find(s->scheduling, name) == team)
        return 0;
    snprintf(words, sizeof words, "'%s' is the name of another team, too; each needs its own",
             name);
    return wrong(s, team, "name", words);
}

static int check_parent(const source *s, int team) {
    char words[WORDS_BYTES];
    const qd_scheduling *all = s->scheduling;
    int level = 0;
    if (!is_top(all, team) && parent_of(all, team) == QD_NO_TEAM) {
        snprintf(words, sizeof words, "no team is called '%s'; expected one of the list, or none",
                 all->teams[team].parent);
        return wrong(s, team, "parent", words);
    }
    for (int at = team; !is_top(all, at); at = parent_of(all, at), level++) {
        int parent = parent_of(all, at);
        if (parent == QD_NO_TEAM)
            return 0; /* said of the team whose parent that is */
        if (parent == team) {
            snprintf(words, sizeof words, "'%s' is, over its parents, a member of itself",
                     all->teams[team].name);
            return wrong(s, team, "parent", words);
        }
        if (level > all->team_count)
            return 0; /* a circle further up */
    }
    if (level < QD_TEAM_LEVELS)
        return 0;
    snprintf(words, sizeof words, "'%s' is on level %d; there are at most %d",
             all->teams[team].name, level + 1, QD_TEAM_LEVELS);
    return wrong(s, team, "parent", words);
}

/* ---- what it owns ---- */

/* What is below each team owns together: [team_count] and, behind it, all at the top. Returns
 * whether anybody owns anything. */
static bool add_up(const qd_scheduling *s, const qd_team_tree *tree, int64_t *below) {
    bool any = false;
    memset(below, 0, ((size_t)s->team_count + 1) * sizeof *below);
    for (int level = QD_TEAM_LEVELS - 1; level >= 0; level--)
        for (int i = 0; i < s->team_count; i++) {
            const qd_team *team = &tree->team[i];
            const qd_optional_int *quota = &s->teams[i].quota;
            if (team->level != level)
                continue;
            any = any || quota->given;
            below[team->parent == QD_NO_TEAM ? s->team_count : team->parent] +=
                quota->given ? quota->value : below[i];
        }
    return any;
}

static int check_quotas(const source *s, const qd_team_tree *tree) {
    int64_t below[QD_TEAMS + 1];
    char words[WORDS_BYTES];
    const qd_scheduling *all = s->scheduling;
    bool any = add_up(all, tree, below);
    for (int i = 0; any && i < all->team_count; i++) {
        const qd_optional_int *quota = &all->teams[i].quota;
        if (!quota->given)
            continue;
        if (!qd_policies[all->policy]->by_class)
            return wrong(s, i, "quota",
                         "needs scheduler.policy multifactor, which calls back what was lent");
        if (quota->value >= below[i])
            continue;
        snprintf(words, sizeof words,
                 "'%s' owns %lld ranks and its members %lld together; it needs as many",
                 all->teams[i].name, (long long)quota->value, (long long)below[i]);
        return wrong(s, i, "quota", words);
    }
    return 0;
}

static void set_level(const qd_scheduling *s, qd_team_tree *tree, int team) {
    tree->team[team].parent = parent_of(s, team);
    tree->team[team].level = 0;
    for (int at = team; parent_of(s, at) != QD_NO_TEAM; at = parent_of(s, at))
        tree->team[team].level++;
}

int qd_teams_check(const char *file, const qd_schema_lines *lines, const char *prefix,
                   const qd_scheduling *scheduling) {
    const source s = {file, lines, prefix, scheduling};
    qd_team_tree *tree = NULL;
    int rc = 0;
    for (int i = 0; !rc && i < scheduling->team_count; i++)
        rc = check_name(&s, i);
    for (int i = 0; !rc && i < scheduling->team_count; i++)
        rc = check_parent(&s, i);
    if (!rc && scheduling->team_count > 0)
        rc = qd_teams_create(scheduling, &tree);
    if (tree)
        rc = check_quotas(&s, tree);
    free(tree);
    return rc;
}

/* ---- what it means ---- */

static bool has_members(const qd_scheduling *s, int team) {
    for (int i = 0; i < s->team_count; i++)
        if (strcmp(s->teams[i].parent, s->teams[team].name) == 0)
            return true;
    return false;
}

static void set_limits(const qd_scheduling *s, qd_team_tree *tree, int i) {
    qd_team *team = &tree->team[i];
    const qd_team_entry *entry = &s->teams[i];
    team->most_jobs = entry->jobs.given  ? entry->jobs.value
                      : team->is_account ? s->account_jobs
                                         : 0;
    team->most_ranks = entry->ranks.given ? entry->ranks.value
                       : team->is_account ? s->account_ranks
                                          : 0;
}

/* All members of a team own something, or none does. */
static void set_quotas(const qd_scheduling *s, qd_team_tree *tree) {
    int64_t below[QD_TEAMS + 1];
    bool owned[QD_TEAMS + 1] = {false}; /* a member of this team has a quota, or one below it */
    tree->has_quotas = add_up(s, tree, below) && qd_policies[s->policy]->by_class;
    for (int i = 0; i < s->team_count; i++)
        for (int at = i; s->teams[i].quota.given && at != QD_NO_TEAM; at = tree->team[at].parent)
            owned[tree->team[at].parent == QD_NO_TEAM ? s->team_count : tree->team[at].parent] =
                true;
    for (int i = 0; i < s->team_count; i++) {
        qd_team *team = &tree->team[i];
        const qd_optional_int *quota = &s->teams[i].quota;
        bool owns = owned[team->parent == QD_NO_TEAM ? s->team_count : team->parent];
        if (tree->has_quotas && owns)
            team->quota = quota->given ? quota->value : below[i];
    }
}

static void set_named(const qd_scheduling *s, qd_team_tree *tree) {
    tree->count = s->team_count;
    for (int i = 0; i < s->team_count; i++) {
        qd_team *team = &tree->team[i];
        *team = (qd_team){.quota = QD_NO_QUOTA,
                          .is_account = !has_members(s, i),
                          .lends = s->teams[i].lends,
                          .shares = s->teams[i].shares};
        set_level(s, tree, i);
        set_limits(s, tree, i);
    }
    set_quotas(s, tree);
}

static void set_nameless(const qd_scheduling *s, qd_team_tree *tree) {
    tree->count = QD_ACCOUNTS;
    for (int i = 0; i < QD_ACCOUNTS; i++)
        tree->team[i] = (qd_team){.parent = QD_NO_TEAM,
                                  .is_account = true,
                                  .most_jobs = s->account_jobs,
                                  .most_ranks = s->account_ranks,
                                  .quota = QD_NO_QUOTA,
                                  .lends = true,
                                  .shares = 1};
}

int qd_teams_create(const qd_scheduling *scheduling, qd_team_tree **out) {
    qd_team_tree *tree = calloc(1, sizeof *tree);
    if (!tree)
        return qd_error_set(QD_ENOMEM, "no memory for a tree of teams");
    tree->has_names = scheduling->team_count > 0;
    if (tree->has_names)
        set_named(scheduling, tree);
    else
        set_nameless(scheduling, tree);
    for (int i = 0; i < tree->count; i++)
        if (tree->team[i].most_jobs > 0 || tree->team[i].most_ranks > 0)
            tree->has_limits = true;
    *out = tree;
    return 0;
}

int qd_teams_find(const qd_scheduling *s, const char *name) {
    int found = find(s, name);
    if (found != QD_NO_TEAM && !has_members(s, found))
        return found;
    qd_text names = {0};
    for (int i = 0; i < s->team_count; i++)
        if (!has_members(s, i))
            qd_text_add(&names, "%s%s", names.length > 0 ? ", " : "", s->teams[i].name);
    int rc = qd_error_set(QD_ECONFIG, "'%s' %s; accepted: %s", name,
                          found == QD_NO_TEAM ? "is no team of the cluster file"
                                              : "is a team with members",
                          names.failed ? "a team without members" : names.bytes);
    qd_text_fini(&names);
    return rc;
}

int qd_teams_first(const qd_scheduling *scheduling) {
    int first = 0;
    while (first < scheduling->team_count && has_members(scheduling, first))
        first++;
    return first;
}

int qd_teams_named(const qd_scheduling *scheduling, const char *name) {
    return find(scheduling, name);
}

bool qd_teams_is_within(const qd_scheduling *scheduling, const char *name, const char *team) {
    int at = find(scheduling, name), wanted = find(scheduling, team);
    while (at != QD_NO_TEAM && at != wanted)
        at = parent_of(scheduling, at);
    return at != QD_NO_TEAM;
}

const char *qd_teams_name(const qd_scheduling *scheduling, int team) {
    return team >= 0 && team < scheduling->team_count ? scheduling->teams[team].name : "";
}

int qd_teams_common(const qd_team_tree *tree, int a, int b) {
    while (a != b && a != QD_NO_TEAM && b != QD_NO_TEAM) {
        if (tree->team[a].level >= tree->team[b].level)
            a = tree->team[a].parent;
        else
            b = tree->team[b].parent;
    }
    return a == b ? a : QD_NO_TEAM;
}
