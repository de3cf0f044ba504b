/* Data sets of IDX files: Fashion-MNIST as Debian ships it, and broken files made here. */
#include <check.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "runtime/clock.h"
#include "test/worker/temp_folder.h"
#include "worker/data/dataset.h"
#include "worker/data/idx.h"

#define FASHION "/usr/share/datasets/fashion-mnist"

enum { ROWS = 2, COLUMNS = 3, PIXELS = ROWS * COLUMNS, IMAGES = 5, IMAGES_HEADER = 16 };
enum { IMAGES_BYTES = IMAGES_HEADER + IMAGES * PIXELS, LABELS_BYTES = 8 + IMAGES };

static const uint8_t images_header[IMAGES_HEADER] = {0, 0, 8, 3, 0, 0, 0, IMAGES,
                                                     0, 0, 0, 2, 0, 0, 0, 3};

static void make_images(uint8_t bytes[IMAGES_BYTES]) {
    memcpy(bytes, images_header, IMAGES_HEADER);
    for (int i = 0; i < IMAGES * PIXELS; i++)
        bytes[IMAGES_HEADER + i] = (uint8_t)(8 * i);
}

static void make_labels(uint8_t bytes[LABELS_BYTES]) {
    static const uint8_t labels[LABELS_BYTES] = {0, 0, 8, 1, 0, 0, 0, IMAGES, 3, 1, 2, 0, 3};
    memcpy(bytes, labels, LABELS_BYTES);
}

static void write_gz(const char *path, const void *bytes, size_t length) {
    gzFile file = gzopen(path, "wb");
    ck_assert_ptr_nonnull(file);
    ck_assert_int_eq(gzwrite(file, bytes, (unsigned)length), (int)length);
    ck_assert_int_eq(gzclose(file), Z_OK);
}

static int read_images(const char *path, qd_idx *idx) {
    return qd_idx_read(path, 3, "images", idx);
}

/* A job on five 2 x 3 images in the temporary folder, the same for training and test. */
static qd_job small_job(void) {
    uint8_t images[IMAGES_BYTES], labels[LABELS_BYTES];
    make_images(images);
    make_labels(labels);
    char *images_path = temp_path("images"), *labels_path = temp_path("labels");
    temp_write(images_path, images, sizeof images);
    temp_write(labels_path, labels, sizeof labels);
    free(images_path);
    free(labels_path);
    qd_job job = {.model = {.inputs = PIXELS, .classes = 4},
                  .data = {.format = QD_DATA_IDX, .mean = 0.5, .std = 0.25},
                  .train = {.batch = 2},
                  .slots_data = 1};
    snprintf(job.data.folder, sizeof job.data.folder, "%s", temp_folder);
    strcpy(job.data.train_images, "images");
    strcpy(job.data.train_labels, "labels");
    strcpy(job.data.test_images, "images");
    strcpy(job.data.test_labels, "labels");
    return job;
}

static qd_job fashion_job(void) {
    return (qd_job){.model = {.inputs = 784, .classes = 10},
                    .data = {.format = QD_DATA_IDX,
                             .folder = FASHION,
                             .train_images = "train-images-idx3-ubyte.gz",
                             .train_labels = "train-labels-idx1-ubyte.gz",
                             .test_images = "t10k-images-idx3-ubyte.gz",
                             .test_labels = "t10k-labels-idx1-ubyte.gz",
                             .validation = 5000,
                             .mean = 0,
                             .std = 1},
                    .train = {.batch = 128},
                    .slots_data = 8};
}

/* Xiao, Rasul, Vollgraf, "Fashion-MNIST", arXiv 1708.07747, section 2: 60,000 and 10,000 images of
 * 28 x 28, ten classes, 6,000 and 1,000 of each. */
START_TEST(fashion_mnist_has_the_counts_its_paper_states) {
    int64_t of_class[2][10] = {{0}};
    float *image = malloc(784 * sizeof *image);
    qd_dataset *d;
    qd_job job = fashion_job();
    int64_t begin = qd_clock_now_ns();
    ck_assert_msg(qd_dataset_open(&job, &d) == 0, "%s", qd_error_message());
    double seconds = (double)(qd_clock_now_ns() - begin) * 1e-9;
    printf("{\"bench\":\"fashion_mnist_open\",\"seconds\":%.3f}\n", seconds);
    ck_assert_int_eq(qd_dataset_size(d, QD_SPLIT_TRAIN), 55000);
    ck_assert_int_eq(qd_dataset_size(d, QD_SPLIT_VALIDATION), 5000);
    ck_assert_int_eq(qd_dataset_size(d, QD_SPLIT_TEST), 10000);
    for (int split = 0; split < QD_SPLITS; split++)
        for (int64_t i = 0; i < qd_dataset_size(d, (qd_split)split); i++) {
            int32_t label = -1;
            qd_dataset_get(d, (qd_split)split, i, image, &label);
            ck_assert(label >= 0 && label < 10);
            of_class[split == QD_SPLIT_TEST][label]++;
        }
    for (int c = 0; c < 10; c++) {
        ck_assert_int_eq(of_class[0][c], 6000);
        ck_assert_int_eq(of_class[1][c], 1000);
    }
    free(image);
    qd_dataset_close(d);
}
END_TEST

