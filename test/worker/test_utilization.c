/* The account of a rank's time, read back as a program would read it. */
#include <check.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "runtime/clock.h"
#include "runtime/resident.h"
#include "runtime/span.h"
#include "test/worker/temp_folder.h"
#include "worker/utilization.h"

static qd_utilization_config config(void) {
    return (qd_utilization_config){.run_folder = temp_folder,
                                   .job = "fashion-mlp",
                                   .attempt = 2,
                                   .rank = 3,
                                   .host = "node7",
                                   .arena_bytes = 123456};
}

/* Starts clock and account together. */
static qd_utilization *start(qd_span_clock *clock, qd_span_kind kind) {
    qd_utilization *u;
    qd_utilization_config c = config();
    c.started_ns = qd_clock_now_ns();
    qd_span_start(clock, kind);
    ck_assert_msg(qd_utilization_create(&c, &u) == 0, "%s", qd_error_message());
    return u;
}

static void spend(qd_span_clock *clock, qd_span_kind kind, int ms) {
    struct timespec pause = {.tv_nsec = ms * 1000000L};
    qd_span_kind before = qd_span_enter(clock, kind);
    nanosleep(&pause, NULL);
    qd_span_enter(clock, before);
}

/* The lines of the file as a JSON array; each is one whole line. */
static json_t *read_lines(void) {
    char *path = temp_path("rank-3.jsonl"), *text;
    size_t length;
    json_t *lines = json_array();
    ck_assert_int_eq(qd_file_read(path, 1 << 20, &text, &length), 0);
    ck_assert_int_eq(text[length - 1], '\n');
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
        json_error_t error;
        json_t *json = json_loads(line, JSON_REJECT_DUPLICATES, &error);
        ck_assert_msg(json != NULL, "%s: %s", line, error.text);
        json_array_append_new(lines, json);
    }
    free(text);
    remove(path);
    free(path);
    return lines;
}

static double real_of(const json_t *line, const char *key) {
    json_t *value = json_object_get(line, key);
    ck_assert_msg(json_is_number(value), "%s", key);
    return json_number_value(value);
}

static double sum_of_shares(const json_t *line) {
    static const char *const keys[] = {"compute_s", "communication_s", "pipeline_s",
                                       "data_s",    "checkpoint_s",    "idle_s"};
    double sum = 0;
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        sum += real_of(line, keys[i]);
    return sum;
}

START_TEST(shares_sum_to_the_wall_time_within_one_percent) {
    qd_span_clock clock;
    qd_utilization *u = start(&clock, QD_SPAN_IDLE);
    for (int interval = 0; interval < 3; interval++) {
        for (int kind = 0; kind < QD_SPAN_KINDS; kind++)
            spend(&clock, (qd_span_kind)kind, 5 + 3 * kind);
        ck_assert_int_eq(qd_utilization_write(u, &clock, 10 * (interval + 1), 10, 640, 0.5f), 0);
    }
    qd_utilization_destroy(u);
    json_t *lines = read_lines();
    ck_assert_uint_eq(json_array_size(lines), 3);
    for (size_t i = 0; i < 3; i++) {
        const json_t *line = json_array_get(lines, i);
        double wall = real_of(line, "wall_s");
        ck_assert_double_ge(wall, 0.075); /* 5 + 8 + 11 + 14 + 17 + 20 ms */
        ck_assert_double_eq_tol(sum_of_shares(line), wall, 0.01 * wall);
        ck_assert_double_ge(real_of(line, "checkpoint_s"), 0.017);
        ck_assert_double_eq_tol(real_of(line, "samples_per_s"), 640 / wall, 0.01 * 640 / wall);
    }
    json_decref(lines);
}
END_TEST

START_TEST(intervals_leave_no_time_out_between_them) {
    qd_span_clock clock;
    int64_t begin = qd_clock_now_ns();
    qd_utilization *u = start(&clock, QD_SPAN_COMPUTE);
    double walls = 0;
    for (int i = 1; i <= 5; i++) {
        spend(&clock, QD_SPAN_DATA, 4);
        ck_assert_int_eq(qd_utilization_write(u, &clock, i, 1, 1, 1), 0);
    }
    double all = (double)(qd_clock_now_ns() - begin) * 1e-9;
    qd_utilization_destroy(u);
    json_t *lines = read_lines();
    for (size_t i = 0; i < json_array_size(lines); i++)
        walls += real_of(json_array_get(lines, i), "wall_s");
    ck_assert_double_le(walls, all);
    ck_assert_double_ge(walls, 0.95 * all); /* short of it by the last write alone */
    json_decref(lines);
}
END_TEST

