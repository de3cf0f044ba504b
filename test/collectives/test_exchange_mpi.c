/* Reduce-scatter, all-gather, broadcast, all-to-all, send and receive: what arrives, and what
 * members hear who call different things. Values are told apart by sender and place; sums are held
 * to the definition of the tree. How many bytes it took: test_bytes_mpi.c. */
#include "collectives/exchange.h"
#include "mpi_check.h"
#include "slot_values.h"

enum { MOST_RANKS = 64 };

static qd_group *group_of_all(mpi_test *t) {
    int members[MOST_RANKS];
    qd_group_config config = members_from(t, members, 0, t->world->size);
    return new_group(t, &config);
}

/* ---- pieces: even, uneven, some empty, one that has all ---- */

typedef void (*cut)(int64_t count, int members, int64_t *bounds);

static void cut_even(int64_t count, int members, int64_t *bounds) {
    for (int i = 0; i <= members; i++)
        bounds[i] = count * i / members;
}

static void cut_uneven(int64_t count, int members, int64_t *bounds) {
    for (int i = 0; i <= members; i++)
        bounds[i] = count * i * i / members / members;
}

static void cut_with_gaps(int64_t count, int members, int64_t *bounds) {
    for (int i = 0; i <= members; i++)
        bounds[i] = count * (i - i % 2) / members;
    bounds[members] = count;
}

static void cut_all_to_last(int64_t count, int members, int64_t *bounds) {
    memset(bounds, 0, (size_t)members * sizeof *bounds);
    bounds[members] = count;
}

static const cut cuts[] = {cut_even, cut_uneven, cut_with_gaps, cut_all_to_last};
enum { CUTS = sizeof cuts / sizeof cuts[0] };

static const int64_t counts[] = {0, 1, 13, 4099, 300007};
enum { COUNTS = sizeof counts / sizeof counts[0] };

static void check_reduce_scatter(mpi_test *t, qd_group *g, const qd_slot_ranges *ranges,
                                 const int64_t *bounds, bool in_place) {
    int me = qd_group_index(g), m = qd_group_size(g);
    int64_t count = bounds[m], own = bounds[me + 1] - bounds[me];
    uint32_t seed = (uint32_t)count + 5;
    parts p = fill_parts(ranges, me, seed, count);
    float *apart = new_vector(own), *result = in_place ? p.vector[0] + bounds[me] : apart;
    CHECK(t, qd_reduce_scatter(g, ranges, p.vector, p.count, bounds, result) == 0);
    bool good = true;
    for (int64_t i = 0; i<own; i += own> 10000 ? 7 : 1)
        good = good && same_bits(result[i], tree_sum(seed, 0, ranges->leaves, bounds[me] + i));
    CHECK(t, good);
    free(apart);
    free_parts(&p);
}

static void every_member_gets_the_tree_sum_of_its_piece(mpi_test *t) {
    int starts[MOST_RANKS + 1], n = 0;
    int64_t bounds[MOST_RANKS + 1];
    qd_group *g = group_of_all(t);
    for (int d = 0; g && d < DISTRIBUTIONS; d++)
        for (int c = 0; c < CUTS; c++) {
            qd_slot_ranges ranges = distributions[d](starts, t->world->size);
            for (int k = 0; k < COUNTS; k++) {
                cuts[c](counts[k], t->world->size, bounds);
                check_reduce_scatter(t, g, &ranges, bounds, n++ % 2 == 0);
            }
        }
    qd_group_destroy(g);
}

static unsigned char byte_of(int owner, int64_t i) {
    return (unsigned char)(owner * 37 + i * 11 + (i >> 8) + 1);
}

static bool holds_all_pieces(const unsigned char *v, const int64_t *bounds, int members) {
    for (int f = 0; f < members; f++)
        for (int64_t i = bounds[f]; i < bounds[f + 1]; i++)
            if (v[i] != byte_of(f, i))
                return false;
    return true;
}

static unsigned char *new_bytes(int64_t count) {
    unsigned char *v = aligned_alloc(64, ((size_t)count + 64) / 64 * 64);
    if (!v)
        abort();
    memset(v, 0, (size_t)count);
    return v;
}

static void all_gather_brings_every_piece_to_every_member(mpi_test *t) {
    int64_t bounds[MOST_RANKS + 1];
    int m = t->world->size, me = t->world->rank;
    qd_group *g = group_of_all(t);
    for (int c = 0; g && c < CUTS; c++)
        for (int k = 0; k < COUNTS; k++) {
            cuts[c](4 * counts[k] + c, m, bounds);
            unsigned char *v = new_bytes(bounds[m]);
            for (int64_t i = bounds[me]; i < bounds[me + 1]; i++)
                v[i] = byte_of(me, i);
            CHECK(t, qd_all_gather(g, v, bounds) == 0);
            CHECK(t, holds_all_pieces(v, bounds, m));
            free(v);
        }
    qd_group_destroy(g);
}

