/* Cluster files: what is refused, and with which words; the defaults, written down and in effect.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "broken_files.h"
#include "scheduler/cluster.h"

static int parse_broken(const char *file, const char *text, size_t length) {
    qd_cluster cluster, before;
    memset(&cluster, 0x5a, sizeof cluster);
    before = cluster;
    int rc = qd_cluster_parse(file, text, length, &cluster);
    ck_assert_msg(memcmp(&cluster, &before, sizeof cluster) == 0, "%s: cluster touched", file);
    return rc;
}

START_TEST(every_broken_file_gives_its_message_and_leaves_the_cluster_alone) {
    ck_assert_int_ge(check_broken_files(true, parse_broken), 6);
}
END_TEST

START_TEST(the_file_in_conf_documents_the_defaults) {
    qd_cluster defaults, documented;
    memset(&defaults, 0, sizeof defaults);
    memset(&documented, 0, sizeof documented);
    qd_cluster_defaults(&defaults);
    ck_assert_int_eq(qd_cluster_load(QD_SOURCE_DIR "/conf/cluster.yaml", &documented), 0);
    ck_assert_int_eq(memcmp(&defaults, &documented, sizeof defaults), 0);
}
END_TEST

START_TEST(a_cluster_that_is_written_out_reads_back_equal) {
    const char *text = "workers: {threads: 3}\ncollectives: {transport: mpi, deadline_s: 7.25}\n"
                       "runs: \"a b: c\"\n";
    qd_cluster cluster, again;
    qd_text out = {0};
    ck_assert_int_eq(qd_cluster_parse("c.yaml", text, strlen(text), &cluster), 0);
    ck_assert_int_eq(cluster.worker_threads, 3);
    ck_assert_int_eq(cluster.transport, QD_CLUSTER_TRANSPORT_MPI);
    ck_assert_str_eq(cluster.runs, "a b: c");
    qd_cluster_emit(&cluster, &out);
    ck_assert_int_eq(qd_cluster_parse("d.yaml", out.bytes, out.length, &again), 0);
    ck_assert_int_eq(memcmp(&cluster, &again, sizeof cluster), 0);
    qd_text_fini(&out);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("cluster");
    TCase *tcase = tcase_create("cluster");
    tcase_add_test(tcase, every_broken_file_gives_its_message_and_leaves_the_cluster_alone);
    tcase_add_test(tcase, the_file_in_conf_documents_the_defaults);
    tcase_add_test(tcase, a_cluster_that_is_written_out_reads_back_equal);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
