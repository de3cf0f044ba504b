/* Checkpoints when files are damaged, the process is killed or the disk refuses. */
#include <check.h>
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "runtime/log.h"
#include "test/worker/checkpoint_gang.h"
#include "worker/checksum.h"

/* ---- damage ---- */

/* Digests by Python's xxhash 3 (xxh3_64_hexdigest). */
START_TEST(checksums_are_xxh3_64_in_hex) {
    char text[QD_CHECKSUM_TEXT_BYTES];
    uint64_t checksum;
    qd_checksum_text(qd_checksum("", 0), text);
    ck_assert_str_eq(text, "2d06800538d394c2");
    qd_checksum_text(qd_checksum("quadrille", 9), text);
    ck_assert_str_eq(text, "fad0a90a0cd7d679");
    ck_assert(qd_checksum_parse(text, &checksum));
    ck_assert_uint_eq(checksum, qd_checksum("quadrille", 9));
    ck_assert(!qd_checksum_parse("fad0a90a0cd7d67", &checksum));
    ck_assert(!qd_checksum_parse("fad0a90a0cd7d6790", &checksum));
    ck_assert(!qd_checksum_parse("FAD0A90A0CD7D679", &checksum));
}
END_TEST

/* Flips every byte of a file of the newer of two checkpoints and resumes each time. Returns how
 * often the older one was taken; what was loaded is always right. */
static int flip_every_byte(const char *run, state *s, const char *name, size_t first,
                           size_t *length) {
    char *path, in_temp[256], *bytes;
    int fell_back = 0;
    snprintf(in_temp, sizeof in_temp, "flip/checkpoints/step-00000020/%s", name);
    path = temp_path(in_temp);
    ck_assert_int_eq(qd_file_read(path, 1 << 20, &bytes, length), 0);
    for (size_t i = first; i < *length; i++) {
        char right = bytes[i];
        bytes[i] = (char)(right ^ 1 << i % 8);
        temp_write(path, bytes, *length);
        bytes[i] = right;
        fill(s, 99);
        int64_t step = resume(run, s);
        ck_assert(step == 20 || step == 10);
        assert_is_of_step(s, step);
        fell_back += step == 10;
    }
    temp_write(path, bytes, *length);
    free(bytes);
    free(path);
    return fell_back;
}

START_TEST(a_flipped_byte_anywhere_never_loads_wrong_data) {
    char *run = make_run("flip");
    state s = make_tiny_state();
    size_t length;
    qd_log_set_level(QD_LOG_ERROR); /* thousands of warnings are expected */
    save(run, &s, 10, 2, 2);
    save(run, &s, 20, 2, 2);
    int fell_back = flip_every_byte(run, &s, "manifest.json", 0, &length);
    ck_assert_uint_eq((size_t)fell_back, length);
    fell_back = flip_every_byte(run, &s, "writer-000.json", 0, &length);
    ck_assert_int_eq(fell_back, 0); /* nobody reads it any more */
    for (int w = 0; w < 2; w++) {
        char name[64];
        size_t data_bytes = w == 0 ? 4 * 4 : 5 * 4; /* 9 elements, cut between rows of 2 */
        snprintf(name, sizeof name, "writer-%03d.safetensors", w);
        flip_every_byte(run, &s, name, 0, &length);
        fell_back = flip_every_byte(run, &s, name, length - data_bytes, &length);
        ck_assert_uint_eq((size_t)fell_back, data_bytes);
    }
    ck_assert_int_eq(resume(run, &s), 20); /* restored */
    free_state(&s);
    remove_run(run);
}
END_TEST

START_TEST(a_file_cut_short_is_passed_over) {
    char *run = make_run("short"), *path;
    state s = make_tiny_state();
    qd_log_set_level(QD_LOG_ERROR);
    save(run, &s, 10, 2, 2);
    save(run, &s, 20, 2, 2);
    path = temp_path("short/checkpoints/step-00000020/writer-001.safetensors");
    ck_assert_int_eq(truncate(path, 100), 0);
    ck_assert_int_eq(newest(run), 10);
    ck_assert_int_eq(unlink(path), 0);
    ck_assert_int_eq(newest(run), 10);
    ck_assert_int_eq(resume(run, &s), 10);
    free(path);
    free_state(&s);
    remove_run(run);
}
END_TEST

