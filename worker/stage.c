#include "worker/stage.h"

#include <stdlib.h>
#include <string.h>

#include "models/family.h"
#include "models/job_pipeline.h"
#include "models/memory_plan.h"
#include "runtime/align.h"
#include "runtime/error.h"
#include "worker/stage_internal.h"

/* ---- which parts are here ---- */

/* Parts of the model [first, end) that part number `at` of the table has. */
static void parts_of(const qd_stage *s, int at, int *first, int *end) {
    qd_part_graph_share(s->parts, qd_pipeline_parts(s->table), at, first, end);
}

int qd_stage_of_part(const qd_stage *s, int part) {
    int first, end, at = 0;
    for (;; at++) {
        parts_of(s, at, &first, &end);
        if (part < end)
            return at % s->table->stages;
    }
}

qd_stage_unit *qd_stage_unit_of(qd_stage *s, int part) {
    for (int u = 0; u < s->unit_count; u++)
        if (s->units[u].part == part)
            return &s->units[u];
    return NULL;
}

/* Whether the copy of a parameter of the whole that a part has is the first, or the only one. */
static bool leads(const qd_stage *s, int part, int param) {
    for (int before = 0; s->cut && before < part; before++)
        if (qd_pipeline_part_reads(s->whole, &s->cut->part[before], param))
            return false;
    return true;
}

/* ---- making it ---- */

static int open_unit(qd_stage *s, int part, int in_flight) {
    const qd_stage_config *c = &s->config;
    qd_stage_unit *unit = &s->units[s->unit_count++];
    qd_engine_place place = {
        .first_slot = c->first_slot,
        .end_slot = c->end_slot,
        .index = c->place.d,
        .members = c->grid.dp,
        .tensor_member = c->place.t,
        .tensor_members = c->grid.tp,
        .part = part,
        .parts = s->parts,
        .in_flight = in_flight,
        .halves = qd_pipeline_halves(s->table),
        .listener = c->listener,
    };
    unit->part = part;
    int rc = qd_engine_create_member(c->job, &place, c->backend, c->threads, &unit->engine);
    if (rc)
        return rc;
    const qd_graph *graph = qd_engine_graph(unit->engine);
    unit->params = calloc((size_t)graph->param_count + 1, sizeof *unit->params);
    unit->leads = calloc((size_t)graph->param_count + 1, sizeof *unit->leads);
    if (!unit->params || !unit->leads)
        return qd_error_set(QD_ENOMEM, "no memory for %d parameters", graph->param_count);
    for (int p = 0; p < graph->param_count; p++) {
        unit->params[p] = qd_part_graph_param(s->whole, &graph->params[p]);
        unit->leads[p] = leads(s, part, unit->params[p]);
    }
    return 0;
}

static int count_gradients(const qd_graph *graph, const int *values, int count) {
    int gradients = 0;
    for (int i = 0; i < count; i++)
        gradients += graph->values[values[i]].needs_grad;
    return gradients;
}

static qd_operation **make_operations(int count) {
    qd_operation **operations = calloc((size_t)count + 1, sizeof(qd_operation *));
    if (!operations)
        qd_error_set(QD_ENOMEM, "no memory for %d messages", count);
    return operations;
}

/* A message has a value for each that is handed over; back go those gradients that there are. */
static int make_messages(qd_stage *s, qd_stage_chunk *chunk) {
    const qd_graph *last = qd_engine_graph(s->units[chunk->end - 1].engine);
    const qd_graph *first = qd_engine_graph(s->units[chunk->first].engine);
    if (last->handed_count > QD_STAGE_MOST_HANDED || first->taken_count > QD_STAGE_MOST_HANDED)
        return qd_error_set(QD_ECONFIG, "a part of the model hands on more than %d values",
                            QD_STAGE_MOST_HANDED);
    chunk->values[QD_PIPELINE_OUTPUTS] = last->handed_count;
    chunk->values[QD_PIPELINE_GRADIENTS] = count_gradients(first, first->taken, first->taken_count);
    chunk->returned = count_gradients(last, last->handed, last->handed_count);
    bool made = (chunk->returns = make_operations(chunk->in_flight * chunk->returned));
    for (int way = 0; way < QD_PIPELINE_CHANNELS && made; way++)
        made = (chunk->sends[way] = make_operations(chunk->in_flight * chunk->values[way]));
    return made ? 0 : QD_ENOMEM;
}