/* The mean 0.2860 and standard deviation 0.3530 of the training pixels are what everyone who
 * trains on Fashion-MNIST normalises by. */
START_TEST(fashion_mnist_pixels_have_the_well_known_mean_and_deviation) {
    qd_idx idx;
    double sum = 0, squares = 0;
    ck_assert_int_eq(qd_idx_read(FASHION "/train-images-idx3-ubyte.gz", 3, "images", &idx), 0);
    ck_assert_int_eq(idx.dim[0], 60000);
    ck_assert_int_eq(idx.dim[1], 28);
    ck_assert_int_eq(idx.dim[2], 28);
    for (size_t i = 0; i < idx.length; i++) {
        double value = idx.bytes[i] / 255.0;
        sum += value;
        squares += value * value;
    }
    double mean = sum / (double)idx.length;
    ck_assert_double_eq_tol(mean, 0.2860, 0.00005);
    ck_assert_double_eq_tol(squares / (double)idx.length - mean * mean, 0.3530 * 0.3530, 0.0001);
    qd_idx_fini(&idx);
}
END_TEST

START_TEST(a_sample_is_its_bytes_normalised_and_its_label) {
    qd_job job = small_job();
    qd_dataset *d;
    float features[PIXELS];
    int32_t label;
    job.data.validation = 2;
    ck_assert_msg(qd_dataset_open(&job, &d) == 0, "%s", qd_error_message());
    ck_assert_int_eq(qd_dataset_size(d, QD_SPLIT_TRAIN), 3);
    qd_dataset_get(d, QD_SPLIT_VALIDATION, 0, features, &label); /* sample 3 of the file */
    ck_assert_int_eq(label, 0);
    for (int i = 0; i < PIXELS; i++) {
        double byte = (uint8_t)(8 * (3 * PIXELS + i));
        ck_assert_float_eq(features[i], (float)((byte / 255.0 - 0.5) / 0.25));
    }
    qd_dataset_get(d, QD_SPLIT_TEST, 1, features, &label);
    ck_assert_int_eq(label, 1);
    qd_dataset_close(d);
}
END_TEST

START_TEST(plain_and_compressed_files_read_alike) {
    uint8_t bytes[IMAGES_BYTES];
    qd_idx plain, packed;
    char *path = temp_path("plain"), *gz_path = temp_path("packed.gz");
    make_images(bytes);
    temp_write(path, bytes, sizeof bytes);
    write_gz(gz_path, bytes, sizeof bytes);
    ck_assert_int_eq(read_images(path, &plain), 0);
    ck_assert_int_eq(read_images(gz_path, &packed), 0);
    ck_assert_uint_eq(plain.length, IMAGES * PIXELS);
    ck_assert_mem_eq(plain.bytes, bytes + IMAGES_HEADER, plain.length);
    ck_assert_uint_eq(packed.length, plain.length);
    ck_assert_mem_eq(packed.bytes, plain.bytes, plain.length);
    qd_idx_fini(&plain);
    qd_idx_fini(&packed);
    free(path);
    free(gz_path);
}
END_TEST

START_TEST(a_plain_file_cut_anywhere_tells_where_it_ends) {
    uint8_t bytes[IMAGES_BYTES];
    qd_idx idx;
    char *path = temp_path("cut");
    make_images(bytes);
    for (size_t length = 0; length < IMAGES_BYTES; length++) {
        temp_write(path, bytes, length);
        if (length < IMAGES_HEADER)
            assert_fails(read_images(path, &idx), QD_EDATA,
                         "%s: byte %zu: ends inside the header of 16 bytes", path, length);
        else
            assert_fails(read_images(path, &idx), QD_EDATA,
                         "%s: byte %zu: ends %zu bytes short of the 5 images its header announces",
                         path, length, IMAGES_BYTES - length);
    }
    free(path);
}
END_TEST