static void broadcast_brings_the_roots_bytes(mpi_test *t) {
    qd_group *g = group_of_all(t);
    for (int root = 0; g && root < t->world->size; root++)
        for (int k = 0; k < COUNTS; k++) {
            int64_t bounds[2] = {0, 3 * counts[k]};
            unsigned char *v = new_bytes(bounds[1]);
            for (int64_t i = 0; i < bounds[1] && t->world->rank == root; i++)
                v[i] = byte_of(0, i);
            CHECK(t, qd_broadcast(g, v, bounds[1], root) == 0);
            CHECK(t, holds_all_pieces(v, bounds, 1));
            free(v);
        }
    qd_group_destroy(g);
}

/* Bytes from one member to another: different for every pair, none for some. */
static int64_t pair_bytes(int from, int to, int64_t scale) {
    return (from + 2 * to) % 3 * scale + (from == to ? 5 : 0);
}

static void all_to_all_brings_every_pair_its_bytes(mpi_test *t) {
    int m = t->world->size, me = t->world->rank;
    qd_group *g = group_of_all(t);
    for (int k = 0; g && k < COUNTS; k++) {
        int64_t out[MOST_RANKS + 1] = {0}, in[MOST_RANKS + 1] = {0};
        for (int i = 0; i < m; i++) {
            out[i + 1] = out[i] + pair_bytes(me, i, counts[k]);
            in[i + 1] = in[i] + pair_bytes(i, me, counts[k]);
        }
        unsigned char *from = new_bytes(out[m]), *to = new_bytes(in[m]);
        for (int i = 0; i < m; i++)
            for (int64_t b = out[i]; b < out[i + 1]; b++)
                from[b] = byte_of(me * m + i, b - out[i]);
        CHECK(t, qd_all_to_all(g, from, out, to, in) == 0);
        bool good = true;
        for (int i = 0; i < m; i++)
            for (int64_t b = in[i]; b < in[i + 1]; b++)
                good = good && to[b] == byte_of(i * m + me, b - in[i]);
        CHECK(t, good);
        free(from);
        free(to);
    }
    qd_group_destroy(g);
}

/* Every member sends on to the next before it receives, as stages of a pipeline do. */
static void long_messages_go_both_ways_at_once(mpi_test *t) {
    enum { BYTES = 3 << 20 };
    int m = t->world->size, me = t->world->rank, next = (me + 1) % m, previous = (me + m - 1) % m;
    qd_group *g = group_of_all(t);
    if (!g)
        return;
    unsigned char *from = new_bytes(BYTES), *to = new_bytes(BYTES);
    int64_t whole[2] = {0, BYTES};
    for (int64_t i = 0; i < BYTES; i++)
        from[i] = byte_of(0, i);
    qd_operation *ops[6] = {0};
    unsigned char few[8] = {0};
    CHECK(t, qd_send_start(g, next, from, BYTES, &ops[0]) == 0);
    CHECK(t, qd_send_start(g, previous, from, 7, &ops[1]) == 0);
    CHECK(t, qd_send_start(g, previous, from, 0, &ops[2]) == 0);
    /* With two members next and previous are one: in the order in which it sent. */
    CHECK(t, qd_receive_start(g, previous, to, BYTES, &ops[3]) == 0);
    CHECK(t, qd_receive_start(g, next, few, 7, &ops[4]) == 0);
    CHECK(t, qd_receive_start(g, next, few, 0, &ops[5]) == 0);
    for (int i = 5; i >= 0; i--)
        CHECK(t, qd_operation_wait(ops[i]) == 0);
    CHECK(t, holds_all_pieces(to, whole, 1) && memcmp(few, from, 7) == 0);
    qd_group_destroy(g);
    free(from);
    free(to);
}

/* ---- many at once ---- */

/* Buckets of one vector, all started before the first is waited for. */
static void buckets_in_flight_give_the_same_bits(mpi_test *t) {
    enum { BUCKETS = 12, BUCKET = 50021 };
    int starts[MOST_RANKS + 1];
    qd_group *g = group_of_all(t);
    if (!g)
        return;
    qd_slot_ranges ranges = uneven(starts, t->world->size);
    parts p = fill_parts(&ranges, t->world->rank, 9, BUCKETS * BUCKET);
    qd_operation *ops[BUCKETS];
    for (int b = 0; b < BUCKETS; b++) {
        float *part[QD_TREE_MAX_COVER];
        for (int k = 0; k < p.count; k++)
            part[k] = p.vector[k] + b * BUCKET;
        CHECK(t, qd_allreduce_start(g, &ranges, part, p.count, part[0], BUCKET, &ops[b]) == 0);
    }
    for (int b = BUCKETS - 1; b >= 0; b--) {
        bool done;
        CHECK(t, qd_operation_wait(ops[b]) == 0);
        for (int earlier = 0; earlier < b; earlier++) {
            qd_operation_test(ops[earlier], &done);
            CHECK(t, done);
        }
    }
    CHECK(t, is_tree_sum(p.vector[0], 9, ranges.leaves, BUCKETS * BUCKET));
    free_parts(&p);
    qd_group_destroy(g);
}

