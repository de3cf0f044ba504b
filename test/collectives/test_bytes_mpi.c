/* How many bytes each collective call sends, counted in the transport, against the formulas of the
 * field (nccl-tests, doc/PERFORMANCE.md) where those say it, and against volume.h for every other
 * way of dealing out slots, pieces and hosts. */
#include "collectives/exchange.h"
#include "mpi_check.h"
#include "volume.h"

enum { MOST_RANKS = 64 };

/* ---- groups ---- */

/* A group of all, and what volume.h has to know of it. */
typedef struct counted {
    mpi_test *t;
    qd_world world; /* with other hosts than those of the test */
    char *hosts[MOST_RANKS], names[MOST_RANKS][16];
    int host[MOST_RANKS], starts[MOST_RANKS + 1];
    qd_group *group;
    volume_group shape;
    int members, me;
    size_t width; /* bytes of an element of a sum on the wire */
} counted;

/* Member i is on host[i]; NULL: on those of the test. */
static bool open_counted(mpi_test *t, counted *c, const int *host, qd_wire_type wire) {
    int ranks[MOST_RANKS];
    qd_group_config config = members_from(t, ranks, 0, t->world->size);
    *c = (counted){.t = t, .world = *t->world, .members = t->world->size, .me = t->world->rank};
    for (int i = 0; i < c->members; i++) {
        c->host[i] = host                               ? host[i]
                     : pretends_hosts(t)                ? pretended_host(t, i)
                     : t->transport == QD_TRANSPORT_MPI ? i
                                                        : 0;
        snprintf(c->names[i], sizeof c->names[i], "host%d", c->host[i]);
        c->hosts[i] = c->names[i];
    }
    c->world.host = c->hosts;
    config.world = &c->world;
    config.wire = wire;
    c->width = wire == QD_WIRE_BF16 ? 2 : 4;
    c->shape = (volume_group){.members = c->members, .host = c->host, .starts = c->starts};
    c->group = new_group(t, &config);
    return c->group != NULL;
}

/* ---- counting ---- */

typedef struct sent {
    uint64_t bytes, between_hosts, calls;
} sent;

static sent sent_by(const counted *c, qd_call_kind kind) {
    return (sent){qd_group_bytes_of(c->group, kind), qd_group_bytes_between_hosts(c->group),
                  qd_group_calls_of(c->group, kind)};
}

static void check_sent(const counted *c, qd_call_kind kind, sent before, volume elements,
                       size_t width) {
    sent now = sent_by(c, kind);
    CHECK(c->t, now.bytes - before.bytes == elements.all * width);
    CHECK(c->t, now.between_hosts - before.between_hosts == elements.between_hosts * width);
    CHECK(c->t, now.calls - before.calls == 1);
}

/* A vector of zeros for each node that the member brings. */
static parts zeros(const counted *c, const qd_slot_ranges *ranges, int64_t count) {
    parts p = fill_parts(ranges, c->me, 1, 0);
    for (int k = 0; k < p.count; k++) {
        free(p.vector[k]);
        p.vector[k] = new_vector(count);
        memset(p.vector[k], 0, (size_t)count * sizeof(float));
    }
    return p;
}

static void check_all_reduce(const counted *c, const qd_slot_ranges *ranges, int64_t count,
                             volume elements) {
    parts p = zeros(c, ranges, count);
    sent before = sent_by(c, QD_CALL_ALLREDUCE);
    CHECK(c->t, qd_allreduce_ordered(c->group, ranges, p.vector, p.count, p.vector[0], count) == 0);
    check_sent(c, QD_CALL_ALLREDUCE, before, elements, c->width);
    free_parts(&p);
}

static void check_reduce_scatter(const counted *c, const qd_slot_ranges *ranges,
                                 const int64_t *bounds, volume elements) {
    parts p = zeros(c, ranges, bounds[c->members]);
    float *own = new_vector(bounds[c->me + 1] - bounds[c->me]);
    sent before = sent_by(c, QD_CALL_REDUCE_SCATTER);
    CHECK(c->t, qd_reduce_scatter(c->group, ranges, p.vector, p.count, bounds, own) == 0);
    check_sent(c, QD_CALL_REDUCE_SCATTER, before, elements, c->width);
    free(own);
    free_parts(&p);
}