static int open_chunk(qd_stage *s, int number) {
    qd_stage_chunk *chunk = &s->chunks[number];
    int first, end, rc = 0, stage = s->config.place.p;
    chunk->part = qd_pipeline_part(s->table, stage, number);
    chunk->in_flight = qd_pipeline_in_flight(s->table, stage, number);
    chunk->first = s->unit_count;
    parts_of(s, chunk->part, &first, &end);
    for (int part = first; part < end && !rc; part++)
        rc = open_unit(s, part, chunk->in_flight);
    chunk->end = s->unit_count;
    return rc ? rc : make_messages(s, chunk);
}

static int make_buffers(qd_stage *s) {
    size_t stages = (size_t)s->config.grid.pp;
    s->units = calloc((size_t)s->parts, sizeof *s->units);
    s->chunks = calloc((size_t)s->table->chunks, sizeof *s->chunks);
    s->bounds = calloc(stages + 1, sizeof *s->bounds);
    s->one_each = calloc(stages + 1, sizeof *s->one_each);
    s->squares = calloc(stages * (size_t)s->whole->param_count + 1, sizeof *s->squares);
    s->totals = aligned_alloc(QD_ALIGN_BYTES, QD_MEMORY_TOTALS * sizeof *s->totals);
    if (!s->units || !s->chunks || !s->bounds || !s->one_each || !s->squares || !s->totals)
        return qd_error_set(QD_ENOMEM, "no memory for a pipeline of %zu stages", stages);
    for (int i = 0; i <= s->config.grid.pp; i++) {
        s->bounds[i] = i * s->whole->param_count * (int64_t)sizeof *s->squares;
        s->one_each[i] = i;
    }
    return 0;
}

/* For the gradients of what other stages read, too. */
static int make_shared(qd_stage *s) {
    int64_t most = 0;
    for (int i = 0; s->cut && s->config.grid.pp > 1 && i < s->cut->shared_count; i++) {
        int64_t elements = qd_shape_elements(&s->whole->params[s->cut->shared[i]].shape);
        most = elements > most ? elements : most;
    }
    if (!most)
        return 0;
    s->shared = aligned_alloc(QD_ALIGN_BYTES, qd_align_bytes((size_t)most * sizeof *s->shared));
    return s->shared ? 0 : qd_error_set(QD_ENOMEM, "no memory for a shared gradient");
}

/* Members that gather parameters do so together, for as many micro-batches as any of them has. */
static int make_table(qd_stage *s) {
    const qd_stage_config *c = &s->config;
    int own = c->end_slot - c->first_slot;
    int slots = c->job->layout_zero >= 3 ? qd_job_most_slots(c->job, c->grid.dp) : own;
    s->idle = (slots - own) * (int)qd_job_micro_batches(c->job);
    return qd_job_pipeline_table(c->job, slots, &s->table);
}

static int build(qd_stage *s) {
    const qd_stage_config *c = &s->config;
    int rc = qd_family_build_part(c->job, c->grid.tp, c->place.t, &s->whole);
    s->parts = c->job->slots_pipeline > 1 ? (int)c->job->slots_pipeline : 1;
    if (!rc && s->parts > 1)
        rc = qd_part_graph_cut(c->job, &s->cut);
    if (!rc)
        rc = make_table(s);
    if (!rc)
        rc = make_buffers(s);
    for (int chunk = 0; !rc && chunk < s->table->chunks; chunk++)
        rc = open_chunk(s, chunk);
    return rc ? rc : make_shared(s);
}

int qd_stage_create(const qd_stage_config *config, qd_stage **stage) {
    qd_stage *s = calloc(1, sizeof *s);
    if (!s)
        return qd_error_set(QD_ENOMEM, "no memory for a stage");
    s->config = *config;
    int rc = build(s);
    if (rc)
        qd_stage_destroy(s);
    else
        *stage = s;
    return rc;
}

