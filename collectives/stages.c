#include "collectives/stages.h"

#include <string.h>

#include "collectives/group_state.h"

/* ---- places and counts ---- */

static int locals(const qd_group *g) {
    return qd_hosts_size(&g->hosts, g->hosts.mine);
}

static int local(const qd_group *g, int i) {
    return g->hosts.member[g->hosts.first[g->hosts.mine] + i];
}

static bool is_local(const qd_group *g, int member) {
    return g->hosts.of[member] == g->hosts.mine;
}

/* Whether this member adds or relays piece f on its host. */
static bool mine_to_add(const qd_group *g, int f) {
    return g->hosts.responsible[f] == g->index;
}

static qd_range range(const qd_ticket *t, int f) {
    return qd_operation_range(t->op, f, t->chunk);
}

/* Node k of piece f in a member's staging. */
static unsigned char *staged(const qd_group *g, const qd_ticket *t, int member, int f, int k) {
    return g->shm[member]->staging[t->window] + (size_t)f * qd_place_bytes(g->config.member_count) +
           (size_t)k * t->op->chunk * t->op->width;
}

static bool shares(const qd_group *g) {
    return locals(g) > 1;
}

static void count_bytes(qd_group *g, qd_operation *op, size_t bytes, bool between_hosts) {
    op->bytes += bytes;
    g->bytes[op->signature.kind] += bytes;
    if (between_hosts)
        g->bytes_between_hosts += bytes;
}

/* What travelled becomes elements of the vector. */
static void unpack(const qd_operation *op, size_t begin, const void *wire, size_t n) {
    unsigned char *to = op->vector + begin * op->element;
    if (op->reduction)
        qd_elements_unpack(op->wire, (float *)(void *)to, wire, n);
    else
        memcpy(to, wire, n * op->element);
}

/* ---- counters of the host's members ---- */

typedef enum { COUNTER_IN, COUNTER_OUT, COUNTER_DONE } counter_kind;

static _Atomic uint64_t *counter_of(const qd_group *g, int member, counter_kind kind) {
    qd_shm_member *m = g->shm[member];
    return kind == COUNTER_IN ? &m->in : kind == COUNTER_OUT ? &m->out : &m->done;
}

static bool has_come(const qd_group *g, int member, counter_kind kind, uint64_t number) {
    return atomic_load_explicit(counter_of(g, member, kind), memory_order_acquire) >= number;
}

/* 1, 0, or the error that a member left behind for those who wait for it. */
static int all_have_come(const qd_group *g, counter_kind kind, uint64_t number) {
    for (int i = 0; i < locals(g); i++) {
        int member = local(g, i);
        if (!has_come(g, member, kind, number))
            return qd_group_word_of(g, member);
    }
    return 1;
}

static void mark_missing(qd_group *g, counter_kind kind, uint64_t number) {
    for (int i = 0; shares(g) && i < locals(g); i++)
        g->late[local(g, i)] = !has_come(g, local(g, i), kind, number);
}

static void mark_busy(qd_group *g, const qd_ticket *t, qd_lane lane) {
    for (int i = 0; g->lanes && i < g->config.member_count; i++)
        if (qd_lanes_busy(g->lanes, t->window, lane, i))
            g->late[i] = true;
}

static void publish(qd_group *g, counter_kind kind, uint64_t number) {
    if (shares(g))
        atomic_store_explicit(counter_of(g, g->index, kind), number, memory_order_release);
}

/* ---- messages between hosts ---- */

/* A member that shares memory tells all members elsewhere what it calls, before it knows what its
 * host has: they are to know whom they wait for, and who differs. One that shares none says so
 * with its parts, which every owner gets at the first chunk, also where there is nothing to add. */
static bool calls(const qd_group *g, int member) {
    return qd_hosts_size(&g->hosts, g->hosts.of[member]) > 1;
}

