/* What a job takes of a worker's memory, by hand. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "models/family.h"
#include "test/worker/temp_folder.h"
#include "worker/checkpoint_snapshot.h"
#include "worker/trainer_memory.h"

/* Text of a row: "1,2,3,0\n" */
enum { TRAIN_ROWS = 20, TEST_ROWS = 10, ROW_TEXT = 8, ROW_BYTES = 4 * 4 };
enum { PARAMETERS = 3 * 5 + 5 + 5 * 2 + 2, TENSORS = 4, ADAM = 3 };

static void write_rows(const char *name, int rows) {
    char text[ROW_TEXT * TRAIN_ROWS + 1] = "", *path = temp_path(name);
    for (int i = 0; i < rows; i++)
        strcat(text, "1,2,3,0\n");
    temp_write(path, text, strlen(text));
    free(path);
}

/* Slots of two samples, which are run one by one. */
static qd_job make_job(void) {
    qd_job job;
    char text[1024];
    snprintf(text, sizeof text,
             "name: small\n"
             "model: {family: mlp, inputs: 3, hidden: [5], classes: 2}\n"
             "data: {format: csv, folder: %s, train: train.csv, test: test.csv, validation: 4}\n"
             "train: {batch: 8, micro_batches: 2, steps: 1}\n"
             "optimizer: {kind: adam, learning_rate: 0.1}\n"
             "slots: {data: 4}\n",
             temp_folder);
    ck_assert_msg(qd_job_parse("job", text, strlen(text), &job) == 0, "%s", qd_error_message());
    return job;
}

static qd_trainer_memory plan(int members, bool with_data) {
    qd_job job = make_job();
    qd_graph *graph;
    qd_dataset *dataset = NULL;
    qd_trainer_memory memory;
    write_rows("train.csv", TRAIN_ROWS);
    write_rows("test.csv", TEST_ROWS);
    ck_assert_int_eq(qd_family_build(&job, &graph), 0);
    if (with_data)
        ck_assert_msg(qd_dataset_open(&job, &dataset) == 0, "%s", qd_error_message());
    ck_assert_int_eq(qd_trainer_memory_plan(&job, graph, dataset, members, &memory), 0);
    qd_dataset_close(dataset);
    qd_graph_destroy(graph);
    return memory;
}

START_TEST(four_batches_of_a_slot_wait_in_the_loader) {
    qd_trainer_memory m = plan(1, true);
    ck_assert_uint_eq(m.loader,
                      4 * (64 + 2 * 4)); /* two samples of 12 bytes, aligned; two labels */
}
END_TEST

START_TEST(an_evaluation_has_one_micro_batch_and_four_floats_for_each_of_the_larger_split) {
    qd_trainer_memory m = plan(1, true), without = plan(1, false);
    ck_assert_uint_eq(m.evaluation, 192 + 64 + 4); /* 4 * 10 floats, 12 bytes, a label */
    ck_assert_uint_eq(without.evaluation, 64 + 64 + 4);
}
END_TEST

START_TEST(a_table_is_kept_and_its_text_is_beside_it_while_it_is_read) {
    qd_trainer_memory m = plan(1, true), without = plan(1, false);
    ck_assert_uint_eq(m.data.heap, (TRAIN_ROWS + TEST_ROWS) * ROW_BYTES);
    ck_assert_uint_eq(m.data.opening, (TRAIN_ROWS + TEST_ROWS) * ROW_BYTES + TEST_ROWS * ROW_TEXT);
    ck_assert_uint_eq(m.data.mapped, 0);
    ck_assert_uint_eq(without.data.heap + without.data.opening + without.data.mapped, 0);
}
END_TEST

/* The copy, what describes each tensor and piece of it, and the lists of tensors: the engine's and
 * the trainer's. */
START_TEST(the_members_share_the_copy_of_a_checkpoint) {
    size_t lists =
        TENSORS * ADAM *
        (sizeof(qd_checkpoint_piece) + sizeof(qd_stored_slice) + 2 * sizeof(qd_state_tensor));
    ck_assert_uint_eq(plan(1, true).checkpoint, lists + PARAMETERS * ADAM * 4);
    size_t half = plan(2, true).checkpoint - lists; /* to the nearest row of a tensor */
    ck_assert_uint_ge(half, PARAMETERS * ADAM * 4 / 2);
    ck_assert_uint_le(half, (PARAMETERS * ADAM / 2 + 5) * 4);
}
END_TEST

/* Two members with a node each: of three buffers all of one's own, and of the other's the half that
 * one adds up and the half that it has added up. */
START_TEST(two_members_touch_all_of_each_others_shared_memory) {
    enum { VECTOR = TENSORS * 16 }; /* each tensor takes 16 floats, all one bucket */
    ck_assert_uint_eq(plan(1, true).communication, 0);
    ck_assert_uint_eq(plan(2, true).communication, 2 * 4096 + 3 * 2 * VECTOR * 4);
}
END_TEST

START_TEST(the_heap_holds_all_but_arena_and_shared_memory) {
    qd_trainer_memory m = plan(1, true);
    size_t held = m.data.heap + m.loader + m.evaluation + m.checkpoint;
    ck_assert_uint_eq(qd_trainer_memory_heap(&m), held);
    m.data.opening = held + 1;
    ck_assert_uint_eq(qd_trainer_memory_heap(&m), held + 1);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("trainer_memory");
    TCase *tc = tcase_create("trainer_memory");
    tcase_add_unchecked_fixture(tc, temp_folder_make, temp_folder_remove);
    tcase_add_test(tc, four_batches_of_a_slot_wait_in_the_loader);
    tcase_add_test(tc,
                   an_evaluation_has_one_micro_batch_and_four_floats_for_each_of_the_larger_split);
    tcase_add_test(tc, a_table_is_kept_and_its_text_is_beside_it_while_it_is_read);
    tcase_add_test(tc, the_members_share_the_copy_of_a_checkpoint);
    tcase_add_test(tc, two_members_touch_all_of_each_others_shared_memory);
    tcase_add_test(tc, the_heap_holds_all_but_arena_and_shared_memory);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
