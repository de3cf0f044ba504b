/*
 * teams.h: the tree of teams and users that share the cluster. Who is below nobody else is an
 * account: it is what a job names. Where the cluster file has no teams, there are QD_ACCOUNTS
 * accounts beside each other, all alike.
 *
 * A quota says how many ranks a team owns. Where one of the members of a team (or of the teams at
 * the top) has a quota, all have: who was given none owns what its own members own together, so
 * nothing if they own nothing. Where none has, they share what their team owns.
 *
 * A limit says how many jobs and ranks a team with all that is below it may hold; an account that
 * was given none has those of scheduler.limits.
 */
#ifndef QD_SCHEDULER_TEAMS_H
#define QD_SCHEDULER_TEAMS_H

#include <stdbool.h>
#include <stdint.h>

#include "runtime/schema.h"
#include "scheduler/core.h"
#include "scheduler/scheduling.h"

enum { QD_NO_TEAM = -1, QD_NO_QUOTA = -1 };

typedef struct qd_team {
    int parent; /* QD_NO_TEAM: it is at the top */
    int level;  /* from 0, at the top */
    bool is_account;
    int64_t most_jobs, most_ranks; /* 0: any number */
    int64_t quota;                 /* ranks; QD_NO_QUOTA */
    bool lends;
    double shares;
} qd_team;

typedef struct qd_team_tree {
    int count;
    bool has_names;  /* they are those of scheduling->teams */
    bool has_limits; /* somewhere */
    bool has_quotas;
    qd_team team[QD_ACCOUNTS]; /* [count] */
} qd_team_tree;

/* Whether scheduling->teams is a tree in which nobody owns less than what is below it. lines: of
 * the file, where the keys of scheduling follow prefix. QD_ECONFIG with file and line. */
int qd_teams_check(const char *file, const qd_schema_lines *lines, const char *prefix,
                   const qd_scheduling *scheduling);

/* Of settings that were checked. Owner of *tree: the caller (free). QD_ENOMEM. */
int qd_teams_create(const qd_scheduling *scheduling, qd_team_tree **tree);

/* The number of the account of that name. QD_ECONFIG: there is none, or it has members. */
int qd_teams_find(const qd_scheduling *scheduling, const char *name);

/* The first account; 0 where there are no teams. */
int qd_teams_first(const qd_scheduling *scheduling);

/* The number of the team of that name, with or without members; QD_NO_TEAM. */
int qd_teams_named(const qd_scheduling *scheduling, const char *name);

/* Whether the first of two names is that of a team that is the other one, or below it. */
bool qd_teams_is_within(const qd_scheduling *scheduling, const char *name, const char *team);

/* The name of a team, for messages; "" where they have none. */
const char *qd_teams_name(const qd_scheduling *scheduling, int team);

/* The lowest team that both are in, or are; QD_NO_TEAM. O(levels). */
int qd_teams_common(const qd_team_tree *tree, int a, int b);

#endif
