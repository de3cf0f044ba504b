/* What a group does when a member is late, differs, or is called off; and that it leaves nothing
 * behind. The last rank of the world is the one that misbehaves. */
#include <dirent.h>
#include <stdint.h>

#include "collectives/allreduce.h"
#include "mpi_check.h"

enum { MOST_RANKS = 64, LARGE = 1 << 20 };
#define SHORT_S 0.3
#define SLACK_S 5.0 /* many processes share few processors here */

static bool is_last(const mpi_test *t) {
    return t->world->rank == t->world->size - 1;
}

static int last_rank(const mpi_test *t) {
    return t->world->size - 1;
}

static qd_group *new_group(mpi_test *t, const qd_group_config *config) {
    qd_group *group = NULL;
    int rc = qd_group_create(config, &group);
    CHECK(t, rc == 0);
    return rc == 0 ? group : NULL;
}

/* An all-reduce of zeros with one slot for each member. */
static int reduce_zeros(qd_group *group, int64_t count) {
    int starts[MOST_RANKS + 1];
    int size = qd_group_size(group);
    for (int i = 0; i <= size; i++)
        starts[i] = i;
    float *v = aligned_alloc(64, ((size_t)count * sizeof *v + 64) / 64 * 64);
    if (!v)
        abort();
    memset(v, 0, (size_t)count * sizeof *v);
    int rc = qd_allreduce_ordered(group, &(qd_slot_ranges){.leaves = size, .starts = starts}, &v, 1,
                                  v, count);
    /* Given back at once, also after a failure: nobody may touch it any more. */
    memset(v, 0xff, (size_t)count * sizeof *v);
    free(v);
    return rc;
}

static void the_living_form_a_new_group(mpi_test *t) {
    int members[MOST_RANKS];
    qd_group_config config = members_from(t, members, 0, t->world->size - 1);
    if (is_last(t))
        return;
    qd_group *group = new_group(t, &config);
    if (!group)
        return;
    CHECK(t, reduce_zeros(group, 1000) == 0);
    CHECK(t, reduce_zeros(group, LARGE) == 0);
    qd_group_destroy(group);
}

static void check_late(mpi_test *t, int rc, int64_t start) {
    double took = seconds_since(start);
    CHECK(t, rc == QD_ETIMEDOUT);
    CHECK(t, message_names(last_rank(t)));
    CHECK(t, took >= SHORT_S * 0.99 && took < SHORT_S + SLACK_S);
}

static void who_does_not_come_to_the_meeting_is_named_in_time(mpi_test *t) {
    int members[MOST_RANKS];
    qd_group_config config = members_from(t, members, 0, t->world->size);
    config.deadline_s = SHORT_S;
    if (!is_last(t)) {
        qd_group *group = NULL;
        int64_t start = qd_clock_now_ns();
        check_late(t, qd_group_create(&config, &group), start);
        CHECK(t, group == NULL);
    }
    all_meet();
    the_living_form_a_new_group(t);
}

/* A group whose deadline is short, made without haste. */
static qd_group *new_short_group(mpi_test *t) {
    int members[MOST_RANKS];
    qd_group_config config = members_from(t, members, 0, t->world->size);
    config.deadline_s = SHORT_S;
    all_meet();
    return new_group(t, &config);
}

static void who_does_not_call_is_named_in_time_and_others_go_on(mpi_test *t) {
    static const int64_t counts[] = {1, LARGE};
    for (int c = 0; c < 2; c++) {
        qd_group *group = new_short_group(t);
        if (group && !is_last(t)) {
            int64_t start = qd_clock_now_ns();
            check_late(t, reduce_zeros(group, counts[c]), start);
            CHECK(t, reduce_zeros(group, 1) == QD_ELOST);
            CHECK(t, qd_group_barrier(group) == QD_ELOST);
        }
        qd_group_destroy(group);
        the_living_form_a_new_group(t);
        all_meet();
    }
}