/* What zlib makes of a torn stream differs, but it is never taken for whole. */
START_TEST(a_compressed_file_cut_anywhere_is_refused) {
    uint8_t bytes[IMAGES_BYTES];
    qd_idx idx;
    size_t whole;
    char *gz_bytes, *path = temp_path("cut.gz");
    make_images(bytes);
    write_gz(path, bytes, sizeof bytes);
    ck_assert_int_eq(qd_file_read(path, 1000, &gz_bytes, &whole), 0);
    for (size_t length = 0; length < whole; length++) {
        temp_write(path, gz_bytes, length);
        ck_assert_int_eq(read_images(path, &idx), QD_EDATA);
        ck_assert_ptr_nonnull(strstr(qd_error_message(), "byte "));
    }
    temp_write(path, gz_bytes, whole - 1);
    assert_fails(read_images(path, &idx), QD_EDATA,
                 "%s: byte 46: the gzip data ends before its checksum", path);
    free(gz_bytes);
    free(path);
}
END_TEST

START_TEST(a_short_array_in_a_whole_gzip_file_tells_where_it_ends) {
    uint8_t bytes[IMAGES_BYTES];
    qd_idx idx;
    char *path = temp_path("short.gz");
    make_images(bytes);
    write_gz(path, bytes, sizeof bytes - 7);
    assert_fails(read_images(path, &idx), QD_EDATA,
                 "%s: byte 39: ends 7 bytes short of the 5 images its header announces", path);
    free(path);
}
END_TEST

START_TEST(a_flipped_byte_of_compressed_data_is_found) {
    uint8_t bytes[IMAGES_BYTES];
    qd_idx idx;
    size_t whole;
    char *gz_bytes, *path = temp_path("flipped.gz");
    make_images(bytes);
    write_gz(path, bytes, sizeof bytes);
    ck_assert_int_eq(qd_file_read(path, 1000, &gz_bytes, &whole), 0);
    for (size_t i = 10; i < whole; i++) { /* behind gzip's own header: all that carries content */
        gz_bytes[i] = (char)(gz_bytes[i] ^ 0x55);
        temp_write(path, gz_bytes, whole);
        ck_assert_int_eq(read_images(path, &idx), QD_EDATA);
        gz_bytes[i] = (char)(gz_bytes[i] ^ 0x55);
    }
    gz_bytes[whole - 8] = (char)(gz_bytes[whole - 8] ^ 1);
    temp_write(path, gz_bytes, whole);
    assert_fails(read_images(path, &idx), QD_EDATA,
                 "%s: byte %zu of the compressed file: incorrect data check", path, whole - 4);
    free(gz_bytes);
    free(path);
}
END_TEST

START_TEST(bytes_behind_the_last_image_are_refused) {
    uint8_t bytes[IMAGES_BYTES + 1] = {0};
    qd_idx idx;
    char *path = temp_path("longer"), *gz_path = temp_path("longer.gz");
    make_images(bytes);
    temp_write(path, bytes, sizeof bytes);
    write_gz(gz_path, bytes, sizeof bytes);
    assert_fails(read_images(path, &idx), QD_EDATA,
                 "%s: byte 46: goes on behind the 5 images its header announces", path);
    assert_fails(read_images(gz_path, &idx), QD_EDATA,
                 "%s: byte 46: goes on behind the 5 images its header announces", gz_path);
    free(path);
    free(gz_path);
}
END_TEST

START_TEST(a_wrong_magic_number_is_told_with_the_right_one) {
    uint8_t bytes[LABELS_BYTES];
    qd_idx idx;
    char *path = temp_path("labels-as-images");
    make_labels(bytes);
    temp_write(path, bytes, sizeof bytes);
    assert_fails(read_images(path, &idx), QD_EDATA,
                 "%s: byte 0: magic number 0x00000801; IDX images begin with 0x00000803", path);
    free(path);
}
END_TEST

START_TEST(an_empty_dimension_is_refused) {
    uint8_t bytes[IMAGES_BYTES];
    qd_idx idx;
    char *path = temp_path("empty");
    make_images(bytes);
    bytes[11] = 0;
    temp_write(path, bytes, sizeof bytes);
    assert_fails(read_images(path, &idx), QD_EDATA,
                 "%s: byte 8: dimension 1 is 0; at least 1 is needed", path);
    free(path);
}
END_TEST

