#include "launch/pipeline_report.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "models/pipeline_simulate.h"
#include "models/pipeline_stages.h"
#include "runtime/error.h"

struct qd_pipeline_report {
    const qd_graph *graph;
    const qd_timeline *timeline;
    const char *schedule;
    qd_pipeline_table *table;
    qd_pipeline_stages *stages;
    qd_pipeline_run *even;     /* every forward and either half of a backward takes 1 */
    qd_pipeline_run *by_flops; /* each part takes what its FLOPs say */
};

/* ---- making it ---- */

static int simulate(const qd_pipeline_report *report, bool even, qd_pipeline_run **run) {
    int parts = report->stages->parts;
    qd_pipeline_cost *cost = malloc((size_t)parts * sizeof *cost);
    if (!cost)
        return qd_error_set(QD_ENOMEM, "no memory for the costs of %d parts", parts);
    for (int k = 0; k < parts; k++)
        cost[k] = even ? (qd_pipeline_cost){1, 1, 1}
                       : qd_pipeline_part_flops(report->graph, report->timeline,
                                                &report->stages->part[k]);
    qd_pipeline_times times = {.part = cost, .receives_ahead = QD_PIPELINE_BUFFERED};
    int rc = qd_pipeline_simulate(report->table, &times, run);
    free(cost);
    return rc;
}

static int cut(const qd_pipeline_request *request, qd_pipeline_report *report) {
    double *cost = malloc((size_t)report->graph->node_count * sizeof *cost);
    if (!cost)
        return qd_error_set(QD_ENOMEM, "no memory for the costs of a graph's nodes");
    qd_pipeline_flops(report->graph, report->timeline, cost);
    int rc = qd_pipeline_stages_create(report->graph, request->stages * request->chunks, cost,
                                       &report->stages);
    free(cost);
    return rc ? qd_error_context(rc, "%d stages of %d chunk%s", request->stages, request->chunks,
                                 request->chunks > 1 ? "s" : "")
              : 0;
}

int qd_pipeline_report_create(const qd_pipeline_request *request, const qd_graph *graph,
                              const qd_timeline *timeline, qd_pipeline_report **report) {
    const qd_pipeline_kind *kind = qd_pipeline_by_name(request->schedule);
    if (!kind)
        return QD_ECONFIG;
    qd_pipeline_report *r = calloc(1, sizeof *r);
    if (!r)
        return qd_error_set(QD_ENOMEM, "no memory for a pipeline's report");
    r->graph = graph;
    r->timeline = timeline;
    r->schedule = kind->name;
    int rc = qd_pipeline_create(kind, request->stages, request->chunks, request->micro_batches,
                                &r->table);
    if (!rc)
        rc = cut(request, r);
    if (!rc)
        rc = simulate(r, true, &r->even);
    if (!rc)
        rc = simulate(r, false, &r->by_flops);
    if (rc)
        qd_pipeline_report_destroy(r);
    else
        *report = r;
    return rc;
}

void qd_pipeline_report_destroy(qd_pipeline_report *report) {
    if (!report)
        return;
    qd_pipeline_run_destroy(report->even);
    qd_pipeline_run_destroy(report->by_flops);
    qd_pipeline_stages_destroy(report->stages);
    qd_pipeline_destroy(report->table);
    free(report);
}

static double taken_bytes(const qd_pipeline_report *report, int part, bool gradients) {
    const qd_pipeline_nodes *p = &report->stages->part[part];
    double bytes = 0;
    for (int i = 0; i < p->taken_count; i++) {
        const qd_value *value = &report->graph->values[p->taken[i]];
        if (!gradients || value->needs_grad)
            bytes +=
                (double)qd_shape_elements(&value->shape) * (double)qd_dtype_bytes(value->dtype);
    }
    return bytes;
}

/* ---- text ---- */

static int digits(int below) {
    return snprintf(NULL, 0, "%d", below - 1);
}

/* "F3" in so many columns; with several chunks "F3.1". What takes longer goes on in lines. */
static void print_action(const qd_pipeline_table *table, const qd_pipeline_action *action,
                         int columns) {
    static const char letters[QD_PIPELINE_ACTIONS] = {'F', 'B', 'I', 'W'};
    char chunk[16] = "";
    if (table->chunks > 1)
        snprintf(chunk, sizeof chunk, ".%d", action->chunk);
    int used = printf("%c%d%s", letters[action->kind], action->micro_batch, chunk);
    bool longer = action->kind == QD_PIPELINE_BACKWARD;
    for (; used < columns - 1; used++)
        putchar(longer ? '-' : ' ');
    putchar(' ');
}

static void print_stage(const qd_pipeline_report *report, int stage) {
    const qd_pipeline_table *t = report->table;
    int width = 2 + digits(t->micro_batches) + (t->chunks > 1 ? 1 + digits(t->chunks) : 0);
    int at = 0;
    printf("  %*d | ", digits(t->stages), stage);
    for (int i = 0; i < t->stage[stage].count; i++) {
        qd_pipeline_span span = report->even->stage[stage].spans[i];
        for (; at < (int)span.start; at++)
            printf("%-*s", width, ".");
        print_action(t, &t->stage[stage].actions[i], width * ((int)span.end - at));
        at = (int)span.end;
    }
    for (; at < (int)report->even->total; at++)
        printf("%-*s", width, ".");
    printf("|\n");
}