static bool has_parts(const qd_group *g, const qd_ticket *t, int host, int f) {
    return (t->chunk == 0 && qd_hosts_size(&g->hosts, host) == 1) ||
           (t->op->reduction && range(t, f).n > 0);
}

static int exchange_calls(qd_group *g, const qd_ticket *t) {
    int rc = 0;
    for (int i = 0; !rc && i < g->config.member_count; i++)
        if (!is_local(g, i) && calls(g, i))
            rc = qd_lanes_receive(g, t->window, QD_LANE_RECEIVE_CALL, i, sizeof(qd_signature));
    unsigned char *at = qd_lanes_place(g->lanes, t->window, QD_LANE_SEND_CALL, g->index);
    memcpy(at, &t->op->signature, sizeof t->op->signature);
    for (int i = 0; !rc && calls(g, g->index) && i < g->config.member_count; i++)
        if (!is_local(g, i))
            rc = qd_lanes_send(g, t->window, QD_LANE_SEND_CALL, i, at, sizeof(qd_signature));
    return rc;
}

static size_t parts_bytes(const qd_ticket *t, int host, int f) {
    const qd_reduction *r = t->op->reduction;
    return r ? (size_t)r->covered[host] * range(t, f).n * t->op->width : 0;
}

static int receive_parts(qd_group *g, const qd_ticket *t) {
    int rc = 0;
    for (int h = 0; !rc && h < g->hosts.count; h++)
        if (h != g->hosts.mine && has_parts(g, t, h, g->index))
            rc = qd_lanes_receive(g, t->window, QD_LANE_RECEIVE_PARTS,
                                  qd_hosts_relay(&g->hosts, h, g->index),
                                  sizeof(qd_signature) + parts_bytes(t, h, g->index));
    return rc;
}

static int receive_results(qd_group *g, const qd_ticket *t) {
    int rc = 0;
    for (int f = 0; !rc && t->op->gather && f < g->config.member_count; f++) {
        size_t n = range(t, f).n;
        if (!is_local(g, f) && mine_to_add(g, f) && n > 0)
            rc = qd_lanes_receive(g, t->window, QD_LANE_RECEIVE_RESULT, f, n * t->op->width);
    }
    return rc;
}

/* The own piece, from `packed`, to the relays of all other hosts. */
static int send_result(qd_group *g, const qd_ticket *t, const void *packed) {
    int rc = 0;
    size_t bytes = range(t, g->index).n * t->op->width;
    /* Beginning with the next host: else all would send to the first one at once. */
    for (int step = 1; !rc && bytes > 0 && step < g->hosts.count; step++) {
        int relay = qd_hosts_relay(&g->hosts, (g->hosts.mine + step) % g->hosts.count, g->index);
        rc = qd_lanes_send(g, t->window, QD_LANE_SEND_RESULT, relay, packed, bytes);
        count_bytes(g, t->op, bytes, true);
    }
    return rc;
}

static int call_arrived(qd_group *g, int window, qd_lane lane, int member, size_t bytes) {
    const qd_signature *theirs =
        (const qd_signature *)(const void *)qd_lanes_place(g->lanes, window, lane, member);
    size_t expected = qd_lanes_expected(g->lanes, window, lane, member);
    int rc = 0;
    if (bytes >= sizeof *theirs)
        rc = qd_signature_check(g, theirs, &g->pipeline.window[window].op->signature);
    if (!rc && bytes != expected)
        rc = qd_error_set(QD_EPROTO, "group %u: rank %d sent %zu bytes of a call instead of %zu",
                          g->config.id, qd_group_rank(g, member), bytes, expected);
    return rc;
}

static int result_arrived(qd_group *g, int window, qd_lane lane, int member, size_t bytes) {
    size_t expected = qd_lanes_expected(g->lanes, window, lane, member);
    if (bytes == expected)
        return 0;
    return qd_error_set(QD_EPROTO, "group %u: rank %d sent %zu bytes of a sum instead of %zu",
                        g->config.id, qd_group_rank(g, member), bytes, expected);
}

