/* The stream of training samples, over a small data set in which every image tells its number. */
#include <check.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "runtime/clock.h"
#include "test/worker/temp_folder.h"
#include "worker/data/loader.h"

enum { SAMPLES = 100, BATCH = 24, SLOTS = 8, SLOT_SAMPLES = BATCH / SLOTS, PIXELS = 2 };

static void write_numbered_images(void) {
    uint8_t images[16 + SAMPLES * PIXELS] = {0, 0, 8, 3, 0, 0, 0, SAMPLES, 0, 0, 0, 1, 0, 0, 0, 2};
    uint8_t labels[8 + SAMPLES] = {0, 0, 8, 1, 0, 0, 0, SAMPLES};
    for (int i = 0; i < SAMPLES; i++) {
        images[16 + PIXELS * i] = (uint8_t)i;
        images[16 + PIXELS * i + 1] = (uint8_t)(255 - i);
        labels[8 + i] = (uint8_t)(i % 10);
    }
    char *images_path = temp_path("images"), *labels_path = temp_path("labels");
    temp_write(images_path, images, sizeof images);
    temp_write(labels_path, labels, sizeof labels);
    free(images_path);
    free(labels_path);
}

static qd_job make_job(void) {
    qd_job job = {.seed = 7,
                  .model = {.inputs = PIXELS, .classes = 10},
                  .data = {.format = QD_DATA_IDX, .mean = 0, .std = 1},
                  .train = {.batch = BATCH},
                  .slots_data = SLOTS};
    snprintf(job.data.folder, sizeof job.data.folder, "%s", temp_folder);
    strcpy(job.data.train_images, "images");
    strcpy(job.data.train_labels, "labels");
    strcpy(job.data.test_images, "images");
    strcpy(job.data.test_labels, "labels");
    return job;
}

static qd_dataset *open_data(const qd_job *job) {
    qd_dataset *d = NULL;
    write_numbered_images();
    ck_assert_msg(qd_dataset_open(job, &d) == 0, "%s", qd_error_message());
    return d;
}

/* The number of sample i of a batch; fails where pixels or label are another sample's. */
static int number_of(const qd_batch *batch, int i) {
    const float *pixels = (const float *)batch->samples + PIXELS * i;
    int number = (int)(pixels[0] * 255 + 0.5f);
    ck_assert_int_eq((int)(pixels[1] * 255 + 0.5f), 255 - number);
    ck_assert_int_eq(batch->targets[i], number % 10);
    return number;
}

/* Appends the sample numbers of the next `steps` steps of slots [first, end) to out, of which the
 * loader has end - first parts of each step; out is laid out as the stream is. */
static void read_steps(const qd_job *job, const qd_dataset *d, int first, int end, int64_t step,
                       int steps, int *out) {
    qd_loader *loader;
    ck_assert_msg(qd_loader_create(job, d, first, end, step, &loader) == 0, "%s",
                  qd_error_message());
    for (int s = 0; s < steps; s++)
        for (int slot = first; slot < end; slot++) {
            qd_batch batch;
            /* Who does not wait misses no batch, and gets none twice. */
            if (qd_loader_next(loader, 0, &batch))
                ck_assert_int_eq(qd_loader_next(loader, 10, &batch), 0);
            ck_assert_uint_eq((uintptr_t)batch.samples % 64, 0);
            for (int i = 0; i < SLOT_SAMPLES; i++)
                out[s * BATCH + slot * SLOT_SAMPLES + i] = number_of(&batch, i);
        }
    qd_loader_destroy(loader);
}

START_TEST(every_epoch_visits_each_sample_once) {
    enum { EPOCHS = 6 }; /* 600 positions: 25 batches, so most epochs begin inside a batch */
    static int stream[EPOCHS * SAMPLES];
    qd_job job = make_job();
    qd_dataset *d = open_data(&job);
    int in_place = 0;
    read_steps(&job, d, 0, SLOTS, 0, EPOCHS * SAMPLES / BATCH, stream);
    for (int epoch = 0; epoch < EPOCHS; epoch++) {
        bool seen[SAMPLES] = {false};
        for (int i = 0; i < SAMPLES; i++) {
            int number = stream[epoch * SAMPLES + i];
            ck_assert(number >= 0 && number < SAMPLES && !seen[number]);
            seen[number] = true;
            in_place += number == i;
        }
    }
    /* A permutation leaves one element in its place on average. */
    ck_assert_int_lt(in_place, 5 * EPOCHS);
    qd_dataset_close(d);
}
END_TEST

