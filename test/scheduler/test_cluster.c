/* The cluster file. The messages of files that are refused are in test/data/broken. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/error.h"
#include "scheduler/cluster.h"

static qd_cluster accepted(const char *text) {
    qd_cluster cluster;
    ck_assert_msg(qd_cluster_parse("c.yaml", text, strlen(text), &cluster) == 0, "%s",
                  qd_error_message());
    return cluster;
}

static void check_equal(const qd_cluster *a, const qd_cluster *b) {
    qd_text x = {0}, y = {0};
    qd_cluster_emit(a, &x);
    qd_cluster_emit(b, &y);
    ck_assert_str_eq(x.bytes, y.bytes);
    qd_text_fini(&x);
    qd_text_fini(&y);
}

START_TEST(the_file_we_ship_holds_the_defaults) {
    qd_cluster shipped, defaults;
    qd_cluster_defaults(&defaults);
    ck_assert_msg(qd_cluster_load(QD_SOURCE_DIR "/conf/cluster.yaml", &shipped) == 0, "%s",
                  qd_error_message());
    check_equal(&shipped, &defaults);
    ck_assert_int_eq(defaults.worker_threads, 1);
    ck_assert_int_eq(defaults.transport, QD_TRANSPORT_AUTO);
    ck_assert_double_eq(defaults.peer_deadline_s, 120);
    ck_assert_double_eq(defaults.heartbeat_s, 1);
    ck_assert_double_eq(defaults.worker_timeout_s, 15);
    ck_assert_double_eq(defaults.stop_grace_s, 25);
    ck_assert_int_eq(defaults.scheduling.policy, 0);
    ck_assert_str_eq(defaults.runs, "runs");
}
END_TEST

START_TEST(an_empty_file_is_all_defaults) {
    qd_cluster defaults, empty = accepted(""), comments = accepted("# nothing yet\n");
    qd_cluster_defaults(&defaults);
    check_equal(&empty, &defaults);
    check_equal(&comments, &defaults);
}
END_TEST

START_TEST(an_emitted_cluster_parses_back_to_the_same_one) {
    qd_cluster cluster =
        accepted("workers: {threads: 7}\ncollectives: {transport: mpi, deadline_s: "
                 "0.1}\nliveness: {heartbeat_s: 0.3, timeout_s: 0.6}\n"
                 "stop: {grace_s: 1e3}\nruns: \"/my runs/#1\"\n");
    ck_assert_int_eq(cluster.worker_threads, 7);
    ck_assert_int_eq(cluster.transport, QD_TRANSPORT_MPI);
    ck_assert_double_eq(cluster.worker_timeout_s, 0.6);
    ck_assert_double_eq(cluster.stop_grace_s, 1000);
    ck_assert_str_eq(cluster.runs, "/my runs/#1");
    qd_text text = {0};
    qd_cluster_emit(&cluster, &text);
    qd_cluster again = accepted(text.bytes);
    check_equal(&cluster, &again);
    qd_text_fini(&text);
}
END_TEST

START_TEST(a_file_that_is_refused_touches_nothing) {
    qd_cluster cluster, before;
    memset(&cluster, 0x5a, sizeof cluster);
    before = cluster;
    const char *text = "liveness: {heartbeat_s: 5, timeout_s: 6}\n";
    ck_assert_int_eq(qd_cluster_parse("c.yaml", text, strlen(text), &cluster), QD_ECONFIG);
    ck_assert_int_eq(memcmp(&cluster, &before, sizeof cluster), 0);
    ck_assert_int_eq(qd_cluster_load("/no/such/cluster.yaml", &cluster), QD_EIO);
    ck_assert_int_eq(memcmp(&cluster, &before, sizeof cluster), 0);
}
END_TEST

int main(void) {
    TCase *tc = tcase_create("cluster");
    tcase_add_test(tc, the_file_we_ship_holds_the_defaults);
    tcase_add_test(tc, an_empty_file_is_all_defaults);
    tcase_add_test(tc, an_emitted_cluster_parses_back_to_the_same_one);
    tcase_add_test(tc, a_file_that_is_refused_touches_nothing);
    Suite *suite = suite_create("scheduler/cluster");
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