START_TEST(an_impossible_size_is_refused_before_memory_is_taken) {
    uint8_t bytes[IMAGES_BYTES];
    qd_idx idx;
    char *path = temp_path("huge"), *gz_path = temp_path("huge.gz");
    make_images(bytes);
    memset(bytes + 4, 0xff, 12); /* 2^96 bytes */
    temp_write(path, bytes, sizeof bytes);
    assert_fails(read_images(path, &idx), QD_EDATA,
                 "%s: byte 4: its dimensions announce 2^63 bytes or more", path);
    memset(bytes + 4, 0, 12);
    bytes[4] = bytes[9] = bytes[15] = 1; /* 2^24 x 2^16 x 1: a terabyte */
    temp_write(path, bytes, sizeof bytes);
    write_gz(gz_path, bytes, sizeof bytes);
    assert_fails(read_images(path, &idx), QD_EDATA,
                 "%s: byte 46: ends 1099511627746 bytes short of the 16777216 images its header "
                 "announces",
                 path);
    ck_assert_int_eq(read_images(gz_path, &idx), QD_EDATA);
    ck_assert_ptr_nonnull(strstr(qd_error_message(), "cannot be packed into the file's"));
    free(path);
    free(gz_path);
}
END_TEST

START_TEST(a_missing_file_is_named) {
    qd_job job = small_job();
    qd_dataset *d;
    strcpy(job.data.test_images, "nothing");
    assert_fails(qd_dataset_open(&job, &d), QD_EIO, "%s/nothing: No such file or directory",
                 temp_folder);
}
END_TEST

START_TEST(a_label_beyond_the_classes_names_its_sample) {
    qd_job job = small_job();
    qd_dataset *d;
    job.model.classes = 3;
    assert_fails(qd_dataset_open(&job, &d), QD_ECONFIG,
                 "%s/labels: sample 0 has label 3; model.classes 3 allows 0 to 2", temp_folder);
    job.model.classes = 4;
    ck_assert_int_eq(qd_dataset_open(&job, &d), 0);
    qd_dataset_close(d);
}
END_TEST

START_TEST(fewer_labels_than_images_are_refused) {
    qd_job job = small_job();
    uint8_t labels[LABELS_BYTES];
    qd_dataset *d;
    char *path = temp_path("labels");
    make_labels(labels);
    labels[7] = IMAGES - 1;
    temp_write(path, labels, sizeof labels - 1);
    assert_fails(qd_dataset_open(&job, &d), QD_EDATA,
                 "%s: 4 labels, but %s/images has 5 images; there must be one for each", path,
                 temp_folder);
    free(path);
}
END_TEST

START_TEST(other_image_sizes_than_the_model_takes_are_refused) {
    qd_job job = small_job();
    qd_dataset *d;
    job.model.inputs = 9;
    assert_fails(qd_dataset_open(&job, &d), QD_ECONFIG,
                 "%s/images: images of 2 x 3 pixels do not fit model.inputs 9; use 6", temp_folder);
}
END_TEST

START_TEST(splits_that_leave_too_little_to_train_on_are_refused) {
    qd_job job = small_job();
    qd_dataset *d;
    job.data.validation = 5;
    assert_fails(
        qd_dataset_open(&job, &d), QD_ECONFIG,
        "data.validation 5 leaves none of the 5 samples of the training data for training; use at "
        "most 4");
    job.data.validation = 4;
    assert_fails(qd_dataset_open(&job, &d), QD_ECONFIG,
                 "train.batch 2 is more than the 1 samples of the training split");
}
END_TEST

int main(void) {
    Suite *suite = suite_create("idx");
    TCase *tc = tcase_create("idx");
    tcase_set_timeout(tc, 60);
    tcase_add_unchecked_fixture(tc, temp_folder_make, temp_folder_remove);
    tcase_add_test(tc, fashion_mnist_has_the_counts_its_paper_states);
    tcase_add_test(tc, fashion_mnist_pixels_have_the_well_known_mean_and_deviation);
    tcase_add_test(tc, a_sample_is_its_bytes_normalised_and_its_label);
    tcase_add_test(tc, plain_and_compressed_files_read_alike);
    tcase_add_test(tc, a_plain_file_cut_anywhere_tells_where_it_ends);
    tcase_add_test(tc, a_compressed_file_cut_anywhere_is_refused);
    tcase_add_test(tc, a_short_array_in_a_whole_gzip_file_tells_where_it_ends);
    tcase_add_test(tc, a_flipped_byte_of_compressed_data_is_found);
    tcase_add_test(tc, bytes_behind_the_last_image_are_refused);
    tcase_add_test(tc, a_wrong_magic_number_is_told_with_the_right_one);
    tcase_add_test(tc, an_empty_dimension_is_refused);
    tcase_add_test(tc, an_impossible_size_is_refused_before_memory_is_taken);
    tcase_add_test(tc, a_missing_file_is_named);
    tcase_add_test(tc, a_label_beyond_the_classes_names_its_sample);
    tcase_add_test(tc, fewer_labels_than_images_are_refused);
    tcase_add_test(tc, other_image_sizes_than_the_model_takes_are_refused);
    tcase_add_test(tc, splits_that_leave_too_little_to_train_on_are_refused);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