START_TEST(the_validation_samples_are_never_trained_on) {
    enum { STEPS = 20 };
    static int stream[STEPS * BATCH];
    qd_job job = make_job();
    job.data.validation = 30;
    qd_dataset *d = open_data(&job);
    read_steps(&job, d, 0, SLOTS, 0, STEPS, stream);
    for (int i = 0; i < STEPS * BATCH; i++)
        ck_assert_int_lt(stream[i], SAMPLES - 30);
    qd_dataset_close(d);
}
END_TEST

START_TEST(slots_hold_the_same_samples_however_they_are_dealt) {
    enum { STEPS = 9 };
    static int whole[STEPS * BATCH], parts[STEPS * BATCH];
    qd_job job = make_job();
    qd_dataset *d = open_data(&job);
    read_steps(&job, d, 0, SLOTS, 0, STEPS, whole);
    for (int members = 2; members <= SLOTS; members++) {
        memset(parts, 0xff, sizeof parts);
        for (int m = 0; m < members; m++)
            read_steps(&job, d, m * SLOTS / members, (m + 1) * SLOTS / members, 0, STEPS, parts);
        ck_assert_mem_eq(parts, whole, sizeof whole);
    }
    qd_dataset_close(d);
}
END_TEST

START_TEST(beginning_at_a_later_step_gives_the_tail_of_the_stream) {
    enum { STEPS = 12 };
    static int whole[STEPS * BATCH], tail[STEPS * BATCH];
    qd_job job = make_job();
    qd_dataset *d = open_data(&job);
    read_steps(&job, d, 0, SLOTS, 0, STEPS, whole);
    for (int step = 1; step < STEPS; step++) {
        read_steps(&job, d, 0, SLOTS, step, STEPS - step, tail);
        ck_assert_mem_eq(tail, whole + step * BATCH, (size_t)(STEPS - step) * BATCH * sizeof *tail);
    }
    qd_dataset_close(d);
}
END_TEST

START_TEST(an_epoch_dealt_anew_half_way_still_visits_each_sample_once) {
    enum { EPOCHS = 6, STEPS = EPOCHS * SAMPLES / BATCH, CHANGE = STEPS / 3 };
    static int before[EPOCHS * SAMPLES], stream[EPOCHS * SAMPLES];
    qd_job job = make_job();
    qd_dataset *d = open_data(&job);
    read_steps(&job, d, 0, SLOTS, 0, CHANGE, before); /* one member, then three */
    for (int m = 0; m < 3; m++)
        read_steps(&job, d, m * SLOTS / 3, (m + 1) * SLOTS / 3, CHANGE, STEPS - CHANGE,
                   stream + CHANGE * BATCH);
    memcpy(stream, before, CHANGE * BATCH * sizeof *stream);
    for (int epoch = 0; epoch < EPOCHS; epoch++) {
        bool seen[SAMPLES] = {false};
        for (int i = 0; i < SAMPLES; i++) {
            int number = stream[epoch * SAMPLES + i];
            ck_assert(number >= 0 && number < SAMPLES && !seen[number]);
            seen[number] = true;
        }
    }
    qd_dataset_close(d);
}
END_TEST

/* Hence no rank is without a sample: a rank has a slot, and slots divide the batch. */
START_TEST(fewer_samples_than_a_batch_are_refused) {
    qd_job job = make_job();
    job.data.validation = SAMPLES - 2;
    qd_dataset *d = NULL;
    ck_assert_int_lt(qd_dataset_open(&job, &d), 0);
    ck_assert_ptr_nonnull(strstr(qd_error_message(), "more than the 2 samples"));
}
END_TEST

START_TEST(the_stream_is_what_sample_at_says) {
    enum { STEPS = 10 };
    static int stream[STEPS * BATCH];
    qd_job job = make_job();
    qd_dataset *d = open_data(&job);
    read_steps(&job, d, 0, SLOTS, 0, STEPS, stream);
    for (int p = 0; p < STEPS * BATCH; p++)
        ck_assert_int_eq(stream[p], qd_loader_sample_at(&job, SAMPLES, p));
    qd_dataset_close(d);
}
END_TEST

