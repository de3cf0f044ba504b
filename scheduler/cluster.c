#include "scheduler/cluster.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/error.h"
#include "runtime/schema.h"
#include "runtime/yaml.h"
#include "scheduler/teams.h"

#define AT(member) .offset = offsetof(qd_cluster, member)
enum { MOST_RANKS = 1 << 24 };

/* conf/cluster.yaml repeats these defaults, each with its reason; a test holds the two together. */

static const qd_field workers_fields[] = {
    {"threads", QD_FIELD_INT, 0, AT(worker_threads), .min = 1, .max = 1024, .preset = "1"},
    {0},
};

static const qd_field collectives_fields[] = {
    {"transport", QD_FIELD_CHOICE, 0, AT(transport), .choices = qd_transport_names,
     .preset = "auto"},
    {"deadline_s", QD_FIELD_REAL, 0, AT(peer_deadline_s), .min = 0.1, .max = 86400,
     .preset = "120"},
    {0},
};

static const qd_field liveness_fields[] = {
    {"heartbeat_s", QD_FIELD_REAL, 0, AT(heartbeat_s), .min = 0.01, .max = 3600, .preset = "1"},
    {"timeout_s", QD_FIELD_REAL, 0, AT(worker_timeout_s), .min = 0.05, .max = 86400,
     .preset = "15"},
    {0},
};

static const qd_field stop_fields[] = {
    {"grace_s", QD_FIELD_REAL, 0, AT(stop_grace_s), .min = 0.1, .max = 86400, .preset = "25"},
    {0},
};

static const char *const reservation_kinds[] = {
    [QD_RESERVATION_ADVANCE] = "advance", [QD_RESERVATION_MAINTENANCE] = "maintenance", NULL};
static const struct {
    const char *word;
    int64_t ns;
} periods[] = {{"once", 0}, {"day", QD_WEEK_NS / 7}, {"week", QD_WEEK_NS}};
static const char *const every_words[] = {"once", "day", "week", NULL};

#define IN(member) .offset = offsetof(qd_cluster_reservation, member)
static const qd_field reservation_fields[] = {
    {"kind", QD_FIELD_CHOICE, 0, IN(kind), .choices = reservation_kinds, .preset = "advance"},
    {"name", QD_FIELD_NAME, QD_FIELD_REQUIRED, IN(name), .size = QD_RESERVATION_NAME_BYTES},
    {"ranks", QD_FIELD_INT, QD_FIELD_REQUIRED, IN(ranks), .min = 1, .max = MOST_RANKS,
     .when_key = "kind", .when = "advance"},
    {"from_s", QD_FIELD_REAL, QD_FIELD_REQUIRED, IN(from_s), .max = 1e9},
    {"until_s", QD_FIELD_REAL, QD_FIELD_REQUIRED, IN(until_s), .max = 1e9},
    {"every", QD_FIELD_CHOICE, 0, IN(every), .choices = every_words, .preset = "once"},
    {"account", QD_FIELD_NAME, 0, IN(account), .size = QD_RESERVATION_NAME_BYTES, .preset = "any",
     .when_key = "kind", .when = "advance"},
    {0},
};

_Static_assert(offsetof(qd_cluster, scheduling) == 0, "qd_scheduling_fields is bound to its start");

static const qd_field cluster_fields[] = {
    {"workers", QD_FIELD_MAPPING, .fields = workers_fields},
    {"collectives", QD_FIELD_MAPPING, .fields = collectives_fields},
    {"liveness", QD_FIELD_MAPPING, .fields = liveness_fields},
    {"stop", QD_FIELD_MAPPING, .fields = stop_fields},
    {"scheduler", QD_FIELD_MAPPING, .fields = qd_scheduling_fields},
    {"reservations", QD_FIELD_MAPPING_LIST, 0, AT(reservations), .size = QD_RESERVATIONS,
     .count_offset = offsetof(qd_cluster, reservation_count),
     .entry_size = sizeof(qd_cluster_reservation), .fields = reservation_fields},
    {"runs", QD_FIELD_TEXT, 0, AT(runs), .size = QD_CLUSTER_PATH_BYTES, .preset = "runs"},
    {0},
};