/* A node of a member of this host: where this one finds it. */
static qd_source local_source(qd_group *g, const qd_ticket *t, qd_holding holding, int f) {
    if (holding.holder == g->index)
        return (qd_source){t->op->parts[holding.k] + range(t, f).begin, false};
    return (qd_source){staged(g, t, holding.holder, f, holding.k), true};
}

static int relay_piece(qd_group *g, const qd_ticket *t, int f) {
    unsigned char *message = qd_lanes_place(g->lanes, t->window, QD_LANE_SEND_PARTS, f);
    size_t n = range(t, f).n, bytes = parts_bytes(t, g->hosts.mine, f);
    memcpy(message, &t->op->signature, sizeof t->op->signature);
    if (bytes > 0) {
        qd_reduction *r = t->op->reduction;
        for (int k = 0; k < r->covered[g->hosts.mine]; k++)
            r->relay_output[k] = message + sizeof t->op->signature + (size_t)k * n * t->op->width;
        for (int s = 0; s < r->relay.sources; s++)
            r->relay.source[s] = local_source(g, t, r->relay_source[s], f);
        qd_sum_run(&r->relay, t->op->wire, r->relay_output, true, NULL, n);
        count_bytes(g, t->op, bytes, true);
    }
    return qd_lanes_send(g, t->window, QD_LANE_SEND_PARTS, f, message,
                         sizeof t->op->signature + bytes);
}

/* What this host has of the pieces for which this member stands. */
static int send_parts(qd_group *g, const qd_ticket *t) {
    int rc = 0, members = g->config.member_count;
    for (int step = 1; !rc && step < members; step++) {
        int f = (g->index + step) % members;
        if (!is_local(g, f) && mine_to_add(g, f) && has_parts(g, t, g->hosts.mine, f))
            rc = relay_piece(g, t, f);
    }
    return rc;
}

/* ---- put ---- */

static int put_ready(qd_group *g, const qd_ticket *t) {
    if (!shares(g) || t->number <= QD_WINDOWS)
        return 1;
    return all_have_come(g, COUNTER_DONE, t->number - QD_WINDOWS);
}

static void put_late(qd_group *g, const qd_ticket *t) {
    if (t->number > QD_WINDOWS)
        mark_missing(g, COUNTER_DONE, t->number - QD_WINDOWS);
}

static void stage_parts(qd_group *g, const qd_ticket *t) {
    qd_operation *op = t->op;
    for (int f = 0; f < g->config.member_count; f++) {
        qd_range piece = range(t, f);
        if (mine_to_add(g, f) || piece.n == 0)
            continue;
        for (int k = 0; k < op->reduction->held[g->index]; k++) {
            qd_elements_pack(op->wire, staged(g, t, g->index, f, k), op->parts[k] + piece.begin,
                             piece.n);
            count_bytes(g, op, piece.n * op->width, false);
        }
    }
}

static int give_own_piece(qd_group *g, const qd_ticket *t) {
    qd_range own = range(t, g->index);
    const unsigned char *from = t->op->vector + own.begin * t->op->element;
    if (own.n == 0)
        return 0;
    if (shares(g))
        memcpy(staged(g, t, g->index, g->index, 0), from, own.n * t->op->element);
    count_bytes(g, t->op, own.n * t->op->element * (size_t)(locals(g) - 1), false);
    if (!g->lanes)
        return 0;
    unsigned char *message = qd_lanes_place(g->lanes, t->window, QD_LANE_SEND_RESULT, g->index);
    memcpy(message, from, own.n * t->op->element);
    return send_result(g, t, message);
}