START_TEST(another_seed_gives_another_order) {
    enum { STEPS = 4 };
    static int one[STEPS * BATCH], other[STEPS * BATCH];
    qd_job job = make_job();
    qd_dataset *d = open_data(&job);
    read_steps(&job, d, 0, SLOTS, 0, STEPS, one);
    job.seed = 8;
    read_steps(&job, d, 0, SLOTS, 0, STEPS, other);
    ck_assert_mem_ne(one, other, sizeof one);
    qd_dataset_close(d);
}
END_TEST

/* The thread must not touch a batch while the consumer has it, however far it could run ahead. */
START_TEST(a_batch_stays_as_it_is_until_the_next_call) {
    qd_job job = make_job();
    qd_dataset *d = open_data(&job);
    qd_loader *loader;
    ck_assert_int_eq(qd_loader_create(&job, d, 0, SLOTS, 0, &loader), 0);
    for (int n = 0; n < 20; n++) {
        qd_batch batch;
        float copy[SLOT_SAMPLES * PIXELS];
        ck_assert_int_eq(qd_loader_next(loader, 10, &batch), 0);
        memcpy(copy, batch.samples, sizeof copy);
        struct timespec pause = {.tv_nsec = 2000000};
        nanosleep(&pause, NULL);
        ck_assert_mem_eq(copy, batch.samples, sizeof copy);
    }
    qd_loader_destroy(loader);
    qd_dataset_close(d);
}
END_TEST

/* A slot of a million samples takes the thread longer than the consumer has patience. */
START_TEST(a_batch_that_does_not_come_in_time_is_an_error) {
    qd_job job = make_job();
    qd_dataset *d = open_data(&job);
    qd_loader *loader;
    qd_batch batch;
    job.train.batch = 1000000;
    job.slots_data = 1;
    ck_assert_int_eq(qd_loader_create(&job, d, 0, 1, 0, &loader), 0);
    int64_t begin = qd_clock_now_ns();
    assert_fails(qd_loader_next(loader, 0.001, &batch), QD_ETIMEDOUT,
                 "no batch from the data loader within 0.001 s");
    ck_assert_int_ge(qd_clock_now_ns() - begin, 1000000);
    ck_assert_int_eq(qd_loader_next(loader, 60, &batch), 0); /* a late one is not lost */
    for (int i = 0; i < 1000; i++)
        ck_assert_int_eq(number_of(&batch, i), qd_loader_sample_at(&job, SAMPLES, i));
    qd_loader_destroy(loader);
    qd_dataset_close(d);
}
END_TEST

START_TEST(destroying_a_loader_at_once_ends_its_thread) {
    qd_job job = make_job();
    qd_dataset *d = open_data(&job);
    for (int n = 0; n < 50; n++) {
        qd_loader *loader;
        ck_assert_int_eq(qd_loader_create(&job, d, 0, SLOTS, n, &loader), 0);
        qd_loader_destroy(loader);
    }
    qd_loader_destroy(NULL);
    qd_dataset_close(d);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("loader");
    TCase *tc = tcase_create("loader");
    tcase_set_timeout(tc, 120);
    tcase_add_unchecked_fixture(tc, temp_folder_make, temp_folder_remove);
    tcase_add_test(tc, every_epoch_visits_each_sample_once);
    tcase_add_test(tc, the_validation_samples_are_never_trained_on);
    tcase_add_test(tc, slots_hold_the_same_samples_however_they_are_dealt);
    tcase_add_test(tc, beginning_at_a_later_step_gives_the_tail_of_the_stream);
    tcase_add_test(tc, an_epoch_dealt_anew_half_way_still_visits_each_sample_once);
    tcase_add_test(tc, fewer_samples_than_a_batch_are_refused);
    tcase_add_test(tc, the_stream_is_what_sample_at_says);
    tcase_add_test(tc, another_seed_gives_another_order);
    tcase_add_test(tc, a_batch_stays_as_it_is_until_the_next_call);
    tcase_add_test(tc, a_batch_that_does_not_come_in_time_is_an_error);
    tcase_add_test(tc, destroying_a_loader_at_once_ends_its_thread);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