void qd_stage_destroy(qd_stage *s) {
    if (!s)
        return;
    for (int u = 0; u < s->unit_count; u++) {
        qd_exchange_destroy(s->units[u].exchange);
        qd_engine_destroy(s->units[u].engine);
        free(s->units[u].params);
        free(s->units[u].leads);
    }
    for (int c = 0; s->chunks && c < s->table->chunks; c++) {
        free(s->chunks[c].returns);
        for (int way = 0; way < QD_PIPELINE_CHANNELS; way++)
            free(s->chunks[c].sends[way]);
    }
    free(s->units);
    free(s->chunks);
    free(s->bounds);
    free(s->one_each);
    free(s->squares);
    free(s->totals);
    free(s->shared);
    qd_pipeline_destroy(s->table);
    qd_pipeline_stages_destroy(s->cut);
    qd_graph_destroy(s->whole);
    free(s);
}

/* ---- connecting ---- */

int qd_stage_connect_data(qd_stage *s, qd_group *group, const qd_slot_ranges *ranges) {
    int rc = 0;
    for (int u = 0; u < s->unit_count && !rc; u++) {
        qd_stage_unit *unit = &s->units[u];
        rc = qd_exchange_create(group, ranges, qd_engine_buckets(unit->engine),
                                qd_engine_shards(unit->engine), s->config.spans, &unit->exchange);
        if (!rc)
            qd_engine_connect(unit->engine, unit->exchange);
    }
    return rc;
}

void qd_stage_connect_tensor(qd_stage *s, const qd_tensor_exchange *exchange) {
    for (int u = 0; u < s->unit_count; u++)
        qd_engine_connect_tensor(s->units[u].engine, exchange);
}

void qd_stage_connect_pipeline(qd_stage *s, qd_group *outputs, qd_group *gradients) {
    s->group[QD_PIPELINE_OUTPUTS] = outputs;
    s->group[QD_PIPELINE_GRADIENTS] = gradients;
}

/* ---- what it is ---- */

const qd_graph *qd_stage_whole(const qd_stage *stage) {
    return stage->whole;
}

size_t qd_stage_arena_bytes(const qd_stage *s) {
    size_t bytes = 0;
    for (int u = 0; u < s->unit_count; u++)
        bytes += qd_engine_arena_bytes(s->units[u].engine);
    return bytes;
}

int qd_stage_chunks(const qd_stage *stage) {
    return stage->table->chunks;
}

bool qd_stage_reads_data(const qd_stage *s, int chunk) {
    for (int u = s->chunks[chunk].first; u < s->chunks[chunk].end; u++) {
        const qd_graph *graph = qd_engine_graph(s->units[u].engine);
        if (graph->input >= 0 || graph->target >= 0)
            return true;
    }
    return false;
}

/* ---- state ---- */

int qd_stage_settle(qd_stage *s) {
    int rc = 0;
    for (int u = 0; u < s->unit_count && !rc; u++)
        rc = qd_engine_settle(s->units[u].engine);
    return rc;
}

int qd_stage_reset(qd_stage *s) {
    int rc = 0;
    for (int u = 0; u < s->unit_count && !rc; u++)
        rc = qd_engine_reset(s->units[u].engine);
    return rc;
}

int qd_stage_state_count(const qd_stage *s) {
    int count = 0;
    for (int u = 0; u < s->unit_count; u++)
        count += qd_engine_state_count(s->units[u].engine);
    return count;
}

/* A copy that is not the first is loaded, but not written. */
static bool is_written(const qd_stage_unit *unit, const char *name) {
    const qd_graph *graph = qd_engine_graph(unit->engine);
    const char *of = strrchr(name, '/');
    for (int p = 0; p < graph->param_count; p++)
        if (!unit->leads[p] && strcmp(graph->params[p].name, of + 1) == 0)
            return false;
    return true;
}

void qd_stage_state(qd_stage *s, int i, qd_state_tensor *tensor) {
    qd_stage_unit *unit = s->units;
    for (; i >= qd_engine_state_count(unit->engine); unit++)
        i -= qd_engine_state_count(unit->engine);
    qd_engine_state(unit->engine, i, tensor);
    if (!is_written(unit, tensor->name))
        tensor->replicas = -1;
}