static void check_all_gather(const counted *c, const int64_t *bounds, volume bytes) {
    float *v = new_vector(bounds[c->members] / 4 + 1);
    memset(v, 0, (size_t)bounds[c->members]);
    sent before = sent_by(c, QD_CALL_ALL_GATHER);
    CHECK(c->t, qd_all_gather(c->group, v, bounds) == 0);
    check_sent(c, QD_CALL_ALL_GATHER, before, bytes, 1);
    free(v);
}

static void check_broadcast(const counted *c, int64_t count, int root, volume bytes) {
    float *v = new_vector(count / 4 + 1);
    memset(v, 0, (size_t)count);
    sent before = sent_by(c, QD_CALL_BROADCAST);
    CHECK(c->t, qd_broadcast(c->group, v, count, root) == 0);
    check_sent(c, QD_CALL_BROADCAST, before, bytes, 1);
    free(v);
}

/* ---- as the field has it ---- */

/*
 * N hosts of g members each, m = N g; S bytes, which m divides; one slot each. N 1: one host; g 1:
 * all by messages. Between hosts and within them; all-reduce both of these twice.
 */
static volume of_hosts_alike(uint64_t s, uint64_t hosts, uint64_t each) {
    uint64_t within = s * (each - 1) / each, between = s * (hosts - 1) / hosts / each;
    return (volume){within + between, between};
}

/* The root to its neighbours and a member of each other host, which pass it on. */
static volume of_broadcast(uint64_t s, uint64_t hosts, uint64_t each, bool root, bool passes) {
    volume v = {0};
    if (root)
        v = (volume){(each - 1 + hosts - 1) * s, (hosts - 1) * s};
    else if (passes)
        v.all = (each - 1) * s;
    return v;
}

static void check_hosts_alike(mpi_test *t, int hosts, qd_wire_type wire) {
    counted c;
    int host[MOST_RANKS] = {0}, m = t->world->size, each = m / hosts;
    int64_t bounds[MOST_RANKS + 1], count = 30000 * m;
    for (int i = 0; i < m; i++)
        host[i] = i / each;
    if (!open_counted(t, &c, host, wire))
        return;
    qd_slot_ranges ranges = one_each(c.starts, m);
    volume half = of_hosts_alike((uint64_t)count, (uint64_t)hosts, (uint64_t)each);
    for (int i = 0; i <= m; i++)
        bounds[i] = i * (count / m);
    check_all_reduce(&c, &ranges, count, volume_sum(half, half));
    check_reduce_scatter(&c, &ranges, bounds, half);
    check_all_gather(&c, bounds, half);
    for (int root = 0; root < m; root++)
        check_broadcast(&c, count, root,
                        of_broadcast((uint64_t)count, (uint64_t)hosts, (uint64_t)each, c.me == root,
                                     c.me % each == root % each));
    qd_group_destroy(c.group);
}

/* One slot each is a subtree of each host where their numbers are powers of two. */
static void all_alike_send_what_the_formulas_of_the_field_say(mpi_test *t) {
    int m = t->world->size;
    if (!pretends_hosts(t)) {
        check_hosts_alike(t, t->transport == QD_TRANSPORT_MPI ? m : 1, QD_WIRE_FP32);
        check_hosts_alike(t, t->transport == QD_TRANSPORT_MPI ? m : 1, QD_WIRE_BF16);
        return;
    }
    for (int hosts = 1; hosts <= m && (m & (m - 1)) == 0; hosts *= 2) {
        check_hosts_alike(t, hosts, QD_WIRE_FP32);
        check_hosts_alike(t, hosts, QD_WIRE_BF16);
    }
}

/* ---- slots and pieces dealt out unevenly ---- */

/* Growing, none for some, all for the last. */
static void cut_pieces(int way, int64_t count, int members, int64_t *bounds) {
    for (int i = 0; i <= members; i++)
        bounds[i] = way == 0   ? count * i * i / members / members
                    : way == 1 ? count * (i - i % 2) / members
                               : 0;
    bounds[members] = count;
}