static void print_part(const qd_pipeline_report *report, int part) {
    const qd_pipeline_table *t = report->table;
    const qd_graph *graph = report->graph;
    const qd_pipeline_nodes *p = &report->stages->part[part];
    double all = 0;
    for (int k = 0; k < report->stages->parts; k++)
        all += report->stages->part[k].cost;
    char nodes[2 * QD_MAX_NAME + 8];
    snprintf(nodes, sizeof nodes, "%s .. %s", graph->nodes[p->first].name,
             graph->nodes[p->end - 1].name);
    printf("%6d  %6d  %6d  %5.1f%%  %10.1f  %s\n", part % t->stages, part / t->stages,
           p->end - p->first, 100 * p->cost / all, taken_bytes(report, part, false) / 1024, nodes);
}

static void print_shared(const qd_pipeline_report *report, int param) {
    const qd_pipeline_stages *stages = report->stages;
    const char *between = " ";
    printf("%s is read by the parts on stages", report->graph->params[param].name);
    for (int k = 0; k < stages->parts; k++)
        if (qd_pipeline_part_reads(report->graph, &stages->part[k], param)) {
            printf("%s%d", between, k % report->table->stages);
            between = ", ";
        }
    printf(": their gradients are summed\n");
}

void qd_pipeline_report_print(const qd_pipeline_report *report) {
    const qd_pipeline_table *t = report->table;
    printf("pipeline    %s: %d stages, %d micro-batches", report->schedule, t->stages,
           t->micro_batches);
    if (t->chunks > 1)
        printf(", %d chunks a stage", t->chunks);
    printf("\n%6s  %6s  %6s  %6s  %10s\n", "stage", "chunk", "nodes", "FLOPs", "takes, KiB");
    for (int k = 0; k < report->stages->parts; k++)
        print_part(report, k);
    for (int i = 0; i < report->stages->shared_count; i++)
        print_shared(report, report->stages->shared[i]);
    printf("schedule, a column being the time of a forward (F) through a chunk; B is backward, I "
           "and W its halves for inputs and weights:\n");
    for (int s = 0; s < t->stages; s++)
        print_stage(report, s);
    printf("idle        %.1f%% of the stages' time if all parts take the same, %.1f%% by their "
           "FLOPs\n",
           100 * qd_pipeline_bubble_share(report->even),
           100 * qd_pipeline_bubble_share(report->by_flops));
    printf("live        %s at most on stages 0 .. %d:",
           t->chunks > 1 ? "micro-batches x chunks" : "micro-batches", t->stages - 1);
    for (int s = 0; s < t->stages; s++)
        printf(" %d", report->even->stage[s].peak_live);
    printf("\n");
}

/* ---- JSON ---- */

static json_t *part_json(const qd_pipeline_report *report, int part) {
    const qd_pipeline_table *t = report->table;
    const qd_graph *graph = report->graph;
    const qd_pipeline_nodes *p = &report->stages->part[part];
    qd_pipeline_cost cost = qd_pipeline_part_flops(graph, report->timeline, p);
    json_t *nodes = json_array();
    for (int n = p->first; n < p->end; n++)
        json_array_append_new(nodes, json_string(graph->nodes[n].name));
    return json_pack("{s:i, s:i, s:i, s:o, s:f, s:f, s:f, s:I, s:I}", "part", part, "stage",
                     part % t->stages, "chunk", part / t->stages, "nodes", nodes, "forward_flops",
                     cost.forward, "backward_input_flops", cost.backward_input,
                     "backward_weight_flops", cost.backward_weight, "taken_bytes",
                     (json_int_t)taken_bytes(report, part, false), "gradient_bytes",
                     (json_int_t)taken_bytes(report, part, true));
}

static json_t *shared_json(const qd_pipeline_report *report, int param) {
    json_t *parts = json_array();
    for (int k = 0; k < report->stages->parts; k++)
        if (qd_pipeline_part_reads(report->graph, &report->stages->part[k], param))
            json_array_append_new(parts, json_integer(k));
    return json_pack("{s:s, s:o}", "parameter", report->graph->params[param].name, "parts", parts);
}

static json_t *stage_json(const qd_pipeline_report *report, int stage) {
    static const char *const names[QD_PIPELINE_ACTIONS] = {"forward", "backward", "backward_input",
                                                           "backward_weight"};
    const qd_pipeline_stage *s = &report->table->stage[stage];
    const qd_pipeline_stage_run *run = &report->even->stage[stage];
    json_t *actions = json_array();
    for (int i = 0; i < s->count; i++)
        json_array_append_new(actions,
                              json_pack("{s:s, s:i, s:i, s:f, s:f}", "action",
                                        names[s->actions[i].kind], "micro_batch",
                                        s->actions[i].micro_batch, "chunk", s->actions[i].chunk,
                                        "start", run->spans[i].start, "end", run->spans[i].end));
    return json_pack("{s:i, s:i, s:f, s:o}", "stage", stage, "peak_live", run->peak_live, "idle",
                     run->bubble, "actions", actions);
}

json_t *qd_pipeline_report_json(const qd_pipeline_report *report) {
    const qd_pipeline_table *t = report->table;
    json_t *parts = json_array(), *shared = json_array(), *stages = json_array();
    for (int k = 0; k < report->stages->parts; k++)
        json_array_append_new(parts, part_json(report, k));
    for (int i = 0; i < report->stages->shared_count; i++)
        json_array_append_new(shared, shared_json(report, report->stages->shared[i]));
    for (int s = 0; s < t->stages; s++)
        json_array_append_new(stages, stage_json(report, s));
    return json_pack(
        "{s:s, s:i, s:i, s:f, s:f, s:f, s:i, s:o, s:o, s:o}", "schedule", report->schedule,
        "chunks", t->chunks, "micro_batches", t->micro_batches, "total", report->even->total,
        "idle_share", qd_pipeline_bubble_share(report->even), "idle_share_by_flops",
        qd_pipeline_bubble_share(report->by_flops), "receives_ahead", report->even->receives_ahead,
        "parts", parts, "shared", shared, "stages", stages);
}
