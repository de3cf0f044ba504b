/* Recorded traces: what is read, and what is said of a broken line. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "runtime/error.h"
#include "scheduler/trace.h"

static char folder[] = "/tmp/quadrille-trace-XXXXXX";
static char path[256];

static void write_trace(const char *name, const char *text) {
    snprintf(path, sizeof path, "%s/%s", folder, name);
    /* "T" writes without compressing: gzip is tested with "wb". */
    gzFile file = gzopen(path, strstr(name, ".gz") ? "wb" : "wbT");
    ck_assert_ptr_nonnull(file);
    ck_assert_int_eq(gzputs(file, text), (int)strlen(text));
    ck_assert_int_eq(gzclose(file), Z_OK);
}

static void assert_refused(const char *name, const char *text, const char *message) {
    char expected[512];
    qd_trace trace;
    write_trace(name, text);
    ck_assert_int_eq(qd_trace_load(path, &trace), QD_EDATA);
    snprintf(expected, sizeof expected, "%s%s", path, message);
    ck_assert_str_eq(qd_error_message(), expected);
    unlink(path);
}

static qd_trace accepted(const char *name, const char *text) {
    qd_trace trace;
    write_trace(name, text);
    ck_assert_msg(qd_trace_load(path, &trace) == 0, "%s", qd_error_message());
    unlink(path);
    return trace;
}

static void assert_job(const qd_trace *trace, int i, int64_t submit_ns, int64_t duration_ns,
                       int ranks) {
    ck_assert_int_lt(i, trace->count);
    ck_assert_int_eq(trace->jobs[i].submit_ns, submit_ns);
    ck_assert_int_eq(trace->jobs[i].duration_ns, duration_ns);
    ck_assert_int_eq(trace->jobs[i].ranks, ranks);
}

START_TEST(csv_takes_columns_in_any_order_and_seconds_exactly) {
    qd_trace t =
        accepted("a.csv", "ranks,user,submit_s,duration_s\n2,x,0.1,3\n\n1,y,5,0.000000001\r\n");
    ck_assert_int_eq(t.count, 2);
    assert_job(&t, 0, 100000000, 3000000000, 2);
    assert_job(&t, 1, 5000000000, 1, 1);
    ck_assert_int_eq(t.widest, 2);
    ck_assert_int_eq(t.jobs[0].importance, 0);
    ck_assert_str_eq(t.name, "a");
    qd_trace_fini(&t);
}
END_TEST

START_TEST(csv_may_tell_the_class_of_each_job) {
    qd_trace t = accepted("a.csv", "submit_s,importance,duration_s,ranks\n5,-50,3,2\n1,100,3,-1\n"
                                   "0,7,3,1\n");
    ck_assert_int_eq(t.count, 2);
    ck_assert_int_eq(t.left_out, 1);
    ck_assert_int_eq(t.jobs[0].importance, 7);
    ck_assert_int_eq(t.jobs[1].importance, -50);
    qd_trace_fini(&t);
}
END_TEST

START_TEST(csv_may_tell_whose_each_job_is) {
    qd_trace t =
        accepted("a.csv", "account,submit_s,duration_s,ranks\nu,0,3,2\nv,1,3,4\nu,2,3,1\n");
    ck_assert_int_eq(t.account_count, 2);
    for (int i = 0; i < 3; i++)
        ck_assert_str_eq(t.accounts[t.jobs[i].account], i == 1 ? "v" : "u");
    qd_trace_fini(&t);
    assert_refused("c.csv", "submit_s,duration_s,ranks,account\n1,2,3,\n",
                   ":2: account ''; accepted: 1 .. 31 letters");
}
END_TEST

START_TEST(csv_may_tell_how_many_ranks_a_job_could_have) {
    qd_trace t = accepted("a.csv", "submit_s,duration_s,ranks,ranks_max\n0,3,2,8\n1,3,4,4\n");
    ck_assert_int_eq(t.jobs[0].ranks_max, 8);
    ck_assert_int_eq(t.jobs[1].ranks_max, 4);
    qd_trace_fini(&t);
}
END_TEST

START_TEST(jobs_are_sorted_by_submission_and_ties_keep_the_order_of_the_file) {
    qd_trace t = accepted("a.csv.gz", "submit_s,duration_s,ranks\n7,1,1\n3,2,1\n7,3,1\n3,4,1\n");
    assert_job(&t, 0, 3000000000, 2000000000, 1);
    assert_job(&t, 1, 3000000000, 4000000000, 1);
    assert_job(&t, 2, 7000000000, 1000000000, 1);
    assert_job(&t, 3, 7000000000, 3000000000, 1);
    qd_trace_fini(&t);
}
END_TEST

START_TEST(swf_takes_fields_2_4_and_5_and_leaves_out_what_is_unknown) {
    qd_trace t = accepted("b.swf", "; Comment: none\n"
                                   " 1 10 -1 20 4 -1 -1 8 -1 -1 -1 -1 -1 -1 -1 -1 -1 -1\n"
                                   "2\t11 -1 20 -1 -1 -1 8 -1 -1 -1 -1 -1 -1 -1 -1 -1 -1\n"
                                   "3 12 -1 -1 4 -1 -1 8 -1 -1 -1 -1 -1 -1 -1 -1 -1 -1\n"
                                   "4 13 -1 20 0 -1 -1 8 -1 -1 -1 -1 -1 -1 -1 -1 -1 -1\n");
    ck_assert_int_eq(t.count, 2);
    ck_assert_int_eq(t.left_out, 2);
    assert_job(&t, 0, 10000000000, 20000000000, 4);
    assert_job(&t, 1, 11000000000, 20000000000, 8);
    qd_trace_fini(&t);
}
END_TEST