static void others_send_what_their_nodes_and_pieces_come_to(mpi_test *t) {
    enum { WAYS = 3 };
    static const int64_t counts[] = {0, 1, 13, 100003};
    int64_t bounds[MOST_RANKS + 1];
    counted c;
    if (!open_counted(t, &c, NULL, QD_WIRE_FP32))
        return;
    for (int d = 0; d < DISTRIBUTIONS; d++)
        for (int k = 0; k < 4; k++) {
            qd_slot_ranges ranges = distributions[d](c.starts, c.members);
            c.shape.leaves = ranges.leaves;
            check_all_reduce(&c, &ranges, counts[k],
                             volume_of_all_reduce(&c.shape, counts[k], c.me));
            for (int way = 0; way < WAYS; way++) {
                cut_pieces(way, counts[k], c.members, bounds);
                check_reduce_scatter(&c, &ranges, bounds,
                                     volume_of_reduce_scatter(&c.shape, bounds, c.me));
                check_all_gather(&c, bounds, volume_of_all_gather(&c.shape, bounds, c.me));
            }
        }
    qd_group_destroy(c.group);
}

/* ---- from one to another ---- */

static uint64_t pair_bytes(int from, int to) {
    return (uint64_t)((from + 2 * to) % 3 * 70001 + to);
}

static volume of_pair(const counted *c, int to) {
    uint64_t bytes = to == c->me ? 0 : pair_bytes(c->me, to);
    return (volume){bytes, c->host[to] != c->host[c->me] ? bytes : 0};
}

static void an_all_to_all_sends_what_is_for_others(mpi_test *t) {
    counted c;
    int64_t out[MOST_RANKS + 1] = {0}, in[MOST_RANKS + 1] = {0};
    volume v = {0};
    if (!open_counted(t, &c, NULL, QD_WIRE_FP32))
        return;
    for (int i = 0; i < c.members; i++) {
        out[i + 1] = out[i] + (int64_t)pair_bytes(c.me, i);
        in[i + 1] = in[i] + (int64_t)pair_bytes(i, c.me);
        v = volume_sum(v, of_pair(&c, i));
    }
    char *from = calloc(1, (size_t)out[c.members] + 1), *to = calloc(1, (size_t)in[c.members] + 1);
    sent before = sent_by(&c, QD_CALL_ALL_TO_ALL);
    CHECK(t, qd_all_to_all(c.group, from, out, to, in) == 0);
    check_sent(&c, QD_CALL_ALL_TO_ALL, before, v, 1);
    free(from);
    free(to);
    qd_group_destroy(c.group);
}

static void a_send_sends_its_bytes_and_a_receive_none(mpi_test *t) {
    counted c;
    if (!open_counted(t, &c, NULL, QD_WIRE_FP32))
        return;
    int next = (c.me + 1) % c.members, previous = (c.me + c.members - 1) % c.members;
    uint64_t coming = pair_bytes(previous, c.me);
    char *out = calloc(1, pair_bytes(c.me, next) + 1), *in = calloc(1, coming + 1);
    sent sends = sent_by(&c, QD_CALL_SEND), receives = sent_by(&c, QD_CALL_RECEIVE);
    qd_operation *op = NULL;
    CHECK(t, qd_send_start(c.group, next, out, (int64_t)pair_bytes(c.me, next), &op) == 0);
    CHECK(t, qd_receive(c.group, previous, in, (int64_t)coming) == 0);
    CHECK(t, qd_operation_wait(op) == 0);
    check_sent(&c, QD_CALL_SEND, sends, of_pair(&c, next), 1);
    receives.between_hosts = sent_by(&c, QD_CALL_RECEIVE).between_hosts;
    check_sent(&c, QD_CALL_RECEIVE, receives, (volume){0}, 1);
    free(out);
    free(in);
    qd_group_destroy(c.group);
}

static void a_barrier_sends_nothing(mpi_test *t) {
    counted c;
    if (!open_counted(t, &c, NULL, QD_WIRE_FP32))
        return;
    sent before = sent_by(&c, QD_CALL_BARRIER);
    CHECK(t, qd_group_barrier(c.group) == 0);
    check_sent(&c, QD_CALL_BARRIER, before, (volume){0}, 1);
    CHECK(t, qd_group_bytes_sent(c.group) == 0);
    qd_group_destroy(c.group);
}

int main(int argc, char **argv) {
#define ROW(test)                                                                                  \
    { #test, test }
    static const mpi_test_row rows[] = {
        ROW(all_alike_send_what_the_formulas_of_the_field_say),
        ROW(others_send_what_their_nodes_and_pieces_come_to),
        ROW(an_all_to_all_sends_what_is_for_others),
        ROW(a_send_sends_its_bytes_and_a_receive_none),
        ROW(a_barrier_sends_nothing),
    };
    return mpi_test_main(argc, argv, rows, sizeof rows / sizeof rows[0]);
}
