#include "models/pipeline_stages.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "models/op.h"
#include "runtime/error.h"

/* A place where the graph may be cut: before node `node`. The first one is before all nodes, the
 * last behind them; those two are no cuts. */
typedef struct place {
    int node;
    double cost;  /* of the nodes before it */
    double bytes; /* of the values handed on */
} place;

typedef struct places {
    place *at;
    int count;
} places;

/* ---- values that cross ---- */

/* The last node that reads each value; -1: none. */
static int *last_readers(const qd_graph *graph) {
    int *last = malloc((size_t)graph->value_count * sizeof *last);
    for (int v = 0; last && v < graph->value_count; v++)
        last[v] = -1;
    for (int n = 0; last && n < graph->node_count; n++)
        for (int i = 0; i < graph->nodes[n].input_count; i++)
            last[graph->nodes[n].inputs[i]] = n;
    return last;
}

/* Whether a value made before the node is read by it or behind it. */
static bool crosses(const qd_graph *graph, const int *last, int value, int node) {
    int producer = graph->values[value].producer;
    return producer >= 0 && producer < node && last[value] >= node;
}

static double value_bytes(const qd_value *value) {
    return (double)qd_shape_elements(&value->shape) * (double)qd_dtype_bytes(value->dtype);
}

static bool inside_recomputed_block(const qd_graph *graph, int node) {
    int block = graph->nodes[node].block;
    return block >= 0 && block < graph->recompute && graph->nodes[node - 1].block == block;
}

/* Whether the graph may be cut before that node; the bytes that would be handed on there. */
static bool may_cut(const qd_graph *graph, const int *last, int node, double *bytes) {
    int carriers = 0;
    *bytes = 0;
    for (int v = 0; v < graph->value_count; v++)
        if (crosses(graph, last, v, node)) {
            carriers += graph->values[v].needs_grad;
            *bytes += value_bytes(&graph->values[v]);
        }
    return carriers == 1 && !inside_recomputed_block(graph, node);
}

static int find_places(const qd_graph *graph, const int *last, const double *cost, places *found) {
    found->at = malloc(((size_t)graph->node_count + 1) * sizeof *found->at);
    if (!found->at)
        return QD_ENOMEM;
    double before = 0, bytes = 0;
    for (int n = 0; n <= graph->node_count; n++) {
        bool end = n == 0 || n == graph->node_count;
        if (end || may_cut(graph, last, n, &bytes))
            found->at[found->count++] = (place){n, before, end ? 0 : bytes};
        before += n < graph->node_count && cost ? cost[n] : 0;
    }
    return 0;
}

int qd_pipeline_most_parts(const qd_graph *graph) {
    places found = {0};
    int *last = last_readers(graph);
    int parts = last && find_places(graph, last, NULL, &found) == 0 ? found.count - 1 : 0;
    free(last);
    free(found.at);
    return parts;
}

/* ---- which cuts ---- */

/* How good it is to have cut the first places into some parts: least first. */
typedef struct score {
    double squares, bytes;
} score;

static bool better(score a, score b) {
    return a.squares < b.squares || (a.squares == b.squares && a.bytes < b.bytes);
}

typedef struct search {
    const places *places;
    int parts;
    double *dearest; /* [parts + 1][places]: least cost of the dearest part up to a place */
    score *scores;   /* [parts + 1][places] of the best cuts whose dearest part is no dearer */
    int *from;       /* [parts + 1][places]: where the last part begins */
} search;

static size_t slot(const search *s, int parts, int at) {
    return (size_t)parts * (size_t)s->places->count + (size_t)at;
}

static double between(const search *s, int from, int to) {
    return s->places->at[to].cost - s->places->at[from].cost;
}

/* Into k parts up to each place, from k - 1 parts up to an earlier one. */
static void find_dearest(search *s, int k) {
    for (int to = 0; to < s->places->count; to++) {
        double least = k == 0 && to == 0 ? 0 : INFINITY;
        for (int from = k - 1; k > 0 && from < to; from++)
            least = fmin(least, fmax(s->dearest[slot(s, k - 1, from)], between(s, from, to)));
        s->dearest[slot(s, k, to)] = least;
    }
}

