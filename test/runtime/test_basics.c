/* Errors, spans, text, deadlines, sizes and words: the small things everything stands on. */
#include <check.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "runtime/align.h"
#include "runtime/clock.h"
#include "runtime/error.h"
#include "runtime/span.h"
#include "runtime/text.h"
#include "runtime/transport_kind.h"

START_TEST(context_goes_in_front_of_the_message) {
    int rc = qd_error_set(QD_EDATA, "byte %d", 7);
    rc = qd_error_context(rc, "file %s", "a");
    ck_assert_int_eq(rc, QD_EDATA);
    ck_assert_str_eq(qd_error_message(), "file a: byte 7");
}
END_TEST

START_TEST(a_message_too_long_is_cut_not_overrun) {
    char *longest = malloc(2 * QD_ERROR_BYTES);
    memset(longest, 'x', 2 * QD_ERROR_BYTES);
    longest[2 * QD_ERROR_BYTES - 1] = '\0';
    qd_error_set_errno(QD_EIO, ENOENT, "%s", longest);
    qd_error_context(QD_EIO, "%s", longest);
    ck_assert_uint_eq(strlen(qd_error_message()), QD_ERROR_BYTES - 1);
    free(longest);
}
END_TEST

static void *fail_elsewhere(void *argument) {
    qd_error_set(QD_EIO, "elsewhere");
    return argument;
}

START_TEST(the_message_belongs_to_its_thread) {
    pthread_t thread;
    qd_error_set(QD_EIO, "here");
    ck_assert_int_eq(pthread_create(&thread, NULL, fail_elsewhere, NULL), 0);
    pthread_join(thread, NULL);
    ck_assert_str_eq(qd_error_message(), "here");
}
END_TEST

START_TEST(exit_statuses_are_those_of_sysexits) {
    ck_assert_int_eq(qd_error_exit_status(0), 0);
    ck_assert_int_eq(qd_error_exit_status(QD_EUSAGE), 64);
    ck_assert_int_eq(qd_error_exit_status(QD_EDATA), 65);
    ck_assert_int_eq(qd_error_exit_status(QD_ELOST), 70);
    ck_assert_int_eq(qd_error_exit_status(QD_EIO), 74);
    ck_assert_int_eq(qd_error_exit_status(QD_ECONFIG), 78);
    ck_assert_int_eq(qd_error_exit_status(-1000), 70);
    ck_assert_str_eq(qd_error_name(QD_ETIMEDOUT), "QD_ETIMEDOUT");
}
END_TEST

static void sleep_ms(long ms) {
    struct timespec t = {.tv_nsec = ms * 1000000};
    nanosleep(&t, NULL);
}

START_TEST(spans_sum_to_the_wall_time) {
    qd_span_clock clock;
    int64_t begin = qd_clock_now_ns(), sum = 0, totals[QD_SPAN_KINDS];
    qd_span_start(&clock, QD_SPAN_COMPUTE);
    sleep_ms(20);
    qd_span_kind before = qd_span_enter(&clock, QD_SPAN_DATA);
    sleep_ms(10);
    qd_span_enter(&clock, before);
    sleep_ms(5);
    qd_span_take(&clock, totals);
    int64_t wall = qd_clock_now_ns() - begin;
    for (int k = 0; k < QD_SPAN_KINDS; k++)
        sum += totals[k];
    ck_assert_int_ge(totals[QD_SPAN_COMPUTE], 25000000);
    ck_assert_int_ge(totals[QD_SPAN_DATA], 10000000);
    ck_assert_int_le(sum, wall);
    ck_assert_int_ge(sum * 100, wall * 99);
    qd_span_take(&clock, totals);
    ck_assert_int_eq(totals[QD_SPAN_DATA], 0);
}
END_TEST

START_TEST(a_deadline_passes_when_its_time_has_come) {
    qd_deadline deadline = qd_deadline_in(0.02);
    ck_assert(!qd_deadline_passed(deadline));
    sleep_ms(25);
    ck_assert(qd_deadline_passed(deadline));
}
END_TEST

START_TEST(backoff_never_sleeps_longer_than_it_may) {
    qd_backoff backoff = {.polls = 1000000};
    int64_t begin = qd_clock_now_ns();
    for (int i = 0; i < 20; i++)
        qd_backoff_pause(&backoff, 100);
    ck_assert_int_lt(qd_clock_now_ns() - begin, 1000000000);
}
END_TEST

START_TEST(text_grows_and_keeps_zero_bytes) {
    qd_text text = {0};
    for (int i = 0; i < 1000; i++)
        qd_text_add(&text, "%d,", i);
    qd_text_add_bytes(&text, "a\0b", 3);
    ck_assert(!text.failed);
    ck_assert_uint_eq(text.length, 10 * 2 + 90 * 3 + 900 * 4 + 3);
    ck_assert_int_eq(memcmp(text.bytes + text.length - 3, "a\0b", 4), 0);
    qd_text_fini(&text);
    ck_assert_ptr_null(text.bytes);
}
END_TEST

START_TEST(sizes_are_rounded_up_to_the_alignment_and_no_further) {
    for (size_t bytes = 0; bytes <= 1000; bytes++) {
        size_t up = qd_align_bytes(bytes);
        ck_assert(up % 64 == 0 && up >= bytes && up < bytes + 64);
    }
    for (int64_t floats = 0; floats <= 100; floats++)
        ck_assert_int_eq(4 * qd_align_floats(floats), (int64_t)qd_align_bytes(4 * (size_t)floats));
}
END_TEST

START_TEST(a_transport_goes_by_its_word) {
    static const struct {
        const char *word;
        qd_transport_kind kind;
    } rows[] = {{"auto", QD_TRANSPORT_AUTO}, {"shm", QD_TRANSPORT_SHM}, {"mpi", QD_TRANSPORT_MPI}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        qd_transport_kind kind = QD_TRANSPORT_KINDS;
        ck_assert_int_eq(qd_transport_by_name(rows[i].word, &kind), 0);
        ck_assert_int_eq(kind, rows[i].kind);
        ck_assert_str_eq(qd_transport_names[kind], rows[i].word);
    }
    ck_assert_ptr_null(qd_transport_names[QD_TRANSPORT_KINDS]);
    qd_transport_kind kind;
    ck_assert_int_eq(qd_transport_by_name("tcp", &kind), QD_EPROTO);
    ck_assert_str_eq(qd_error_message(),
                     "transport \"tcp\" is not known; accepted: auto, shm, mpi");
}
END_TEST

int main(void) {
    Suite *suite = suite_create("basics");
    TCase *tcase = tcase_create("basics");
    tcase_add_test(tcase, context_goes_in_front_of_the_message);
    tcase_add_test(tcase, a_message_too_long_is_cut_not_overrun);
    tcase_add_test(tcase, the_message_belongs_to_its_thread);
    tcase_add_test(tcase, exit_statuses_are_those_of_sysexits);
    tcase_add_test(tcase, spans_sum_to_the_wall_time);
    tcase_add_test(tcase, a_deadline_passes_when_its_time_has_come);
    tcase_add_test(tcase, backoff_never_sleeps_longer_than_it_may);
    tcase_add_test(tcase, text_grows_and_keeps_zero_bytes);
    tcase_add_test(tcase, sizes_are_rounded_up_to_the_alignment_and_no_further);
    tcase_add_test(tcase, a_transport_goes_by_its_word);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