static void who_does_not_come_to_a_barrier_is_named_in_time(mpi_test *t) {
    qd_group *group = new_short_group(t);
    if (group && !is_last(t)) {
        int64_t start = qd_clock_now_ns();
        check_late(t, qd_group_barrier(group), start);
    }
    qd_group_destroy(group);
}

static int call_off_after_some_polls(void *context) {
    int *polls = context;
    return ++*polls >= 5;
}

static void a_wait_can_be_called_off(mpi_test *t) {
    int members[MOST_RANKS], polls = 0;
    qd_group_config config = members_from(t, members, 0, t->world->size);
    config.poll = call_off_after_some_polls;
    config.poll_context = &polls;
    if (!is_last(t)) {
        qd_group *group = NULL;
        int64_t start = qd_clock_now_ns();
        CHECK(t, qd_group_create(&config, &group) == QD_ECANCELLED);
        CHECK(t, polls == 5 && seconds_since(start) < SLACK_S);
    }
    all_meet();
    config.id = t->next_id++;
    config.poll = NULL;
    qd_group *meeting = new_group(t, &config);
    qd_group_destroy(meeting);
    config.id = t->next_id++;
    config.poll = call_off_after_some_polls;
    polls = -1000000;
    qd_group *group = new_group(t, &config);
    all_meet();
    polls = 0;
    if (group && !is_last(t)) {
        CHECK(t, reduce_zeros(group, LARGE) == QD_ECANCELLED);
        CHECK(t, polls == 5);
    }
    qd_group_destroy(group);
}

static void who_reduces_another_size_is_named_with_both_sizes(mpi_test *t) {
    int members[MOST_RANKS];
    qd_group_config config = members_from(t, members, 0, t->world->size);
    qd_group *group = new_group(t, &config);
    if (!group)
        return;
    CHECK(t, reduce_zeros(group, 500) == 0);
    int64_t start = qd_clock_now_ns();
    CHECK(t, reduce_zeros(group, is_last(t) ? LARGE + 1 : 1000) == QD_EPROTO);
    CHECK(t, seconds_since(start) < SLACK_S);
    CHECK(t, is_last(t) || message_names(last_rank(t)));
    CHECK(t, strstr(qd_error_message(), "1048577 floats") != NULL);
    CHECK(t, strstr(qd_error_message(), "1000 floats") != NULL);
    CHECK(t, reduce_zeros(group, 1000) == QD_ELOST);
    qd_group_destroy(group);
}

static void who_calls_something_else_is_named(mpi_test *t) {
    int members[MOST_RANKS];
    qd_group_config config = members_from(t, members, 0, t->world->size);
    qd_group *group = new_group(t, &config);
    if (!group)
        return;
    CHECK(t, (is_last(t) ? qd_group_barrier(group) : reduce_zeros(group, 10)) == QD_EPROTO);
    CHECK(t, is_last(t) || message_names(last_rank(t)));
    CHECK(t, strstr(qd_error_message(), "barrier") && strstr(qd_error_message(), "10 floats"));
    qd_group_destroy(group);
}

static void who_gives_out_the_slots_differently_is_named(mpi_test *t) {
    int members[MOST_RANKS], starts[MOST_RANKS + 1];
    int n = t->world->size;
    qd_group_config config = members_from(t, members, 0, n);
    qd_group *group = new_group(t, &config);
    if (!group)
        return;
    /* Two slots more than members: the first has them, or the second; both make whole nodes. */
    starts[0] = 0;
    for (int i = 1; i <= n; i++)
        starts[i] = i + (is_last(t) && i == 1 ? 0 : 1);
    _Alignas(64) float v[4][16] = {{0}};
    float *parts[4] = {v[0], v[1], v[2], v[3]};
    int held = 1;
    if (is_last(t) && n == 2)
        held = 2; /* slots 1 and 2 of three are no whole node */
    int rc = qd_allreduce_ordered(group, &(qd_slot_ranges){.leaves = n + 1, .starts = starts},
                                  parts, held, v[0], 16);
    CHECK(t, rc == QD_EPROTO);
    CHECK(t, is_last(t) || message_names(last_rank(t)));
    CHECK(t, strstr(qd_error_message(), "given out differently") != NULL);
    qd_group_destroy(group);
}

