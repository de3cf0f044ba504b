#include "models/part_graph.h"

#include <stdlib.h>
#include <string.h>

#include "models/family.h"
#include "runtime/align.h"
#include "runtime/error.h"

/* Where the whole's values and parameters are in the part; -1: not there. */
typedef struct part_map {
    const qd_graph *whole;
    const qd_pipeline_stages *stages;
    qd_graph *part;
    int *value, *param;
} part_map;

static int map_value(part_map *m, int value) {
    if (value < 0)
        return -1;
    if (m->value[value] < 0) {
        m->part->values[m->part->value_count] = m->whole->values[value];
        m->part->values[m->part->value_count].producer = -1;
        m->value[value] = m->part->value_count++;
    }
    return m->value[value];
}

static bool is_shared(const qd_pipeline_stages *stages, int param) {
    for (int i = 0; i < stages->shared_count; i++)
        if (stages->shared[i] == param)
            return true;
    return false;
}

static int map_param(part_map *m, int param) {
    if (m->param[param] < 0) {
        qd_graph *g = m->part;
        g->params[g->param_count] = m->whole->params[param];
        g->params[g->param_count].shared = is_shared(m->stages, param);
        g->params[g->param_count].offset = g->param_elements;
        g->param_elements += qd_align_floats(qd_shape_elements(&m->whole->params[param].shape));
        m->param[param] = g->param_count++;
    }
    return m->param[param];
}

static void add_node(part_map *m, const qd_node *from) {
    qd_node node = *from;
    for (int i = 0; i < node.input_count; i++)
        node.inputs[i] = map_value(m, from->inputs[i]);
    for (int i = 0; i < node.param_count; i++)
        node.params[i] = map_param(m, from->params[i]);
    node.output = map_value(m, from->output);
    m->part->values[node.output].producer = m->part->node_count;
    m->part->nodes[m->part->node_count++] = node;
}

/* Values handed over, those with a gradient and those without alike. */
static void hand(part_map *m, const qd_pipeline_nodes *of, int *values, int *count) {
    for (int i = 0; of && i < of->taken_count; i++)
        values[(*count)++] = map_value(m, of->taken[i]);
}

static int allocate(const qd_graph *whole, const qd_pipeline_nodes *nodes, qd_graph *g) {
    size_t values = (size_t)whole->value_count + 1;
    g->values = calloc(values, sizeof *g->values);
    g->params = calloc((size_t)whole->param_count + 1, sizeof *g->params);
    g->nodes = calloc((size_t)(nodes->end - nodes->first) + 1, sizeof *g->nodes);
    g->taken = calloc(values, sizeof *g->taken);
    g->handed = calloc(values, sizeof *g->handed);
    bool failed = !g->values || !g->params || !g->nodes || !g->taken || !g->handed;
    return failed ? QD_ENOMEM : 0;
}

/* The loss, and what is scored beside it, are the last part's. */
static int take_ends(part_map *m, bool last) {
    const qd_graph *whole = m->whole;
    qd_graph *g = m->part;
    g->input = whole->input >= 0 ? m->value[whole->input] : -1;
    g->target = g->logits = g->loss = -1;
    if (!last)
        return 0;
    g->target = map_value(m, whole->target);
    g->logits = map_value(m, whole->logits);
    g->loss = map_value(m, whole->loss);
    if (!whole->class_weights)
        return 0;
    size_t bytes = (size_t)whole->class_weight_count * sizeof *whole->class_weights;
    g->class_weights = malloc(bytes);
    if (!g->class_weights)
        return QD_ENOMEM;
    memcpy(g->class_weights, whole->class_weights, bytes);
    g->class_weight_count = whole->class_weight_count;
    return 0;
}

static int fill(part_map *m, const qd_pipeline_stages *cut, int part) {
    const qd_pipeline_nodes *nodes = &cut->part[part];
    bool last = part == cut->parts - 1;
    int rc = allocate(m->whole, nodes, m->part);
    if (rc)
        return rc;
    hand(m, nodes, m->part->taken, &m->part->taken_count);
    for (int n = nodes->first; n < nodes->end; n++)
        add_node(m, &m->whole->nodes[n]);
    hand(m, last ? NULL : &cut->part[part + 1], m->part->handed, &m->part->handed_count);
    return take_ends(m, last);
}

int qd_part_graph_create(const qd_graph *whole, const qd_pipeline_stages *cut, int part,
                         qd_graph **graph) {
    part_map m = {.whole = whole, .stages = cut, .part = calloc(1, sizeof *m.part)};
    m.value = malloc(((size_t)whole->value_count + 1) * sizeof *m.value);
    m.param = malloc(((size_t)whole->param_count + 1) * sizeof *m.param);
    int rc = m.part && m.value && m.param ? 0 : QD_ENOMEM;
    if (!rc) {
        for (int v = 0; v < whole->value_count; v++)
            m.value[v] = -1;
        for (int p = 0; p < whole->param_count; p++)
            m.param[p] = -1;
        *m.part = (qd_graph){
            .samples = whole->samples,
            .tensor_slots = whole->tensor_slots,
            .tensor_members = whole->tensor_members,
            .tensor_member = whole->tensor_member,
            .deals_rows = whole->deals_rows,
            .shares_rows = whole->shares_rows,
            .precision = whole->precision,
            .block_count = whole->block_count,
            .recompute = whole->recompute,
            .open_block = -1,
        };
        rc = fill(&m, cut, part);
    }
    free(m.value);
    free(m.param);
    if (rc) {
        qd_graph_destroy(m.part);
        return qd_error_set(rc, "no memory for part %d of a graph", part);
    }
    *graph = m.part;
    return 0;
}

int qd_part_graph_param(const qd_graph *whole, const qd_param *param) {
    for (int p = 0; p < whole->param_count; p++)
        if (strcmp(whole->params[p].name, param->name) == 0)
            return p;
    return -1;
}

void qd_part_graph_share(int parts, int of_table, int at, int *first, int *end) {
    *first = at * parts / of_table;
    *end = (at + 1) * parts / of_table;
}

static int cut_whole(const qd_graph *whole, int parts, qd_pipeline_stages **cut) {
    qd_timeline *timeline = NULL;
    double *cost = calloc((size_t)whole->node_count + 1, sizeof *cost);
    int rc = cost ? qd_timeline_create(whole, &timeline)
                  : qd_error_set(QD_ENOMEM, "no memory for %d costs", whole->node_count);
    if (!rc) {
        qd_pipeline_flops(whole, timeline, cost);
        rc = qd_pipeline_stages_create(whole, parts, cost, cut);
    }
    qd_timeline_destroy(timeline);
    free(cost);
    return rc;
}

int qd_part_graph_cut(const qd_job *job, qd_pipeline_stages **cut) {
    qd_graph *whole = NULL;
    int rc = qd_family_build(job, &whole);
    if (!rc)
        rc = cut_whole(whole, (int)job->slots_pipeline, cut);
    qd_graph_destroy(whole);
    return rc;
}