static int put_run(qd_group *g, const qd_ticket *t) {
    qd_operation *op = t->op;
    int rc = 0;
    if (g->lanes && t->chunk == 0)
        rc = exchange_calls(g, t);
    if (!rc && g->lanes)
        rc = receive_parts(g, t);
    if (!rc && g->lanes)
        rc = receive_results(g, t);
    /* Alone on its host: no need to wait for others, and they hear what it calls. */
    if (!rc && g->lanes && !shares(g))
        rc = send_parts(g, t);
    if (!rc && op->reduction && shares(g))
        stage_parts(g, t);
    if (!rc && !op->reduction && op->gather)
        rc = give_own_piece(g, t);
    if (rc)
        return rc;
    if (shares(g) && t->chunk == 0)
        g->shm[g->index]->signature[t->window] = op->signature;
    publish(g, COUNTER_IN, t->number);
    return 0;
}

/* ---- relay ---- */

/* Each one's signature is compared as soon as it is there, so that a member which calls something
 * else is named and not waited for. */
static int check_locals(qd_group *g, const qd_ticket *t) {
    for (int i = 0; i < locals(g); i++) {
        int member = local(g, i);
        const qd_signature *theirs = &g->shm[member]->signature[t->window];
        if (member == g->index || !has_come(g, member, COUNTER_IN, t->number))
            continue;
        int rc = qd_signature_check(g, theirs, &t->op->signature);
        if (rc)
            return rc;
    }
    return 0;
}

/* The first chunk's: what members elsewhere call, 1 when all have. Who shares no memory calls with
 * its parts: not waited for yet, but looked at. */
static int check_calls(qd_group *g, const qd_ticket *t) {
    int rc = qd_lanes_quiet(g, t->window, QD_LANE_RECEIVE_PARTS, call_arrived);
    return rc < 0 ? rc : qd_lanes_quiet(g, t->window, QD_LANE_RECEIVE_CALL, call_arrived);
}

static int relay_ready(qd_group *g, const qd_ticket *t) {
    int called = g->lanes && t->chunk == 0 ? check_calls(g, t) : 1;
    if (called < 0 || !shares(g))
        return called;
    /* Counted before they are compared: else one could come in between and not be compared. */
    int come = all_have_come(g, COUNTER_IN, t->number);
    int rc = t->chunk == 0 ? check_locals(g, t) : 0;
    if (rc || come < 0)
        return rc ? rc : come;
    return come && called;
}

static void relay_late(qd_group *g, const qd_ticket *t) {
    mark_missing(g, COUNTER_IN, t->number);
    mark_busy(g, t, QD_LANE_RECEIVE_CALL);
}

static int relay_run(qd_group *g, const qd_ticket *t) {
    return g->lanes && shares(g) ? send_parts(g, t) : 0;
}

/* ---- sum ---- */

static int sum_ready(qd_group *g, const qd_ticket *t) {
    return g->lanes ? qd_lanes_quiet(g, t->window, QD_LANE_RECEIVE_PARTS, call_arrived) : 1;
}

static void sum_late(qd_group *g, const qd_ticket *t) {
    mark_busy(g, t, QD_LANE_RECEIVE_PARTS);
}

static qd_source remote_source(qd_group *g, const qd_ticket *t, qd_holding holding) {
    int relay = qd_hosts_relay(&g->hosts, holding.holder, g->index);
    const unsigned char *message =
        qd_lanes_place(g->lanes, t->window, QD_LANE_RECEIVE_PARTS, relay);
    return (qd_source){message + sizeof(qd_signature) +
                           (size_t)holding.k * range(t, g->index).n * t->op->width,
                       true};
}

static int sum_run(qd_group *g, const qd_ticket *t) {
    qd_operation *op = t->op;
    qd_range own = range(t, g->index);
    if (!op->reduction || own.n == 0)
        return 0;
    qd_sum *sum = &op->reduction->own;
    for (int s = 0; s < sum->sources; s++) {
        qd_holding from = op->reduction->own_source[s];
        sum->source[s] = from.host ? remote_source(g, t, from) : local_source(g, t, from, g->index);
    }
    void *result = op->own + (own.begin - (size_t)op->bounds[g->index]);
    unsigned char *message = NULL, *also = NULL;
    if (op->gather && g->lanes)
        also = message = qd_lanes_place(g->lanes, t->window, QD_LANE_SEND_RESULT, g->index);
    if (op->gather && shares(g))
        also = staged(g, t, g->index, g->index, 0);
    qd_sum_run(sum, op->wire, &result, false, also, own.n);
    if (!op->gather)
        return 0;
    count_bytes(g, op, own.n * op->width * (size_t)(locals(g) - 1), false);
    if (message && message != also)
        memcpy(message, also, own.n * op->width);
    return message ? send_result(g, t, message) : 0;
}