/* With three or more: the one that differs is found although another one never comes. */
static void a_mismatch_is_not_waited_for(mpi_test *t) {
    int members[MOST_RANKS];
    if (t->world->size < 3)
        return;
    qd_group_config config = members_from(t, members, 0, t->world->size);
    qd_group *group = new_group(t, &config);
    int64_t start = qd_clock_now_ns();
    if (group && t->world->rank < 2) {
        CHECK(t, reduce_zeros(group, 10 + t->world->rank) == QD_EPROTO);
        CHECK(t, message_names(1 - t->world->rank));
        CHECK(t, seconds_since(start) < SLACK_S);
    }
    qd_group_destroy(group);
}

static void who_comes_with_another_configuration_is_named(mpi_test *t) {
    int members[MOST_RANKS];
    qd_group_config config = members_from(t, members, 0, t->world->size);
    qd_group *group = NULL;
    if (is_last(t))
        config.transport = pretends_hosts(t) ? QD_TRANSPORT_MPI : QD_TRANSPORT_AUTO;
    CHECK(t, qd_group_create(&config, &group) == QD_EPROTO);
    CHECK(t, is_last(t) || message_names(last_rank(t)));
    CHECK(t, strstr(qd_error_message(), "auto") &&
                 strstr(qd_error_message(), pretends_hosts(t) ? "mpi" : t->transport_name));
}

static void wrong_arguments_are_refused_and_harm_nothing(mpi_test *t) {
    int members[MOST_RANKS], twice[2] = {t->world->rank, t->world->rank};
    int starts[3] = {0, 1, 2};
    qd_group *group = NULL;
    qd_group_config config = members_from(t, members, 0, t->world->size);
    qd_group_config bad = config;
    bad.members = twice;
    bad.member_count = 2;
    CHECK(t, qd_group_create(&bad, &group) == QD_EINTERNAL);
    bad = config;
    bad.member_count = 0;
    CHECK(t, qd_group_create(&bad, &group) == QD_EINTERNAL);
    bad = config;
    bad.deadline_s = 0;
    CHECK(t, qd_group_create(&bad, &group) == QD_EINTERNAL);
    int other = (t->world->rank + 1) % t->world->size;
    bad = config;
    bad.members = &other;
    bad.member_count = 1;
    CHECK(t, qd_group_create(&bad, &group) == QD_EINTERNAL);
    CHECK(t, group == NULL);
    twice[0] = t->world->rank;
    config.members = twice;
    config.member_count = 1;
    group = new_group(t, &config);
    if (!group)
        return;
    _Alignas(64) float a[16] = {1}, b[16] = {2}, result[16];
    float *parts[2] = {a, b};
    qd_slot_ranges one = {.leaves = 1, .starts = starts}, two = {.leaves = 2, .starts = starts};
    CHECK(t, qd_allreduce_ordered(group, &one, parts, 2, result, 16) == QD_EINTERNAL);
    CHECK(t, qd_allreduce_ordered(group, &two, parts, 1, result, 16) == QD_EINTERNAL);
    CHECK(t, qd_allreduce_ordered(group, &one, parts, 1, result, -1) == QD_EINTERNAL);
    CHECK(t, qd_allreduce_ordered(group, &one, parts, 1, result, 16) == 0);
    CHECK(t, result[0] == 1.0f && qd_group_bytes_sent(group) == 0);
    CHECK(t, strcmp(qd_group_transport(group), "self") == 0);
    CHECK(t, qd_group_barrier(group) == 0);
    qd_group_destroy(group);
    qd_group_destroy(NULL);
}