static void find_best(search *s, int k, double limit) {
    for (int to = 0; to < s->places->count; to++) {
        score best = {k == 0 && to == 0 ? 0 : INFINITY, 0};
        int begins = -1;
        for (int from = k - 1; k > 0 && from < to; from++) {
            double cost = between(s, from, to);
            score sum = s->scores[slot(s, k - 1, from)];
            sum.squares += cost * cost;
            sum.bytes += s->places->at[from].bytes;
            if (cost <= limit && isfinite(sum.squares) && (begins < 0 || better(sum, best))) {
                best = sum;
                begins = from;
            }
        }
        s->scores[slot(s, k, to)] = best;
        s->from[slot(s, k, to)] = begins;
    }
}

/* Fills first and end of each part. */
static int choose(const places *found, int parts, qd_pipeline_nodes *part) {
    size_t cells = (size_t)(parts + 1) * (size_t)found->count;
    search s = {.places = found,
                .parts = parts,
                .dearest = malloc(cells * sizeof *s.dearest),
                .scores = malloc(cells * sizeof *s.scores),
                .from = malloc(cells * sizeof *s.from)};
    int rc = s.dearest && s.scores && s.from ? 0 : QD_ENOMEM;
    for (int k = 0; k <= parts && !rc; k++)
        find_dearest(&s, k);
    for (int k = 0; k <= parts && !rc; k++)
        find_best(&s, k, s.dearest[slot(&s, parts, found->count - 1)]);
    for (int k = parts, to = found->count - 1; k > 0 && !rc; k--) {
        int from = s.from[slot(&s, k, to)];
        part[k - 1].first = found->at[from].node;
        part[k - 1].end = found->at[to].node;
        part[k - 1].cost = between(&s, from, to);
        to = from;
    }
    free(s.dearest);
    free(s.scores);
    free(s.from);
    return rc;
}

/* ---- what follows from them ---- */

static int find_taken(const qd_graph *graph, const int *last, qd_pipeline_nodes *part) {
    part->taken = malloc((size_t)graph->value_count * sizeof *part->taken);
    if (!part->taken)
        return QD_ENOMEM;
    for (int v = 0; v < graph->value_count; v++)
        if (crosses(graph, last, v, part->first))
            part->taken[part->taken_count++] = v;
    return 0;
}

bool qd_pipeline_part_reads(const qd_graph *graph, const qd_pipeline_nodes *part, int param) {
    for (int n = part->first; n < part->end; n++)
        for (int i = 0; i < graph->nodes[n].param_count; i++)
            if (graph->nodes[n].params[i] == param)
                return true;
    return false;
}

/* Marks parameters by the part that read them last. */
static int find_shared(const qd_graph *graph, qd_pipeline_stages *stages) {
    size_t params = (size_t)graph->param_count + 1;
    int *reader = calloc(params, sizeof *reader);
    bool *several = calloc(params, sizeof *several);
    stages->shared = malloc(params * sizeof *stages->shared);
    int rc = reader && several && stages->shared ? 0 : QD_ENOMEM;
    for (int k = 0; k < stages->parts && !rc; k++)
        for (int n = stages->part[k].first; n < stages->part[k].end; n++)
            for (int i = 0; i < graph->nodes[n].param_count; i++) {
                int param = graph->nodes[n].params[i];
                several[param] |= reader[param] != 0 && reader[param] != k + 1;
                reader[param] = k + 1;
            }
    for (int param = 0; param < graph->param_count && !rc; param++)
        if (several[param])
            stages->shared[stages->shared_count++] = param;
    free(reader);
    free(several);
    return rc;
}