/* ---- pass ---- */

static int pass_ready(qd_group *g, const qd_ticket *t) {
    return g->lanes ? qd_lanes_quiet(g, t->window, QD_LANE_RECEIVE_RESULT, result_arrived) : 1;
}

static void pass_late(qd_group *g, const qd_ticket *t) {
    mark_busy(g, t, QD_LANE_RECEIVE_RESULT);
}

static int pass_run(qd_group *g, const qd_ticket *t) {
    qd_operation *op = t->op;
    for (int f = 0; g->lanes && op->gather && f < g->config.member_count; f++) {
        qd_range piece = range(t, f);
        if (is_local(g, f) || !mine_to_add(g, f) || piece.n == 0)
            continue;
        const void *from = qd_lanes_place(g->lanes, t->window, QD_LANE_RECEIVE_RESULT, f);
        unpack(op, piece.begin, from, piece.n);
        if (shares(g))
            memcpy(staged(g, t, g->index, f, 0), from, piece.n * op->width);
        count_bytes(g, op, piece.n * op->width * (size_t)(locals(g) - 1), false);
    }
    publish(g, COUNTER_OUT, t->number);
    return 0;
}

/* ---- get ---- */

/* Bytes that are merely gathered on one host lie there since PUT. */
static bool waits_for_sums(const qd_group *g, const qd_operation *op) {
    return shares(g) && op->gather && (op->reduction || g->lanes);
}

/* What was sent must have left before this member goes computing: while it does, MPI may be
 * unable to move it, and the others would wait. */
static int get_ready(qd_group *g, const qd_ticket *t) {
    int rc = waits_for_sums(g, t->op) ? all_have_come(g, COUNTER_OUT, t->number) : 1;
    if (rc == 1 && g->lanes)
        rc = qd_lanes_quiet(g, t->window, QD_LANE_SEND_CALL, NULL);
    if (rc == 1 && g->lanes)
        rc = qd_lanes_quiet(g, t->window, QD_LANE_SEND_PARTS, NULL);
    if (rc == 1 && g->lanes)
        rc = qd_lanes_quiet(g, t->window, QD_LANE_SEND_RESULT, NULL);
    return rc;
}

static void get_late(qd_group *g, const qd_ticket *t) {
    if (waits_for_sums(g, t->op))
        mark_missing(g, COUNTER_OUT, t->number);
    mark_busy(g, t, QD_LANE_SEND_CALL);
    mark_busy(g, t, QD_LANE_SEND_PARTS);
    mark_busy(g, t, QD_LANE_SEND_RESULT);
}

static int get_run(qd_group *g, const qd_ticket *t) {
    for (int f = 0; shares(g) && t->op->gather && f < g->config.member_count; f++) {
        qd_range piece = range(t, f);
        if (!mine_to_add(g, f) && piece.n > 0)
            unpack(t->op, piece.begin, staged(g, t, g->hosts.responsible[f], f, 0), piece.n);
    }
    publish(g, COUNTER_DONE, t->number);
    return 0;
}

const qd_stage_row qd_stages[QD_STAGES] = {
    [QD_STAGE_PUT] = {put_ready, put_run, put_late},
    [QD_STAGE_RELAY] = {relay_ready, relay_run, relay_late},
    [QD_STAGE_SUM] = {sum_ready, sum_run, sum_late},
    [QD_STAGE_PASS] = {pass_ready, pass_run, pass_late},
    [QD_STAGE_GET] = {get_ready, get_run, get_late},
};