/* A world that says its first rank is on another host. */
static void memory_is_shared_only_on_one_host(mpi_test *t) {
    int members[MOST_RANKS];
    char *hosts[MOST_RANKS], elsewhere[] = "elsewhere";
    if (pretends_hosts(t))
        return;
    qd_world world = *t->world;
    for (int i = 0; i < world.size; i++)
        hosts[i] = t->world->host[i];
    hosts[0] = elsewhere;
    world.host = hosts;
    qd_group *group = NULL;
    qd_group_config config = members_from(t, members, 0, world.size);
    config.world = &world;
    config.transport = QD_TRANSPORT_SHM;
    CHECK(t, qd_group_create(&config, &group) == QD_EIO);
    CHECK(t, strstr(qd_error_message(), "elsewhere") != NULL);
    config.id = t->next_id++;
    config.transport = QD_TRANSPORT_AUTO;
    group = new_group(t, &config);
    if (group) {
        CHECK(t, strcmp(qd_group_transport(group), world.size > 2 ? "hierarchical" : "mpi") == 0);
        CHECK(t, reduce_zeros(group, 100) == 0);
    }
    qd_group_destroy(group);
    config.world = t->world;
    config.id = t->next_id++;
    group = new_group(t, &config);
    CHECK(t, group && strcmp(qd_group_transport(group), "shm") == 0);
    qd_group_destroy(group);
}

/* With few tags, a group long gone has the same ones: its leftovers are passed over. */
static void a_hello_of_another_group_with_the_same_tags_is_passed_over(mpi_test *t) {
    int members[MOST_RANKS];
    qd_world world = *t->world;
    world.max_tag = 8 * (1 << 20) - 1;
    qd_group_config config = members_from(t, members, 0, world.size);
    config.world = &world;
    config.deadline_s = SHORT_S;
    qd_group *group = NULL;
    if (!is_last(t))
        CHECK(t, qd_group_create(&config, &group) == QD_ETIMEDOUT);
    all_meet();
    config.id += 1 << 20;
    config.deadline_s = 60;
    group = new_group(t, &config);
    if (group)
        CHECK(t, reduce_zeros(group, 1000) == 0);
    qd_group_destroy(group);
}

static int open_files(void) {
    DIR *folder = opendir("/proc/self/fd");
    int count = 0;
    while (folder && readdir(folder))
        count++;
    closedir(folder);
    return count;
}

static bool has_mapping(const char *name) {
    char line[512];
    bool found = false;
    FILE *maps = fopen("/proc/self/maps", "r");
    while (maps && fgets(line, sizeof line, maps))
        found = found || strstr(line, name) != NULL;
    fclose(maps);
    return found;
}

static void a_group_leaves_no_file_and_no_memory(mpi_test *t) {
    int members[MOST_RANKS];
    int before = open_files();
    for (int i = 0; i < 20; i++) {
        qd_group_config config = members_from(t, members, 0, t->world->size);
        qd_group *group = new_group(t, &config);
        if (!group)
            return;
        bool shares = strcmp(qd_group_transport(group), "mpi") != 0;
        bool alone = pretends_hosts(t) && t->world->size == 3 && t->world->rank == 1;
        CHECK(t, has_mapping("quadrille-group") == (shares && !alone));
        CHECK(t, reduce_zeros(group, 100) == 0);
        qd_group_destroy(group);
    }
    CHECK(t, open_files() == before);
    CHECK(t, !has_mapping("quadrille-group"));
}

int main(int argc, char **argv) {
#define ROW(test)                                                                                  \
    { #test, test }
    static const mpi_test_row rows[] = {
        ROW(a_group_leaves_no_file_and_no_memory),
        ROW(who_does_not_come_to_the_meeting_is_named_in_time),
        ROW(who_does_not_call_is_named_in_time_and_others_go_on),
        ROW(who_does_not_come_to_a_barrier_is_named_in_time),
        ROW(a_wait_can_be_called_off),
        ROW(who_reduces_another_size_is_named_with_both_sizes),
        ROW(who_calls_something_else_is_named),
        ROW(who_gives_out_the_slots_differently_is_named),
        ROW(a_mismatch_is_not_waited_for),
        ROW(who_comes_with_another_configuration_is_named),
        ROW(wrong_arguments_are_refused_and_harm_nothing),
        ROW(memory_is_shared_only_on_one_host),
        ROW(a_hello_of_another_group_with_the_same_tags_is_passed_over),
    };
    return mpi_test_main(argc, argv, rows, sizeof rows / sizeof rows[0]);
}
