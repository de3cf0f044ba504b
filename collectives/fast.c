#include "collectives/fast.h"

#include <stdlib.h>
#include <string.h>

#include "collectives/group_state.h"
#include "collectives/requests.h"

/* CHUNK_FLOATS: long enough for the library's algorithms for long vectors. */
enum { SLOTS = 3, CHUNK_FLOATS = 1 << 18 };

struct qd_fast {
    const qd_world *world;
    MPI_Comm comm;
    qd_requests *requests;
    qd_operation *first, *last; /* linked by next_fast */
    size_t filled, emptied;     /* chunks of the first one */
    uint64_t slots;             /* used so far, over the group's life */
};

static int make_communicator(const qd_group *group, MPI_Comm *comm) {
    const qd_group_config *c = &group->config;
    MPI_Group all, members;
    qd_world_mpi_enter(c->world);
    MPI_Comm_group(c->world->data, &all);
    MPI_Group_incl(all, c->member_count, c->members, &members);
    int code =
        MPI_Comm_create_group(c->world->data, members, qd_group_tag(group, QD_TAG_FAST), comm);
    MPI_Group_free(&members);
    MPI_Group_free(&all);
    if (code == MPI_SUCCESS)
        MPI_Comm_set_errhandler(*comm, MPI_ERRORS_RETURN);
    qd_world_mpi_leave(c->world);
    return code == MPI_SUCCESS
               ? 0
               : qd_error_set(QD_ELOST, "group %u: MPI made no communicator of it", c->id);
}

int qd_fast_create(const qd_group *group, qd_fast **out) {
    qd_fast *f = calloc(1, sizeof *f);
    if (!f)
        return qd_error_set(QD_ENOMEM, "no memory for a group's sums");
    *f = (qd_fast){.world = group->config.world, .comm = MPI_COMM_NULL};
    int rc =
        qd_requests_create(f->world, SLOTS, SLOTS * CHUNK_FLOATS * sizeof(float), &f->requests);
    if (!rc)
        rc = make_communicator(group, &f->comm);
    if (rc) {
        qd_fast_destroy(f);
        return rc;
    }
    *out = f;
    return 0;
}

void qd_fast_destroy(qd_fast *f) {
    if (!f)
        return;
    bool quiet = f->requests && !qd_requests_busy(f->requests, 0, SLOTS);
    qd_requests_destroy(f->requests);
    if (f->comm != MPI_COMM_NULL && quiet) {
        qd_world_mpi_enter(f->world);
        MPI_Comm_free(&f->comm);
        qd_world_mpi_leave(f->world);
    }
    free(f);
}

void qd_fast_begin(qd_operation *op) {
    qd_fast *f = op->group->fast;
    op->next_fast = NULL;
    op->parts_left = 1;
    if (f->last)
        f->last->next_fast = op;
    else
        f->first = op;
    f->last = op;
}

static float *slot_at(const qd_fast *f, int slot) {
    return (float *)(void *)qd_requests_buffer(f->requests) + (size_t)slot * CHUNK_FLOATS;
}

static size_t floats_of(const qd_operation *op, size_t chunk) {
    size_t left = (size_t)op->signature.count - chunk * CHUNK_FLOATS;
    return left < CHUNK_FLOATS ? left : CHUNK_FLOATS;
}

static int fill(qd_group *group, qd_operation *op) {
    qd_fast *f = group->fast;
    int slot = (int)(f->slots % SLOTS);
    float *at = slot_at(f, slot);
    size_t begin = f->filled * CHUNK_FLOATS, n = floats_of(op, f->filled);
    memcpy(at, op->parts[0] + begin, n * sizeof *at);
    for (int k = 1; k < op->reduction->held[group->index]; k++)
        qd_elements_add(QD_WIRE_FP32, at, at, op->parts[k] + begin, n);
    f->filled++;
    f->slots++;
    return qd_requests_allreduce(f->requests, slot, at, (int)n, f->comm);
}

static void empty(qd_group *group, qd_operation *op) {
    qd_fast *f = group->fast;
    int slot = (int)((f->slots - (f->filled - f->emptied)) % SLOTS);
    float *to = (float *)(void *)op->vector + f->emptied * CHUNK_FLOATS;
    memcpy(to, slot_at(f, slot), floats_of(op, f->emptied) * sizeof *to);
    f->emptied++;
}

static bool oldest_done(const qd_fast *f) {
    int slot = (int)((f->slots - (f->filled - f->emptied)) % SLOTS);
    return f->emptied < f->filled && !qd_requests_busy(f->requests, slot, 1);
}

static void finish(qd_fast *f) {
    qd_operation *op = f->first;
    f->first = op->next_fast;
    if (!f->first)
        f->last = NULL;
    f->filled = f->emptied = 0;
    op->parts_left = 0;
}

int qd_fast_pass(qd_group *group) {
    qd_fast *f = group->fast;
    qd_operation *op = f->first;
    if (!op || !op->moved)
        return 0;
    size_t chunks = ((size_t)op->signature.count + CHUNK_FLOATS - 1) / CHUNK_FLOATS;
    int slot, rc, moved = 0;
    size_t bytes;
    while ((rc = qd_requests_take(f->requests, 0, SLOTS, &slot, &bytes)) == 1) {
    }
    if (rc)
        return qd_error_context(rc, "group %u: all-reduce", group->config.id);
    for (; oldest_done(f); moved = 1)
        empty(group, op);
    for (; !rc && f->filled < chunks && f->filled - f->emptied < SLOTS; moved = 1)
        rc = fill(group, op);
    if (!rc && f->emptied == chunks) {
        finish(f);
        moved = 1;
    }
    return rc ? rc : moved;
}

void qd_fast_find_late(qd_group *group) {
    const qd_fast *f = group->fast;
    for (int i = 0; f && f->first && f->first->moved && i < group->config.member_count; i++)
        group->late[i] = i != group->index;
}