START_TEST(a_line_says_whose_time_it_is_and_what_was_done) {
    qd_span_clock clock;
    qd_utilization *u = start(&clock, QD_SPAN_COMPUTE);
    ck_assert_int_eq(qd_utilization_write(u, &clock, 77, 7, 448, 1.25f), 0);
    qd_utilization_destroy(u);
    json_t *lines = read_lines(), *line = json_array_get(lines, 0);
    ck_assert_str_eq(json_string_value(json_object_get(line, "job")), "fashion-mlp");
    ck_assert_str_eq(json_string_value(json_object_get(line, "host")), "node7");
    ck_assert_int_eq(json_integer_value(json_object_get(line, "attempt")), 2);
    ck_assert_int_eq(json_integer_value(json_object_get(line, "rank")), 3);
    ck_assert_int_eq(json_integer_value(json_object_get(line, "step")), 77);
    ck_assert_int_eq(json_integer_value(json_object_get(line, "steps")), 7);
    ck_assert_int_eq(json_integer_value(json_object_get(line, "arena_bytes")), 123456);
    ck_assert_double_eq(real_of(line, "loss"), 1.25);
    struct tm tm;
    const char *time = json_string_value(json_object_get(line, "time"));
    ck_assert_ptr_nonnull(strptime(time, "%Y-%m-%dT%H:%M:%S", &tm));
    ck_assert_uint_eq(json_object_size(line), 19);
    json_decref(lines);
}
END_TEST

START_TEST(memory_is_what_is_resident_now_and_its_peak_what_has_been) {
    enum { MORE = 64 << 20 };
    qd_span_clock clock;
    qd_utilization *u = start(&clock, QD_SPAN_COMPUTE);
    ck_assert_int_eq(qd_utilization_write(u, &clock, 1, 1, 1, 1), 0);
    void *memory =
        mmap(NULL, MORE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    ck_assert_ptr_ne(memory, MAP_FAILED);
    ck_assert_int_eq(qd_utilization_write(u, &clock, 2, 1, 1, 1), 0);
    munmap(memory, MORE);
    ck_assert_int_eq(qd_utilization_write(u, &clock, 3, 1, 1, 1), 0);
    qd_resident_forget_peak();
    ck_assert_int_eq(qd_utilization_write(u, &clock, 4, 1, 1, 1), 0);
    qd_utilization_destroy(u);
    json_t *lines = read_lines();
    double before = real_of(json_array_get(lines, 0), "memory_bytes");
    double after = real_of(json_array_get(lines, 1), "memory_bytes");
    ck_assert_double_ge(before, 1 << 20);
    ck_assert_double_eq_tol(after - before, MORE, MORE / 10.0);
    double freed = real_of(json_array_get(lines, 2), "memory_bytes");
    ck_assert_double_eq_tol(freed, before, MORE / 10.0);
    double peaks[4];
    for (size_t i = 0; i < 4; i++)
        peaks[i] = real_of(json_array_get(lines, i), "peak_memory_bytes");
    ck_assert_double_eq_tol(peaks[0], before, MORE / 10.0);
    ck_assert_double_eq_tol(peaks[1], after, MORE / 10.0);
    ck_assert_double_eq_tol(peaks[2], after, MORE / 10.0);
    ck_assert_double_eq_tol(peaks[3], before, MORE / 10.0);
    json_decref(lines);
}
END_TEST

START_TEST(a_loss_that_is_no_number_is_null) {
    qd_span_clock clock;
    qd_utilization *u = start(&clock, QD_SPAN_COMPUTE);
    ck_assert_int_eq(qd_utilization_write(u, &clock, 1, 1, 1, NAN), 0);
    qd_utilization_destroy(u);
    json_t *lines = read_lines();
    ck_assert(json_is_null(json_object_get(json_array_get(lines, 0), "loss")));
    json_decref(lines);
}
END_TEST

START_TEST(lines_of_an_earlier_attempt_stay) {
    qd_span_clock clock;
    for (int attempt = 0; attempt < 2; attempt++) {
        qd_utilization *u = start(&clock, QD_SPAN_COMPUTE);
        ck_assert_int_eq(qd_utilization_write(u, &clock, 1, 1, 1, 1), 0);
        qd_utilization_destroy(u);
    }
    json_t *lines = read_lines();
    ck_assert_uint_eq(json_array_size(lines), 2);
    json_decref(lines);
}
END_TEST

START_TEST(a_folder_or_beginning_that_is_missing_is_told) {
    qd_utilization *u;
    qd_utilization_config c = config();
    assert_fails(qd_utilization_create(&c, &u), QD_EINTERNAL,
                 "the account of a rank's time has no beginning");
    c.started_ns = 1;
    c.run_folder = "/nowhere";
    assert_fails(qd_utilization_create(&c, &u), QD_EIO,
                 "/nowhere/rank-3.jsonl: No such file or directory");
    qd_utilization_destroy(NULL);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("utilization");
    TCase *tc = tcase_create("utilization");
    tcase_add_unchecked_fixture(tc, temp_folder_make, temp_folder_remove);
    tcase_add_test(tc, shares_sum_to_the_wall_time_within_one_percent);
    tcase_add_test(tc, intervals_leave_no_time_out_between_them);
    tcase_add_test(tc, a_line_says_whose_time_it_is_and_what_was_done);
    tcase_add_test(tc, memory_is_what_is_resident_now_and_its_peak_what_has_been);
    tcase_add_test(tc, a_loss_that_is_no_number_is_null);
    tcase_add_test(tc, lines_of_an_earlier_attempt_stay);
    tcase_add_test(tc, a_folder_or_beginning_that_is_missing_is_told);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