START_TEST(a_broken_line_is_named_with_what_is_wrong) {
    assert_refused("c.csv", "submit_s,ranks\n1,2\n",
                   ":1: no column duration_s; the first line names the columns, among them "
                   "submit_s, duration_s and ranks");
    assert_refused("c.csv", "submit_s,duration_s,ranks\n1,2,3\n1,2\n", ":3: 2 fields, no ranks");
    assert_refused("c.csv", "submit_s,duration_s,ranks\n1,2s,3\n",
                   ":2: duration_s '2s' is no number of seconds");
    assert_refused("c.csv", "submit_s,duration_s,ranks\n1,2,3.5\n",
                   ":2: ranks '3.5' is no whole number");
    assert_refused("c.csv", "submit_s,duration_s,ranks,importance\n1,2,3,high\n",
                   ":2: importance 'high' is no whole number");
    assert_refused("c.csv", "submit_s,duration_s,ranks,importance\n1,2,3,101\n",
                   ":2: importance 101; accepted: -100 .. 100");
    assert_refused("c.csv.gz", "submit_s,duration_s,ranks\n-1,2,3\n",
                   ":2: a submission before time 0");
    assert_refused("c.csv", "submit_s,duration_s,ranks\n1,2,3000000000\n",
                   ":2: 3000000000 ranks; accepted: up to 2147483647");
    assert_refused("c.swf", "1 2 3\n", ":1: 3 fields; a job has 18");
    assert_refused("c.swf", "; c\n1 2 x 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18\n",
                   ":2: field 3, 'x', is no number");
    assert_refused("c.swf", "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19\n",
                   ":1: more than the 18 fields of a job");
}
END_TEST

START_TEST(a_file_that_is_no_trace_is_refused) {
    qd_trace trace;
    assert_refused("d.csv", "", ": holds no job");
    assert_refused("d.txt", "x",
                   ": no known kind of trace; accepted: .csv, .swf, .csv.gz, .swf.gz");
    ck_assert_int_eq(qd_trace_load("/no/such.csv", &trace), QD_EIO);
    ck_assert_str_eq(qd_error_message(), "/no/such.csv: open: No such file or directory");
}
END_TEST

START_TEST(a_gzip_file_cut_short_is_refused) {
    qd_trace trace;
    char expected[512];
    write_trace("e.csv.gz", "submit_s,duration_s,ranks\n1,2,3\n1,2,3\n1,2,3\n");
    ck_assert_int_eq(truncate(path, 30), 0);
    ck_assert_int_eq(qd_trace_load(path, &trace), QD_EDATA);
    snprintf(expected, sizeof expected, "%s: damaged or cut short", path);
    ck_assert_int_eq(strncmp(qd_error_message(), expected, strlen(expected)), 0);
    unlink(path);
}
END_TEST

START_TEST(no_number_beyond_what_ns_can_say) {
    int64_t ns;
    ck_assert(qd_trace_parse_ns("9000000000", &ns));
    ck_assert_int_eq(ns, INT64_C(9000000000000000000));
    ck_assert(!qd_trace_parse_ns("9300000000", &ns));
    ck_assert(!qd_trace_parse_ns("1.0000000001", &ns));
    ck_assert(!qd_trace_parse_ns("", &ns));
    ck_assert(!qd_trace_parse_ns(".", &ns));
    ck_assert(!qd_trace_parse_ns("1.2.3", &ns));
    ck_assert(qd_trace_parse_ns("-0.5", &ns));
    ck_assert_int_eq(ns, -500000000);
}
END_TEST

int main(void) {
    TCase *tc = tcase_create("trace");
    tcase_add_test(tc, csv_takes_columns_in_any_order_and_seconds_exactly);
    tcase_add_test(tc, csv_may_tell_the_class_of_each_job);
    tcase_add_test(tc, csv_may_tell_how_many_ranks_a_job_could_have);
    tcase_add_test(tc, csv_may_tell_whose_each_job_is);
    tcase_add_test(tc, jobs_are_sorted_by_submission_and_ties_keep_the_order_of_the_file);
    tcase_add_test(tc, swf_takes_fields_2_4_and_5_and_leaves_out_what_is_unknown);
    tcase_add_test(tc, a_broken_line_is_named_with_what_is_wrong);
    tcase_add_test(tc, a_file_that_is_no_trace_is_refused);
    tcase_add_test(tc, a_gzip_file_cut_short_is_refused);
    tcase_add_test(tc, no_number_beyond_what_ns_can_say);
    Suite *suite = suite_create("scheduler/trace");
    suite_add_tcase(suite, tc);
    if (!mkdtemp(folder))
        return EXIT_FAILURE;
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    rmdir(folder);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