START_TEST(damaged_data_leaves_the_tensors_as_they_were) {
    char *run = make_run("damaged"), *path, *bytes;
    size_t length;
    state s = make_state();
    save(run, &s, 10, 2, 3);
    path = temp_path("damaged/checkpoints/step-00000010/writer-002.safetensors");
    ck_assert_int_eq(qd_file_read(path, 1 << 20, &bytes, &length), 0);
    bytes[length - 1] ^= 1;
    temp_write(path, bytes, length);
    fill(&s, 3);
    qd_checkpoint_info info = find(run, -1);
    assert_fails(qd_checkpoint_load(&info, s.tensors, s.count, (qd_listener){0}), QD_EDATA,
                 "%s: optimizer/m/layer0.weight: its checksum does not hold: the data is damaged",
                 path);
    assert_is_of_step(&s, 3);
    qd_checkpoint_info_fini(&info);
    free(bytes);
    free(path);
    free_state(&s);
    remove_run(run);
}
END_TEST

START_TEST(commit_refuses_a_part_of_another_size_than_its_sidecar_says) {
    char *run = make_run("size"), *path;
    state s = make_tiny_state();
    qd_job job = make_job(2);
    struct stat st;
    qd_checkpoint_writer *writers[2];
    create_writers(run, 2, writers);
    begin_all(&s, 5, 2, writers);
    for (int w = 0; w < 2; w++)
        ck_assert_int_eq(qd_checkpoint_wait(writers[w], patience_s), 0);
    path = temp_path("size/checkpoints/step-00000005.tmp/writer-001.safetensors");
    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert_int_eq(truncate(path, st.st_size - 4), 0);
    assert_fails(qd_checkpoint_commit(writers[0], &job, &origin), QD_EDATA,
                 "%s: %lld bytes, but %lld were written", path, (long long)st.st_size - 4,
                 (long long)st.st_size);
    for (int w = 0; w < 2; w++)
        qd_checkpoint_forget(writers[w]);
    ck_assert_int_eq(strncmp(qd_error_message(), path, strlen(path)), 0); /* still the reason */
    char names[1024];
    ck_assert_str_eq(list(run, names), "");
    ck_assert_int_eq(newest(run), -1);
    destroy_writers(2, writers);
    free(path);
    free_state(&s);
    remove_run(run);
}
END_TEST

/* ---- crashes ---- */

START_TEST(an_uncommitted_one_is_not_found) {
    char *run = make_run("uncommitted"), names[1024];
    state s = make_tiny_state();
    qd_checkpoint_writer *writers[2];
    save(run, &s, 4, 2, 2);
    create_writers(run, 2, writers);
    begin_all(&s, 5, 2, writers);
    for (int w = 0; w < 2; w++)
        ck_assert_int_eq(qd_checkpoint_wait(writers[w], patience_s), 0);
    destroy_writers(2, writers);
    ck_assert_str_eq(list(run, names), "step-00000004 step-00000005.tmp ");
    ck_assert_int_eq(newest(run), 4);
    save(run, &s, 6, 2, 2); /* and goes when a later one is complete */
    ck_assert_str_eq(list(run, names), "step-00000004 step-00000006 ");
    free_state(&s);
    remove_run(run);
}
END_TEST

/* An attempt of three writers dies at step 5 in whatever state; one of two saves the same step. */
START_TEST(what_a_crash_left_of_the_same_step_does_no_harm) {
    static const char *const left[] = {"writer-000.safetensors", "writer-000.json",
                                       "writer-001.json",        "writer-002.safetensors",
                                       "writer-002.json.tmp",    "manifest.json"};
    char *run = make_run("left");
    state s = make_tiny_state();
    struct stat st;
    for (size_t i = 0; i < sizeof left / sizeof left[0]; i++) {
        char name[128];
        snprintf(name, sizeof name, "left/checkpoints/step-00000005.tmp");
        char *folder = temp_path(name);
        ck_assert_int_eq(qd_file_make_folders(folder), 0);
        snprintf(name, sizeof name, "left/checkpoints/step-00000005.tmp/%s", left[i]);
        char *path = temp_path(name);
        temp_write(path, "half of something", 17);
        free(path);
        free(folder);
    }
    save(run, &s, 5, 2, 2);
    fill(&s, 1);
    ck_assert_int_eq(resume(run, &s), 5);
    assert_is_of_step(&s, 5);
    char *path = temp_path("left/checkpoints/step-00000005/writer-002.safetensors");
    ck_assert_int_ne(stat(path, &st), 0);
    free(path);
    free_state(&s);
    remove_run(run);
}
END_TEST

/* ---- a file system that cannot exchange names (linked with --wrap) ---- */

