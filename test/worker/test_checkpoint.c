/* Checkpoints: saved by several writers, loaded by one member; which are kept. */
#include <check.h>
#include <string.h>

#include "runtime/log.h"
#include "test/worker/checkpoint_gang.h"

START_TEST(what_some_writers_save_one_member_loads) {
    char *run = make_run("whole");
    state s = make_state();
    save(run, &s, 1200, 2, _i);
    fill(&s, 1);
    qd_checkpoint_info info = find(run, -1);
    ck_assert_int_eq(info.step, 1200);
    ck_assert_msg(qd_checkpoint_load(&info, s.tensors, s.count, (qd_listener){0}) == 0, "%s",
                  qd_error_message());
    assert_is_of_step(&s, 1200);
    qd_checkpoint_info_fini(&info);
    free_state(&s);
    remove_run(run);
}
END_TEST

START_TEST(a_checkpoint_tells_its_job_and_machine) {
    char *run = make_run("job");
    state s = make_state();
    qd_job saved, job = make_job(2);
    save(run, &s, 7, 2, 2);
    qd_checkpoint_info info = find(run, -1);
    ck_assert_int_eq(qd_job_parse("saved", info.job_text, strlen(info.job_text), &saved), 0);
    ck_assert_int_eq(qd_job_check_same_result(&saved, &job), 0);
    ck_assert_str_eq(info.origin.processor, origin.processor);
    ck_assert_int_eq(info.origin.threads, origin.threads);
    qd_checkpoint_info_fini(&info);
    free_state(&s);
    remove_run(run);
}
END_TEST

START_TEST(a_run_without_checkpoints_has_none) {
    char *run = make_run("none");
    ck_assert_int_eq(newest(run), -1);
    remove_run(run);
}
END_TEST

START_TEST(at_most_looks_only_at_older_ones) {
    char *run = make_run("at_most");
    state s = make_state();
    for (int64_t step = 10; step <= 30; step += 10)
        save(run, &s, step, 9, 2);
    for (int64_t at_most = 9; at_most <= 31; at_most++) {
        qd_checkpoint_info info = find(run, at_most);
        ck_assert_int_eq(info.step, at_most < 10 ? -1 : at_most >= 30 ? 30 : at_most / 10 * 10);
        qd_checkpoint_info_fini(&info);
    }
    free_state(&s);
    remove_run(run);
}
END_TEST

/* The snapshot, not the tensors as they go on changing, is what is written. */
START_TEST(training_may_go_on_once_begin_returned) {
    char *run = make_run("snapshot");
    state s = make_state();
    qd_job job = make_job(2);
    qd_checkpoint_writer *writer;
    create_writers(run, 1, &writer);
    fill(&s, 5);
    begin_all(&s, 5, 1, &writer);
    ck_assert_int_eq(qd_checkpoint_pending(writer), 5);
    fill(&s, 6);
    ck_assert_int_eq(qd_checkpoint_wait(writer, patience_s), 0);
    ck_assert_int_eq(qd_checkpoint_written(writer), 1);
    ck_assert_int_eq(qd_checkpoint_commit(writer, &job, &origin), 0);
    ck_assert_int_eq(qd_checkpoint_pending(writer), -1);
    ck_assert_int_eq(resume(run, &s), 5);
    assert_is_of_step(&s, 5);
    destroy_writers(1, &writer);
    free_state(&s);
    remove_run(run);
}
END_TEST

START_TEST(a_second_begin_while_one_is_pending_is_refused) {
    char *run = make_run("twice");
    state s = make_state();
    qd_checkpoint_writer *writer;
    create_writers(run, 1, &writer);
    begin_all(&s, 5, 1, &writer);
    assert_fails(qd_checkpoint_begin(writer, s.tensors, s.count, 6), QD_EINTERNAL,
                 "checkpoint of step 6 begun while that of step 5 is pending");
    destroy_writers(1, &writer);
    free_state(&s);
    remove_run(run);
}
END_TEST

/* ---- keeping and replacing ---- */

START_TEST(only_the_newest_are_kept) {
    char *run = make_run("keep"), names[1024];
    state s = make_tiny_state();
    qd_checkpoint_writer *writers[2];
    create_writers(run, 2, writers);
    for (int64_t step = 1; step <= 7; step++)
        save_with(&s, step, 3, 2, writers);
    ck_assert_str_eq(list(run, names), "step-00000005 step-00000006 step-00000007 ");
    save_with(&s, 8, 1, 2, writers);
    ck_assert_str_eq(list(run, names), "step-00000008 ");
    destroy_writers(2, writers);
    free_state(&s);
    remove_run(run);
}
END_TEST

/* After falling back from a damaged step 20, the new steps must not be pruned in its favour. */
START_TEST(a_checkpoint_is_never_pruned_for_a_newer_one_that_was_passed_over) {
    char *run = make_run("behind"), *path;
    state s = make_tiny_state();
    qd_log_set_level(QD_LOG_ERROR);
    save(run, &s, 10, 9, 1);
    save(run, &s, 20, 9, 1);
    path = temp_path("behind/checkpoints/step-00000020/manifest.json");
    temp_write(path, "{}", 2);
    save(run, &s, 15, 1, 1);
    ck_assert_int_eq(resume(run, &s), 15);
    save(run, &s, 20, 1, 1); /* takes the damaged one's place */
    ck_assert_int_eq(resume(run, &s), 20);
    char names[1024];
    ck_assert_str_eq(list(run, names), "step-00000020 ");
    free(path);
    free_state(&s);
    remove_run(run);
}
END_TEST

START_TEST(names_that_are_no_checkpoints_are_left_alone) {
    static const char *const names[] = {"step-1", "step-00000009x", "step-", "notes",
                                        "step-99999999999999999999"};
    char *run = make_run("names"), listed[1024];
    state s = make_tiny_state();
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char name[128];
        snprintf(name, sizeof name, "names/checkpoints/%s", names[i]);
        char *path = temp_path(name);
        ck_assert_int_eq(qd_file_make_folders(path), 0);
        free(path);
    }
    save(run, &s, 100, 1, 1);
    ck_assert_int_eq(newest(run), 100);
    ck_assert_str_eq(list(run, listed), "notes step- step-00000009x step-00000100 step-1 "
                                        "step-99999999999999999999 ");
    free_state(&s);
    remove_run(run);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("checkpoint");
    TCase *tc = tcase_create("checkpoint");
    tcase_set_timeout(tc, 120);
    tcase_add_unchecked_fixture(tc, temp_folder_make, temp_folder_remove);
    tcase_add_loop_test(tc, what_some_writers_save_one_member_loads, 1, MAX_WRITERS + 1);
    tcase_add_test(tc, a_checkpoint_tells_its_job_and_machine);
    tcase_add_test(tc, a_run_without_checkpoints_has_none);
    tcase_add_test(tc, at_most_looks_only_at_older_ones);
    tcase_add_test(tc, training_may_go_on_once_begin_returned);
    tcase_add_test(tc, a_second_begin_while_one_is_pending_is_refused);
    tcase_add_test(tc, only_the_newest_are_kept);
    tcase_add_test(tc, a_checkpoint_is_never_pruned_for_a_newer_one_that_was_passed_over);
    tcase_add_test(tc, names_that_are_no_checkpoints_are_left_alone);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
