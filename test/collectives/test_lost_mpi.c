/* A member is killed in the middle of an operation; the others learn it in time, those that wait
 * for it name it (one that waits for such a one names that), and they go on without it. Started
 * with
 * --enable-recovery; the survivors leave without MPI_Finalize. */
#include <signal.h>

#include "collectives/exchange.h"
#include "mpi_check.h"
#include "slot_values.h"

enum { MOST_RANKS = 64, COUNT = 4 << 20 };

/* "... for rank 0, 3": also among those who in turn wait for it. */
static bool message_lists(int rank) {
    char text[32];
    const char *list = strstr(qd_error_message(), "for rank ");
    snprintf(text, sizeof text, " %d", rank);
    return list && strstr(list, text);
}

int main(int argc, char **argv) {
    int members[MOST_RANKS], starts[MOST_RANKS + 1];
    mpi_test t = {.next_id = 1, .name = "lost", .transport_name = argc == 2 ? argv[1] : ""};
    if (!parse_transport(&t) || qd_world_open(&t.world))
        return 64;
    if (pretends_hosts(&t))
        pretend_hosts(&t);
    int m = t.world->size, lost = m - 1;
    qd_group_config config = members_from(&t, members, 0, m);
    config.deadline_s = 1;
    qd_group *g = new_group(&t, &config);
    qd_slot_ranges ranges = one_each(starts, m);
    float *v = new_vector(COUNT);
    memset(v, 0, COUNT * sizeof *v);
    qd_operation *op = NULL;
    if (!g || qd_group_barrier(g) || qd_allreduce_start(g, &ranges, &v, 1, v, COUNT, &op))
        _exit(1);
    bool done;
    for (int looks = 0; t.world->rank == lost && looks < 50; looks++)
        qd_operation_test(op, &done); /* some chunks on the way */
    if (t.world->rank == lost)
        kill(getpid(), SIGKILL);
    int rc = qd_operation_wait(op);
    CHECK(&t, rc == QD_ETIMEDOUT || rc == QD_ELOST);
    bool named = rc == QD_ELOST || message_lists(lost);
    qd_group_destroy(g);
    config = members_from(&t, members, 0, m - 1);
    qd_group *living = new_group(&t, &config);
    v[0] = (float)t.failures;
    v[1] = named;
    ranges = one_each(starts, m - 1);
    CHECK(&t, living && qd_allreduce_ordered(living, &ranges, &v, 1, v, 2) == 0);
    if (t.world->rank == 0 && v[0] == 0 && v[1] > 0 && t.failures == 0)
        printf("the lost member was named and the others went on\n");
    fflush(stdout);
    _exit(0);
}
