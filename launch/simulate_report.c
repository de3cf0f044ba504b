#include "launch/simulate_report.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "runtime/error.h"

typedef struct column {
    const char *name; /* in JSON and in the table */
    size_t offset;    /* of a double in qd_simulation_metrics */
    int decimals;     /* to which it is rounded */
} column;

#define AT(member) offsetof(qd_simulation_metrics, member)
static const column columns[] = {
    {"mean JCT s", AT(mean_jct_s), 1},
    {"median JCT s", AT(median_jct_s), 3},
    {"p99 JCT s", AT(p99_jct_s), 3},
    {"mean wait s", AT(mean_wait_s), 1},
    {"longest wait s", AT(longest_wait_s), 3},
    {"makespan s", AT(makespan_s), 3},
    {"utilization", AT(utilization), 4},
    {"goodput", AT(goodput), 4},
    {"preemptions per job", AT(preemptions_per_job), 4},
    {"restarts per job", AT(restarts_per_job), 4},
    {"fairness", AT(fairness), 4},
    {"fragmentation", AT(fragmentation), 4},
};
enum { COLUMNS = sizeof columns / sizeof columns[0] };

static double value(const column *c, const qd_simulation_metrics *metrics) {
    double scale = pow(10, c->decimals);
    return round(*(const double *)((const char *)metrics + c->offset) * scale) / scale;
}

/* Whole numbers without a point. */
static json_t *number(double value) {
    return value == floor(value) && fabs(value) < 1e15 ? json_integer((json_int_t)value)
                                                       : json_real(value);
}

int qd_simulate_print_json(const char *trace, int ranks, const qd_simulate_row *row) {
    json_t *line =
        json_pack("{s:s, s:i, s:s}", "trace", trace, "ranks", ranks, "policy", row->policy);
    int failed = line ? 0 : -1;
    for (int i = 0; !failed && i < COLUMNS; i++)
        failed =
            json_object_set_new(line, columns[i].name, number(value(&columns[i], &row->metrics)));
    if (!failed)
        failed = json_object_set_new(line, "jobs", json_integer(row->metrics.completed));
    if (!failed)
        failed = json_object_set_new(line, "refused jobs", json_integer(row->metrics.refused));
    if (!failed)
        failed =
            json_object_set_new(line, "simulated in s", json_real(round(row->seconds * 1e4) / 1e4));
    if (!failed)
        failed = json_dumpf(line, stdout, JSON_REAL_PRECISION(15) | JSON_ENSURE_ASCII);
    json_decref(line);
    if (failed)
        return qd_error_set(QD_ENOMEM, "no memory for the report");
    putchar('\n');
    return 0;
}

void qd_simulate_print_table(const qd_trace *trace, int ranks, const qd_simulate_row *rows,
                             int count) {
    printf("%s: %d jobs on %d ranks", trace->name, trace->count, ranks);
    if (trace->left_out > 0)
        printf(" (%d without run time or ranks left out)", trace->left_out);
    if (rows[0].metrics.refused > 0)
        printf(" (%d wider than that refused)", rows[0].metrics.refused);
    printf("\n%-20s", "");
    for (int i = 0; i < count; i++)
        printf(" %14s", rows[i].policy);
    for (int c = 0; c < COLUMNS; c++) {
        printf("\n%-20s", columns[c].name);
        for (int i = 0; i < count; i++) {
            double v = value(&columns[c], &rows[i].metrics);
            printf(" %14.*f", v == floor(v) && columns[c].decimals == 3 ? 0 : columns[c].decimals,
                   v);
        }
    }
    putchar('\n');
}
