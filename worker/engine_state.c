#include <stdio.h>
#include <stdlib.h>

#include "runtime/error.h"
#include "runtime/random.h"
#include "worker/engine_internal.h"

static float initial_value(qd_init init, qd_random_key key, uint64_t i) {
    switch (init.kind) {
    case QD_INIT_UNIFORM:
        return (2.0f * qd_random_uniform(key, 0, i) - 1.0f) * init.scale;
    case QD_INIT_NORMAL:
        return qd_random_normal(key, 0, i) * init.scale;
    case QD_INIT_ONE:
        return 1.0f;
    case QD_INIT_ZERO:
        break;
    }
    return 0.0f;
}

/* Where element i of what is held stands in the whole parameter, row-major: what it is drawn by. */
static int64_t place_in_whole(const qd_param *param, int64_t i) {
    if (param->cut_dim < 0)
        return i;
    int64_t inner = 1;
    for (int d = param->cut_dim + 1; d < param->shape.dims; d++)
        inner *= param->shape.dim[d];
    int64_t held = param->shape.dim[param->cut_dim] * inner;
    int64_t whole = param->whole.dim[param->cut_dim] * inner;
    return i / held * whole + param->cut_first * inner + i % held;
}

/* Elements [from, end) of what is held of a parameter, to `at`: made on the host and brought over
 * some at a time. */
static int write_initial(qd_engine *e, const qd_param *param, int64_t from, int64_t end,
                         float *at) {
    enum { SOME = 4096 };
    float some[SOME];
    qd_random_key key = {e->job.seed, qd_random_site(param->name)};
    int rc = 0;
    for (int64_t count; from < end && !rc; from += count, at += count) {
        count = end - from < SOME ? end - from : SOME;
        for (int64_t i = 0; i < count; i++)
            some[i] = initial_value(param->init, key, (uint64_t)place_in_whole(param, from + i));
        rc = e->backend->write(e->context, at, some, (size_t)count * sizeof *some);
        if (!rc)
            rc = qd_listen(e->listener);
    }
    return rc;
}

static int write_piece(qd_engine *e, const qd_engine_piece *p, void *of) {
    const qd_param *param = &e->graph->params[p->param];
    int64_t from = p->at - param->offset;
    (void)of;
    return write_initial(e, param, from, from + p->count, qd_engine_params_at(e, p->at, p->home));
}

static int write_whole(qd_engine *e) {
    int rc = 0;
    for (int p = 0; p < e->graph->param_count && !rc; p++) {
        const qd_param *param = &e->graph->params[p];
        rc =
            write_initial(e, param, 0, qd_shape_elements(&param->shape), e->params + param->offset);
    }
    return rc;
}

int qd_engine_reset(qd_engine *engine) {
    int rc = 0;
    qd_engine_forget_params(engine);
    engine->rate_factor = 1;
    for (int i = 0; i < engine->plan->optimizer_vectors && !rc; i++)
        rc = engine->backend->clear(engine->context, engine->optimizer_state[i],
                                    (size_t)engine->plan->shard_elements * sizeof(float));
    if (!rc)
        rc = engine->windows ? qd_engine_visit_pieces(engine, write_piece, NULL)
                             : write_whole(engine);
    return rc ? rc : engine->backend->wait(engine->context);
}

/* ---- what a checkpoint must hold ---- */

static void name_tensor(const qd_job *job, const qd_param *param, int vector,
                        qd_state_tensor *tensor) {
    if (vector < 0)
        snprintf(tensor->name, sizeof tensor->name, "model/%s", param->name);
    else
        snprintf(tensor->name, sizeof tensor->name, "optimizer/%s/%s",
                 qd_optimizer_facts_of(&job->optimizer)->state_names[vector], param->name);
}

/* A list that is being written, or counted where tensors is NULL. */
typedef struct state_list {
    const qd_member *member;
    qd_state_tensor *tensors;
    int64_t *places; /* of each in its vector, or in this member's shard of it; or NULL */
    int count;
} state_list;

/* What this member holds of a parameter where nothing is kept by shards. Members that hold the same
 * take a share each of writing it. */
static qd_state_tensor held_of(const qd_member *m, const qd_param *param) {
    int tensor_members = m->graph->tensor_members;
    bool cut = param->cut_dim >= 0 && tensor_members > 1;
    qd_state_tensor tensor = {
        .slice = qd_slice_whole(&param->whole),
        .replica = cut ? m->index : m->index * tensor_members + m->graph->tensor_member,
        .replicas = cut ? m->members : m->members * tensor_members,
    };
    if (param->cut_dim >= 0) {
        tensor.slice.offset[param->cut_dim] = param->cut_first;
        tensor.slice.extent[param->cut_dim] = param->shape.dim[param->cut_dim];
    }
    return tensor;
}