static bool cannot_exchange, refuses_new_name;

int __real_rename(const char *from, const char *to);
int __wrap_rename(const char *from, const char *to);
int __real_renameat2(int from_folder, const char *from, int to_folder, const char *to,
                     unsigned flags);
int __wrap_renameat2(int from_folder, const char *from, int to_folder, const char *to,
                     unsigned flags);

/* Of a checkpoint that is complete, to a name that is free. */
int __wrap_rename(const char *from, const char *to) {
    struct stat st;
    const char *end = strstr(from, "step-00000005.tmp");
    if (refuses_new_name && end && strcmp(end, "step-00000005.tmp") == 0 && stat(to, &st) < 0) {
        errno = ESTALE;
        return -1;
    }
    return __real_rename(from, to);
}

int __wrap_renameat2(int from_folder, const char *from, int to_folder, const char *to,
                     unsigned flags) {
    if (cannot_exchange) {
        errno = EINVAL;
        return -1;
    }
    return __real_renameat2(from_folder, from, to_folder, to, flags);
}

START_TEST(a_step_saved_again_replaces_the_earlier_one_or_leaves_it_there) {
    char *run = make_run("again"), names[1024];
    state s = make_tiny_state();
    qd_job job = make_job(2);
    qd_checkpoint_writer *writer;
    cannot_exchange = true;
    for (int refused = 0; refused < 2; refused++) {
        save(run, &s, 5, 2, 1);
        create_writers(run, 1, &writer);
        fill(&s, 6); /* shows which of the two is loaded */
        begin_all(&s, 5, 1, &writer);
        ck_assert_int_eq(qd_checkpoint_wait(writer, patience_s), 0);
        refuses_new_name = refused;
        ck_assert_int_eq(qd_checkpoint_commit(writer, &job, &origin), refused ? QD_EIO : 0);
        refuses_new_name = false;
        if (refused)
            qd_checkpoint_forget(writer);
        ck_assert_int_eq(resume(run, &s), 5);
        assert_is_of_step(&s, refused ? 5 : 6);
        ck_assert_str_eq(list(run, names), "step-00000005 ");
        destroy_writers(1, &writer);
    }
    cannot_exchange = false;
    free_state(&s);
    remove_run(run);
}
END_TEST

/* A child saves one checkpoint after the other and is killed at some moment. */
START_TEST(killed_at_any_moment_a_complete_one_remains) {
    state s = make_state();
    qd_log_set_level(QD_LOG_ERROR);
    for (int round = 0; round < 25; round++) {
        char *run = make_run("killed");
        save(run, &s, 1, 2, 2);
        pid_t child = fork();
        ck_assert_int_ge(child, 0);
        if (child == 0) {
            qd_checkpoint_writer *writers[2];
            create_writers(run, 2, writers);
            for (int64_t step = 2; step < 10000; step++)
                save_with(&s, step, 2, 2, writers);
            _exit(0);
        }
        struct timespec pause = {.tv_nsec = 1000000 * (3 + round)};
        nanosleep(&pause, NULL);
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
        fill(&s, 0);
        int64_t step = newest(run);
        ck_assert_int_ge(step, 1);
        ck_assert_int_eq(resume(run, &s), step); /* what stands there loads at the first try */
        assert_is_of_step(&s, step);
        save(run, &s, step + 1, 2, 3); /* and the run can go on */
        ck_assert_int_eq(resume(run, &s), step + 1);
        remove_run(run);
    }
    free_state(&s);
}
END_TEST

/* ---- disks that refuse ---- */

/* A full disk, played by the limit on a file's size. */
START_TEST(a_full_disk_costs_one_checkpoint_and_no_more) {
    char *run = make_run("full"), *path, names[1024];
    state s = {.count = 0};
    qd_checkpoint_writer *writers[2];
    struct rlimit limit, tight = {.rlim_cur = 1 << 20}; /* Check's own files stay below */
    add_tensor(&s, "large", 2, 1024, 1024);
    save(run, &s, 10, 2, 2);
    create_writers(run, 2, writers);
    ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &limit), 0);
    tight.rlim_max = limit.rlim_max;
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &tight), 0);
    begin_all(&s, 20, 2, writers);
    path = temp_path("full/checkpoints/step-00000020.tmp/writer-000.safetensors");
    assert_fails(qd_checkpoint_wait(writers[0], patience_s), QD_EIO, "%s: File too large", path);
    assert_fails(qd_checkpoint_written(writers[0]), QD_EIO, "%s: File too large", path);
    ck_assert_int_eq(qd_checkpoint_wait(writers[1], patience_s), QD_EIO);
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    for (int w = 1; w >= 0; w--)
        qd_checkpoint_forget(writers[w]);
    ck_assert_int_eq(qd_checkpoint_pending(writers[0]), -1);
    ck_assert_str_eq(list(run, names), "step-00000010 ");
    save_with(&s, 30, 2, 2, writers);
    ck_assert_str_eq(list(run, names), "step-00000010 step-00000030 ");
    destroy_writers(2, writers);
    free(path);
    free_state(&s);
    remove_run(run);
}
END_TEST