static int fill(const qd_graph *graph, const int *last, const double *cost,
                qd_pipeline_stages *stages) {
    places found = {0};
    int rc = find_places(graph, last, cost, &found);
    if (!rc && (stages->parts < 1 || stages->parts > found.count - 1)) {
        free(found.at);
        return qd_error_set(QD_ECONFIG,
                            "a pipeline of %d parts; this model can be cut into 1 to %d",
                            stages->parts, found.count - 1);
    }
    stages->part = calloc((size_t)stages->parts, sizeof *stages->part);
    if (!stages->part)
        rc = QD_ENOMEM;
    if (!rc)
        rc = choose(&found, stages->parts, stages->part);
    for (int k = 0; k < stages->parts && !rc; k++)
        rc = find_taken(graph, last, &stages->part[k]);
    if (!rc)
        rc = find_shared(graph, stages);
    free(found.at);
    return rc ? qd_error_set(rc, "no memory to cut a graph into %d parts", stages->parts) : 0;
}

int qd_pipeline_stages_create(const qd_graph *graph, int parts, const double *cost,
                              qd_pipeline_stages **stages) {
    qd_pipeline_stages *s = calloc(1, sizeof *s);
    int *last = last_readers(graph);
    int rc = 0;
    if (!s || !last)
        rc = qd_error_set(QD_ENOMEM, "no memory to cut a graph into %d parts", parts);
    else {
        s->parts = parts;
        rc = fill(graph, last, cost, s);
    }
    free(last);
    if (rc)
        qd_pipeline_stages_destroy(s);
    else
        *stages = s;
    return rc;
}

void qd_pipeline_stages_destroy(qd_pipeline_stages *stages) {
    if (!stages)
        return;
    for (int k = 0; stages->part && k < stages->parts; k++)
        free(stages->part[k].taken);
    free(stages->part);
    free(stages->shared);
    free(stages);
}

/* ---- costs ---- */

static double pass_flops(const qd_graph *graph, const qd_pass *pass) {
    const qd_node *node = &graph->nodes[pass->node];
    return (pass->kind == QD_PASS_BACKWARD ? node->op->backward_flops
                                           : node->op->forward_flops)(graph, node);
}

void qd_pipeline_flops(const qd_graph *graph, const qd_timeline *timeline, double *cost) {
    for (int n = 0; n < graph->node_count; n++)
        cost[n] = 0;
    for (int i = 0; i < timeline->count; i++)
        if (timeline->passes[i].kind != QD_PASS_LOSS)
            cost[timeline->passes[i].node] += pass_flops(graph, &timeline->passes[i]);
}

/* The part of a node's backward pass that is for its parameters. */
static double weight_share(const qd_graph *graph, const qd_node *node) {
    bool inputs = false;
    for (int i = 0; i < node->input_count; i++)
        inputs |= graph->values[node->inputs[i]].needs_grad;
    if (node->param_count == 0)
        return 0;
    return inputs ? 0.5 : 1;
}

static void add_pass(const qd_graph *graph, const qd_pass *pass, qd_pipeline_cost *cost) {
    double flops = pass_flops(graph, pass);
    double weight = flops * weight_share(graph, &graph->nodes[pass->node]);
    switch (pass->kind) {
    case QD_PASS_FORWARD:
        cost->forward += flops;
        return;
    case QD_PASS_RECOMPUTE:
        cost->backward_input += flops;
        return;
    case QD_PASS_BACKWARD:
        cost->backward_input += flops - weight;
        cost->backward_weight += weight;
        return;
    case QD_PASS_BACKWARD_INPUT:
    case QD_PASS_BACKWARD_WEIGHT:
    case QD_PASS_LOSS:
        return;
    }
}

qd_pipeline_cost qd_pipeline_part_flops(const qd_graph *graph, const qd_timeline *timeline,
                                        const qd_pipeline_nodes *part) {
    qd_pipeline_cost cost = {0};
    for (int i = 0; i < timeline->count; i++) {
        const qd_pass *pass = &timeline->passes[i];
        if (pass->node >= part->first && pass->node < part->end)
            add_pass(graph, pass, &cost);
    }
    return cost;
}
