#include "scheduler/scheduling.h"

#include "runtime/error.h"
#include "scheduler/policy.h"
#include "scheduler/teams.h"

#define AT(member) .offset = offsetof(qd_scheduling, member)
#define WEIGHT(name, member, value)                                                                \
    { name, QD_FIELD_INT, 0, AT(member), .min = 0, .max = 1000000, .preset = value }
#define SECONDS(name, member, value)                                                               \
    { name, QD_FIELD_REAL, 0, AT(member), .min = 1, .max = 1e9, .preset = value }

/* conf/cluster.yaml repeats these defaults, each with its reason; a test holds the two together. */

static const qd_field weights_fields[] = {
    WEIGHT("class", weight_class, "10000"), WEIGHT("urgency", weight_urgency, "5000"),
    WEIGHT("age", weight_age, "1000"),      WEIGHT("fair_share", weight_fair_share, "2000"),
    WEIGHT("size", weight_size, "0"),       {0},
};

static const qd_field attained_fields[] = {
    SECONDS("quantum_s", quantum_s, "1800"),
    SECONDS("limit_1", limits[0], "3600"),
    SECONDS("limit_2", limits[1], "36000"),
    SECONDS("limit_3", limits[2], "360000"),
    {"promotion", QD_FIELD_REAL, 0, AT(promotion), .min = 1, .max = 1e6, .preset = "4"},
    {0},
};

static const char *const preempt_words[] = {"none", "class", "surplus", NULL};

static const qd_field preemption_fields[] = {
    {"by", QD_FIELD_CHOICE, 0, AT(preempt_by), .choices = preempt_words, .preset = "none"},
    {"min_run_s", QD_FIELD_REAL, 0, AT(min_run_s), .max = 1e9, .preset = "60"},
    SECONDS("grace_s", save_grace_s, "120"),
    {0},
};

static const qd_field grow_fields[] = {
    {"enabled", QD_FIELD_BOOL, 0, AT(grow), .preset = "false"},
    {"cost_s", QD_FIELD_REAL, 0, AT(grow_cost_s), .max = 1e9, .preset = "60"},
    {"min_run_s", QD_FIELD_REAL, 0, AT(grow_min_run_s), .max = 1e9, .preset = "300"},
    {0},
};

static const qd_field swap_fields[] = {
    {"enabled", QD_FIELD_BOOL, 0, AT(swap), .preset = "false"},
    {"ratio", QD_FIELD_REAL, 0, AT(swap_ratio), .min = 1, .max = 1000, .preset = "1.25"},
    {"cost_s", QD_FIELD_REAL, 0, AT(swap_cost_s), .max = 1e9, .preset = "60"},
    {0},
};

static const qd_field migrate_fields[] = {
    {"enabled", QD_FIELD_BOOL, 0, AT(migrate), .preset = "false"},
    {"most", QD_FIELD_INT, 0, AT(migrate_per_hour), .max = 1000000, .preset = "4"},
    {"cost_s", QD_FIELD_REAL, 0, AT(migrate_cost_s), .max = 1e9, .preset = "60"},
    {0},
};

static const qd_field limits_fields[] = {
    {"jobs", QD_FIELD_INT, 0, AT(account_jobs), .max = 1000000, .preset = "0"},
    {"ranks", QD_FIELD_INT, 0, AT(account_ranks), .max = 1 << 24, .preset = "0"},
    {0},
};

#define OF_TEAM(member) .offset = offsetof(qd_team_entry, member)
static const qd_field team_fields[] = {
    {"name", QD_FIELD_NAME, QD_FIELD_REQUIRED, OF_TEAM(name), .size = QD_TEAM_NAME_BYTES},
    {"parent", QD_FIELD_NAME, 0, OF_TEAM(parent), .size = QD_TEAM_NAME_BYTES, .preset = "none"},
    {"quota", QD_FIELD_INT_OR_NONE, 0, OF_TEAM(quota), .max = 1 << 24, .preset = "none"},
    {"lends", QD_FIELD_BOOL, 0, OF_TEAM(lends), .preset = "true"},
    {"shares", QD_FIELD_REAL, 0, OF_TEAM(shares), .max = 1e6, .preset = "1"},
    {"jobs", QD_FIELD_INT_OR_NONE, 0, OF_TEAM(jobs), .max = 1000000, .preset = "none"},
    {"ranks", QD_FIELD_INT_OR_NONE, 0, OF_TEAM(ranks), .max = 1 << 24, .preset = "none"},
    {0},
};

const qd_field qd_scheduling_fields[] = {
    {"policy", QD_FIELD_CHOICE, 0, AT(policy), .choices = qd_policy_names, .preset = "fifo"},
    {"weights", QD_FIELD_MAPPING, .fields = weights_fields},
    SECONDS("age_s", age_s, "604800"),
    SECONDS("urgency_s", urgency_s, "86400"),
    SECONDS("half_life_s", half_life_s, "604800"),
    {"limits", QD_FIELD_MAPPING, .fields = limits_fields},
    {"teams", QD_FIELD_MAPPING_LIST, 0, AT(teams), .size = QD_TEAMS,
     .count_offset = offsetof(qd_scheduling, team_count), .entry_size = sizeof(qd_team_entry),
     .fields = team_fields},
    {"preemption", QD_FIELD_MAPPING, .fields = preemption_fields},
    {"grow", QD_FIELD_MAPPING, .fields = grow_fields},
    {"swap", QD_FIELD_MAPPING, .fields = swap_fields},
    {"migrate", QD_FIELD_MAPPING, .fields = migrate_fields},
    {"spare_wait_s", QD_FIELD_REAL, 0, AT(spare_wait_s), .max = 1e9, .preset = "600"},
    {"attained", QD_FIELD_MAPPING, .fields = attained_fields},
    {0},
};

void qd_scheduling_defaults(qd_scheduling *scheduling) {
    qd_schema_defaults(qd_scheduling_fields, scheduling, sizeof *scheduling);
}

int qd_scheduling_of(const char *policy, qd_scheduling *scheduling) {
    int index = qd_policy_find(policy);
    if (index < 0)
        return index;
    qd_scheduling_defaults(scheduling);
    scheduling->policy = index;
    return 0;
}

void qd_scheduling_emit(const qd_scheduling *scheduling, qd_text *out) {
    qd_schema_emit(qd_scheduling_fields, scheduling, out);
}

bool qd_may_move(const qd_scheduling *scheduling) {
    return scheduling->swap || scheduling->migrate;
}

int qd_scheduling_check(const char *file, const qd_scheduling *s) {
    for (int i = 1; i < QD_ATTAINED_QUEUES - 1; i++)
        if (s->limits[i] <= s->limits[i - 1])
            return qd_error_set(QD_ECONFIG,
                                "%s: scheduler.attained.limit_%d %g is not above limit_%d %g; they "
                                "must rise",
                                file, i + 1, s->limits[i], i, s->limits[i - 1]);
    return 0;
}

int qd_scheduling_parse(const char *file, const char *text, size_t length,
                        qd_scheduling *scheduling) {
    qd_schema_lines *lines = NULL;
    qd_scheduling parsed;
    int rc =
        qd_schema_parse(qd_scheduling_fields, file, text, length, &parsed, sizeof parsed, &lines);
    if (!rc)
        rc = qd_scheduling_check(file, &parsed);
    if (!rc)
        rc = qd_teams_check(file, lines, "", &parsed);
    qd_schema_lines_destroy(lines);
    if (!rc)
        *scheduling = parsed;
    return rc;
}