void qd_cluster_defaults(qd_cluster *cluster) {
    qd_schema_defaults(cluster_fields, cluster, sizeof *cluster);
}

/* With less, a single heartbeat that comes late would cost a worker. */
static int check_liveness(const char *file, const qd_schema_lines *lines,
                          const qd_cluster *cluster) {
    double least = 2 * cluster->heartbeat_s;
    bool given = qd_schema_given(lines, "liveness.timeout_s");
    if (cluster->worker_timeout_s >= least)
        return 0;
    return qd_error_set(
        QD_ECONFIG,
        "%s:%d: liveness.timeout_s %g%s is less than two times liveness.heartbeat_s %g; set "
        "liveness.timeout_s to %g or more",
        file, qd_schema_line(lines, given ? "liveness.timeout_s" : "liveness.heartbeat_s"),
        cluster->worker_timeout_s, given ? "" : " (the default)", cluster->heartbeat_s, least);
}

qd_reservation qd_cluster_reservation_at(const qd_cluster *cluster, int i, int64_t zero_ns,
                                         int account) {
    const qd_cluster_reservation *r = &cluster->reservations[i];
    qd_reservation reservation = {.number = i + 1,
                                  .kind = r->kind,
                                  .ranks = (int)r->ranks,
                                  .account = account,
                                  .from_ns = zero_ns + llround(r->from_s * 1e9),
                                  .until_ns = zero_ns + llround(r->until_s * 1e9),
                                  .every_ns = periods[r->every].ns};
    memcpy(reservation.name, r->name, sizeof reservation.name);
    return reservation;
}

int qd_cluster_check_ranks(const char *file, const qd_cluster *cluster, int ranks) {
    qd_book book = {0};
    int rc = 0;
    for (int i = 0; !rc && i < cluster->reservation_count; i++) {
        qd_reservation reservation = qd_cluster_reservation_at(cluster, i, 0, -1);
        rc = qd_book_add(&book, &reservation, ranks, 0, 0);
        if (rc)
            rc = qd_error_context(QD_ECONFIG, "%s:%d", file, cluster->reservations[i].line);
    }
    return rc;
}

static void note_lines(const qd_schema_lines *lines, qd_cluster *cluster) {
    char path[64];
    for (int i = 0; i < cluster->reservation_count; i++) {
        snprintf(path, sizeof path, "reservations[%d]", i);
        cluster->reservations[i].line = qd_schema_line(lines, path);
    }
}

int qd_cluster_parse(const char *file, const char *text, size_t length, qd_cluster *cluster) {
    qd_schema_lines *lines = NULL;
    qd_cluster parsed;
    int rc = qd_schema_parse(cluster_fields, file, text, length, &parsed, sizeof parsed, &lines);
    if (rc)
        return rc;
    rc = check_liveness(file, lines, &parsed);
    if (!rc)
        rc = qd_scheduling_check(file, &parsed.scheduling);
    note_lines(lines, &parsed);
    if (!rc)
        rc = qd_cluster_check_ranks(file, &parsed, MOST_RANKS);
    if (!rc)
        rc = qd_teams_check(file, lines, "scheduler.", &parsed.scheduling);
    qd_schema_lines_destroy(lines);
    if (!rc)
        *cluster = parsed;
    return rc;
}

int qd_cluster_load(const char *file, qd_cluster *cluster) {
    char *text = NULL;
    size_t length = 0;
    int rc = qd_yaml_read_file(file, &text, &length);
    if (!rc)
        rc = qd_cluster_parse(file, text, length, cluster);
    free(text);
    return rc;
}

void qd_cluster_emit(const qd_cluster *cluster, qd_text *out) {
    qd_schema_emit(cluster_fields, cluster, out);
}