/* ---- members that differ ---- */

static bool is_last(const mpi_test *t) {
    return t->world->rank == t->world->size - 1;
}

static void who_gathers_another_size_is_named_with_both_sizes(mpi_test *t) {
    int64_t bounds[MOST_RANKS + 1];
    unsigned char *v = new_bytes(1 << 20);
    for (int kind = 0; kind < 3; kind++) {
        qd_group *g = group_of_all(t);
        int64_t count = is_last(t) ? 700001 : 500002;
        int rc = 0;
        cut_even(count, t->world->size, bounds);
        if (kind == 0)
            rc = g ? qd_all_gather(g, v, bounds) : 0;
        else if (kind == 1)
            rc = g ? qd_broadcast(g, v, count, 0) : 0;
        else
            rc = g ? is_last(t) ? qd_broadcast(g, v, 700001, 0) : qd_all_gather(g, v, bounds) : 0;
        CHECK(t, rc == QD_EPROTO);
        CHECK(t, is_last(t) || message_names(t->world->size - 1));
        CHECK(t, strstr(qd_error_message(), "700001 bytes") &&
                     strstr(qd_error_message(), "500002 bytes"));
        qd_group_destroy(g);
    }
    free(v);
}

static void who_sends_another_size_is_named_with_both_sizes(mpi_test *t) {
    int m = t->world->size;
    unsigned char bytes[200] = {0};
    qd_group *g = group_of_all(t);
    if (g && is_last(t))
        CHECK(t, qd_send(g, 0, bytes, 100) == 0);
    if (g && t->world->rank == 0) {
        CHECK(t, qd_receive(g, m - 1, bytes, 200) == QD_EPROTO);
        CHECK(t, message_names(m - 1));
        CHECK(t, strstr(qd_error_message(), "100 bytes") && strstr(qd_error_message(), "200"));
    }
    all_meet();
    qd_group_destroy(g);
}

static void more_members_than_slots_are_refused(mpi_test *t) {
    int starts[MOST_RANKS + 1] = {0}, m = t->world->size;
    _Alignas(64) float v[16] = {0};
    float *part = v;
    for (int i = 0; i <= m; i++)
        starts[i] = i < m ? i : m - 1;
    qd_group *g = group_of_all(t);
    CHECK(t, g && qd_allreduce_ordered(g, &(qd_slot_ranges){.leaves = m - 1, .starts = starts},
                                       &part, 1, v, 16) == QD_EINTERNAL);
    CHECK(t, strstr(qd_error_message(), "slots over") != NULL);
    qd_group_destroy(g);
}

static void who_never_receives_is_named_in_time(mpi_test *t) {
    enum { BYTES = 8 << 20 };
    int members[MOST_RANKS];
    qd_group_config config = members_from(t, members, 0, t->world->size);
    config.deadline_s = 0.5;
    all_meet();
    qd_group *g = new_group(t, &config);
    unsigned char *v = new_bytes(BYTES);
    if (g && t->world->rank == 0) {
        CHECK(t, qd_receive(g, t->world->size - 1, v, 10) == QD_ETIMEDOUT);
        CHECK(t, message_names(t->world->size - 1));
    }
    qd_group_destroy(g);
    free(v);
}

int main(int argc, char **argv) {
#define ROW(test)                                                                                  \
    { #test, test }
    static const mpi_test_row rows[] = {
        ROW(every_member_gets_the_tree_sum_of_its_piece),
        ROW(all_gather_brings_every_piece_to_every_member),
        ROW(broadcast_brings_the_roots_bytes),
        ROW(all_to_all_brings_every_pair_its_bytes),
        ROW(long_messages_go_both_ways_at_once),
        ROW(buckets_in_flight_give_the_same_bits),
        ROW(who_gathers_another_size_is_named_with_both_sizes),
        ROW(who_sends_another_size_is_named_with_both_sizes),
        ROW(more_members_than_slots_are_refused),
        ROW(who_never_receives_is_named_in_time),
    };
    return mpi_test_main(argc, argv, rows, sizeof rows / sizeof rows[0]);
}