static void add_whole(state_list *l, int p, int vector) {
    const qd_param *param = &l->member->graph->params[p];
    if (l->tensors) {
        l->tensors[l->count] = held_of(l->member, param);
        name_tensor(l->member->job, param, vector, &l->tensors[l->count]);
    }
    if (l->places)
        l->places[l->count] = param->offset;
    l->count++;
}

/* Blocks [first, end), which are of one parameter: whole rows of what this member's tensor group
 * holds of it, alike or each its part. */
static void add_rows(state_list *l, int first, int end, int vector, int64_t home) {
    const qd_row_blocks *blocks = l->member->buckets->blocks;
    const qd_param *param = &l->member->graph->params[blocks->param[first]];
    if (l->tensors) {
        qd_state_tensor *tensor = &l->tensors[l->count];
        int64_t at = blocks->offset[first] - param->offset;
        int64_t to = blocks->offset[end - 1] + blocks->elements[end - 1] - param->offset;
        bool cut = param->cut_dim >= 0 && l->member->graph->tensor_members > 1;
        *tensor = held_of(l->member, param);
        /* Tensor members hold the same rows of what none has a part of; the first one writes them.
         */
        tensor->replica = 0;
        tensor->replicas = cut || l->member->graph->tensor_member == 0 ? 1 : -1;
        if (param->shape.dims > 0) {
            int64_t row = qd_shape_elements(&param->shape) / param->shape.dim[0];
            tensor->slice.offset[0] += at / row;
            tensor->slice.extent[0] = (to - at) / row;
        }
        name_tensor(l->member->job, param, vector, tensor);
    }
    if (l->places)
        l->places[l->count] = home;
    l->count++;
}

static void add_shard(state_list *l, int vector) {
    const qd_row_blocks *blocks = l->member->buckets->blocks;
    int64_t home = 0;
    for (int b = 0; b < l->member->buckets->count; b++) {
        int first, end;
        qd_shards_blocks(l->member->shards, b, l->member->index, &first, &end);
        while (first < end) {
            int next = first + 1;
            while (next < end && blocks->param[next] == blocks->param[first])
                next++;
            add_rows(l, first, next, vector, home);
            home += blocks->offset[next] - blocks->offset[first];
            first = next;
        }
    }
}

/* The parameters first, then each of the optimizer's vectors. */
int qd_member_state(const qd_member *member, qd_state_tensor *tensors, int64_t *places) {
    state_list l = {.member = member, .tensors = tensors, .places = places};
    int vectors = qd_optimizer_facts_of(&member->job->optimizer)->state_vectors;
    for (int v = -1; v < vectors; v++) {
        bool sharded = v >= 0 || member->job->layout_zero >= 3;
        if (sharded && member->shards->members > 1) {
            add_shard(&l, v);
            continue;
        }
        for (int p = 0; p < member->graph->param_count; p++)
            add_whole(&l, p, v);
    }
    return l.count;
}

/* Which vector tensor i belongs to; -1: the parameters. */
static int vector_of(const qd_engine *e, int i) {
    int params = e->graph->param_count, vectors = e->plan->optimizer_vectors;
    if (e->windows)
        return i / (e->state_count / (vectors + 1)) - 1;
    if (i < params)
        return -1;
    return (i - params) / ((e->state_count - params) / vectors);
}

int qd_engine_list_state(qd_engine *e, const qd_engine_place *place) {
    qd_member member = {&e->job, e->graph, e->buckets, e->shards, place->index, place->members};
    e->state_count = qd_member_state(&member, NULL, NULL);
    e->state = calloc((size_t)e->state_count + 1, sizeof *e->state);
    int64_t *places = calloc((size_t)e->state_count + 1, sizeof *places);
    if (!e->state || !places) {
        free(places);
        return qd_error_set(QD_ENOMEM, "no memory for %d state tensors", e->state_count);
    }
    qd_member_state(&member, e->state, places);
    for (int i = 0; i < e->state_count; i++) {
        int vector = vector_of(e, i);
        e->state[i].data = (vector < 0 ? e->params : e->optimizer_state[vector]) + places[i];
    }
    free(places);
    return 0;
}

int qd_engine_state_count(const qd_engine *engine) {
    return engine->state_count;
}

void qd_engine_state(qd_engine *engine, int i, qd_state_tensor *tensor) {
    qd_engine_forget_params(engine); /* whoever asks may write */
    *tensor = engine->state[i];
}