START_TEST(a_folder_that_cannot_be_made_is_an_error_of_written) {
    char *run = make_run("blocked"), *path;
    state s = make_tiny_state();
    qd_checkpoint_writer *writer;
    create_writers(run, 1, &writer);
    path = temp_path("blocked/checkpoints/step-00000020.tmp");
    temp_write(path, "", 0);
    begin_all(&s, 20, 1, &writer);
    assert_fails(qd_checkpoint_wait(writer, patience_s), QD_EIO,
                 "%s/writer-000.safetensors: Not a directory", path);
    qd_checkpoint_forget(writer);
    save_with(&s, 20, 2, 1, &writer); /* forgetting took the obstacle away */
    destroy_writers(1, &writer);
    free(path);
    free_state(&s);
    remove_run(run);
}
END_TEST

/* A state large enough that forget comes while the thread still writes. */
START_TEST(forgetting_one_that_is_being_written_leaves_nothing) {
    char *run = make_run("forget"), names[1024];
    state s = {.count = 0};
    qd_checkpoint_writer *writers[2];
    add_tensor(&s, "large", 2, 4096, 2048);
    create_writers(run, 2, writers);
    for (int64_t step = 1; step <= 3; step++) {
        begin_all(&s, step, 2, writers);
        for (int w = 0; w < 2; w++) {
            qd_checkpoint_forget(writers[w]);
            ck_assert_int_eq(qd_checkpoint_pending(writers[w]), -1);
        }
    }
    save_with(&s, 9, 2, 2, writers);
    ck_assert_str_eq(list(run, names), "step-00000009 ");
    destroy_writers(2, writers);
    ck_assert_int_eq(resume(run, &s), 9);
    assert_is_of_step(&s, 9);
    free_state(&s);
    remove_run(run);
}
END_TEST

START_TEST(waiting_has_a_deadline) {
    char *run = make_run("deadline");
    state s = {.count = 0};
    qd_checkpoint_writer *writer;
    add_tensor(&s, "large", 2, 8192, 2048);
    create_writers(run, 1, &writer);
    begin_all(&s, 1, 1, &writer);
    assert_fails(qd_checkpoint_wait(writer, 0.0001), QD_ETIMEDOUT,
                 "checkpoint of step 1 is not on disk after 0.0001 s");
    ck_assert_int_eq(qd_checkpoint_wait(writer, patience_s), 0);
    destroy_writers(1, &writer);
    free_state(&s);
    remove_run(run);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("checkpoint_failure");
    TCase *tc = tcase_create("checkpoint_failure");
    tcase_set_timeout(tc, 120);
    tcase_add_unchecked_fixture(tc, temp_folder_make, temp_folder_remove);
    tcase_add_test(tc, checksums_are_xxh3_64_in_hex);
    tcase_add_test(tc, a_flipped_byte_anywhere_never_loads_wrong_data);
    tcase_add_test(tc, a_file_cut_short_is_passed_over);
    tcase_add_test(tc, damaged_data_leaves_the_tensors_as_they_were);
    tcase_add_test(tc, commit_refuses_a_part_of_another_size_than_its_sidecar_says);
    tcase_add_test(tc, an_uncommitted_one_is_not_found);
    tcase_add_test(tc, what_a_crash_left_of_the_same_step_does_no_harm);
    tcase_add_test(tc, killed_at_any_moment_a_complete_one_remains);
    tcase_add_test(tc, a_full_disk_costs_one_checkpoint_and_no_more);
    tcase_add_test(tc, a_folder_that_cannot_be_made_is_an_error_of_written);
    tcase_add_test(tc, forgetting_one_that_is_being_written_leaves_nothing);
    tcase_add_test(tc, waiting_has_a_deadline);
    tcase_add_test(tc, a_step_saved_again_replaces_the_earlier_one_or_leaves_it_there);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
