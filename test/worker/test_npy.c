/* NumPy arrays as data. The headers and bytes are those that numpy.save of NumPy 2.4 writes. */
#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "test/worker/temp_folder.h"
#include "worker/data/dataset.h"
#include "worker/data/npy.h"
#include "worker/data/source.h"

#define DICT(DESCR, SHAPE) "{'descr': '" DESCR "', 'fortran_order': False, 'shape': " SHAPE ", }"

enum { HEADER = 128, MOST = 512 };

/* numpy.lib.format: magic, version, length of the header, the header padded with blanks. */
static size_t make_npy(uint8_t bytes[MOST], int version, const char *dict, const void *data,
                       size_t size) {
    size_t at = version == 1 ? 10 : 12, length = HEADER - at;
    memset(bytes, ' ', HEADER);
    memcpy(bytes, "\x93NUMPY", 6);
    bytes[6] = (uint8_t)version;
    memset(bytes + 7, 0, at - 7);
    bytes[8] = (uint8_t)length;
    memcpy(bytes + at, dict, strlen(dict));
    bytes[HEADER - 1] = '\n';
    memcpy(bytes + HEADER, data, size);
    return HEADER + size;
}

static void write_npy(const char *name, const char *dict, const void *data, size_t size) {
    uint8_t bytes[MOST];
    char *path = temp_path(name);
    temp_write(path, bytes, make_npy(bytes, 1, dict, data, size));
    free(path);
}

static const float inputs[2][3] = {{0.5f, -1.25f, 3}, {4, 5.5f, -6}};
static const int64_t targets[2] = {2, 0};

/* A job on two samples of three inputs in the temporary folder. */
static qd_job small_job(void) {
    qd_job job = {.model = {.inputs = 3, .classes = 3},
                  .data = {.format = QD_DATA_NPY,
                           .train_inputs = "x.npy",
                           .train_targets = "y.npy",
                           .mean = 1,
                           .std = 2},
                  .train = {.batch = 1},
                  .slots_data = 1};
    snprintf(job.data.folder, sizeof job.data.folder, "%s", temp_folder);
    write_npy("x.npy", DICT("<f4", "(2, 3)"), inputs, sizeof inputs);
    write_npy("y.npy", DICT("<i8", "(2,)"), targets, sizeof targets);
    return job;
}

START_TEST(a_sample_is_its_row_normalised_and_its_class) {
    qd_job job = small_job();
    qd_dataset *d = NULL;
    float input[3];
    int32_t target;
    strcpy(job.data.test_inputs, "x.npy");
    strcpy(job.data.test_targets, "y.npy");
    job.data.validation = 1;
    ck_assert_msg(qd_dataset_open(&job, &d) == 0, "%s", qd_error_message());
    ck_assert_int_eq(qd_dataset_size(d, QD_SPLIT_TRAIN), 1);
    ck_assert_int_eq(qd_dataset_size(d, QD_SPLIT_VALIDATION), 1);
    ck_assert_int_eq(qd_dataset_size(d, QD_SPLIT_TEST), 2);
    qd_dataset_get(d, QD_SPLIT_TRAIN, 0, input, &target);
    ck_assert_float_eq(input[0], -0.25f);
    ck_assert_float_eq(input[1], -1.125f);
    ck_assert_float_eq(input[2], 1);
    ck_assert_int_eq(target, 2);
    qd_dataset_get(d, QD_SPLIT_VALIDATION, 0, input, &target);
    ck_assert_float_eq(input[2], -3.5f);
    ck_assert_int_eq(target, 0);
    qd_dataset_close(d);
}
END_TEST

START_TEST(without_test_files_the_test_split_is_empty) {
    qd_job job = small_job();
    qd_dataset *d = NULL;
    ck_assert_msg(qd_dataset_open(&job, &d) == 0, "%s", qd_error_message());
    ck_assert_int_eq(qd_dataset_size(d, QD_SPLIT_TRAIN), 2);
    ck_assert_int_eq(qd_dataset_size(d, QD_SPLIT_TEST), 0);
    qd_dataset_close(d);
}
END_TEST

static void assert_reads(int version, const char *dict, const void *data, size_t size, double first,
                         double second) {
    uint8_t bytes[MOST];
    qd_npy npy;
    size_t length = make_npy(bytes, version, dict, data, size);
    ck_assert_msg(qd_npy_parse("a.npy", bytes, length, &npy) == 0, "%s", qd_error_message());
    ck_assert_int_eq(npy.length, 2);
    ck_assert_double_eq(qd_npy_at(&npy, 0), first);
    ck_assert_double_eq(qd_npy_at(&npy, 1), second);
}

START_TEST(every_version_and_dtype_is_read) {
    assert_reads(1, DICT("|u1", "(2,)"), (uint8_t[]){1, 255}, 2, 1, 255);
    assert_reads(1, DICT("<i4", "(2,)"), (uint8_t[]){255, 255, 255, 255, 7, 0, 0, 0}, 8, -1, 7);
    assert_reads(2, DICT("<i8", "(2,)"),
                 (uint8_t[]){2, 0, 0, 0, 0, 0, 0, 0, 254, 255, 255, 255, 255, 255, 255, 255}, 16, 2,
                 -2);
    assert_reads(3, DICT("<f8", "(2, 1)"),
                 (uint8_t[]){0, 0, 0, 0, 0, 0, 0xf8, 0x3f, 0, 0, 0, 0, 0, 0, 0, 0xc0}, 16, 1.5, -2);
    assert_reads(1, DICT("<f4", "(1, 2)"), (uint8_t[]){0, 0, 0, 0x3f, 0, 0, 0xa0, 0xbf}, 8, 0.5,
                 -1.25);
    /* As Python writes it by hand: other order, other quotes, no comma at the end. */
    assert_reads(1, "{\"shape\":(2,1,1),\n\"descr\":\"|u1\" , 'fortran_order':False}",
                 (uint8_t[]){3, 4}, 2, 3, 4);
}
END_TEST

static void assert_header_refused(const char *dict, const char *message) {
    uint8_t bytes[MOST];
    qd_npy npy;
    size_t length = make_npy(bytes, 1, dict, "1234", 4);
    assert_fails(qd_npy_parse("a.npy", bytes, length, &npy), QD_EDATA, "a.npy: %s", message);
}

START_TEST(a_header_that_is_wrong_is_refused) {
    assert_header_refused("", "byte 128: expected \"{\" in the header");
    assert_header_refused("{}", "byte 128: expected descr, fortran_order and shape in the header");
    assert_header_refused(DICT(">f4", "(1,)"),
                          "dtype \">f4\"; accepted are <f4, <f8, |u1, <i4 and <i8");
    assert_header_refused(DICT("|O", "(1,)"),
                          "dtype \"|O\"; accepted are <f4, <f8, |u1, <i4 and <i8");
    assert_header_refused("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,), }",
                          "byte 20: expected one dtype, '<f4', '<f8', '|u1', '<i4' or '<i8', in "
                          "the header");
    assert_header_refused("{'descr': '<f4', 'fortran_order': True, 'shape': (1,), }",
                          "an array in Fortran order; save numpy.ascontiguousarray of it");
    assert_header_refused("{'descr': '<f4', 'fortran_order': 0, 'shape': (1,), }",
                          "byte 44: expected True or False in the header");
    assert_header_refused("{'descr': '<f4', 'descr': '<f4', 'shape': (1,), }",
                          "byte 27: key \"descr\" in the header; it must have descr, "
                          "fortran_order and shape, each once");
    assert_header_refused("{'descr': '<f4', 'shape': (1,), }",
                          "byte 128: expected descr, fortran_order and shape in the header");
    assert_header_refused(DICT("<f4", "(1,)") " x", "byte 68: expected nothing more in the header");
}
END_TEST

START_TEST(a_shape_that_is_wrong_is_refused) {
    assert_header_refused(DICT("<f4", "()"), "a single number; its shape needs a dimension that "
                                             "counts samples");
    assert_header_refused(DICT("<f4", "(1)"), "byte 62: expected a comma in the header");
    assert_header_refused(DICT("<f4", "(-1,)"), "byte 61: expected a dimension in the header");
    assert_header_refused(DICT("<f4", "(2, 0)"), "byte 64: dimension 1 is 0; at least 1 is needed");
    assert_header_refused(DICT("<f4", "(4294967296, 4294967296)"),
                          "byte 73: its shape announces 2^63 elements or more");
    assert_header_refused(DICT("<f4", "(9223372036854775808,)"),
                          "byte 79: expected a dimension below 2^63 in the header");
    assert_header_refused(DICT("<f8", "(9223372036854775807,)"),
                          "byte 132: ends 9223372036854775803 bytes short of the "
                          "9223372036854775807 elements of <f8 its header announces");
}
END_TEST

START_TEST(another_kind_of_file_or_version_is_refused) {
    uint8_t bytes[MOST];
    qd_npy npy;
    size_t length = make_npy(bytes, 1, DICT("|u1", "(1,)"), "1", 1);
    bytes[7] = 1;
    assert_fails(qd_npy_parse("a.npy", bytes, length, &npy), QD_EDATA,
                 "a.npy: byte 6: format version 1.1; accepted are 1.0, 2.0 and 3.0");
    bytes[6] = 4;
    assert_fails(qd_npy_parse("a.npy", bytes, length, &npy), QD_EDATA,
                 "a.npy: byte 6: format version 4.1; accepted are 1.0, 2.0 and 3.0");
    assert_fails(qd_npy_parse("a.npy", (const uint8_t *)"PK\3\4 an archive", 15, &npy), QD_EDATA,
                 "a.npy: byte 0: not an .npy file, which would begin with \\x93NUMPY");
    assert_fails(qd_npy_parse("a.npy", NULL, 0, &npy), QD_EDATA, "a.npy: the file is empty");
}
END_TEST

START_TEST(a_file_cut_anywhere_tells_where_it_ends) {
    uint8_t bytes[MOST];
    qd_npy npy;
    for (int version = 1; version <= 3; version++) {
        size_t whole = make_npy(bytes, version, DICT("<f4", "(2, 3)"), inputs, sizeof inputs);
        size_t first = version == 1 ? 10 : 12;
        for (size_t length = 1; length < whole; length++) {
            ck_assert_int_eq(qd_npy_parse("a.npy", bytes, length, &npy), QD_EDATA);
            if (length >= 8 && length < first)
                assert_fails(QD_EDATA, QD_EDATA,
                             "a.npy: byte %zu: ends inside the first %zu bytes of its header",
                             length, first);
            else if (length >= first && length < HEADER)
                assert_fails(QD_EDATA, QD_EDATA,
                             "a.npy: byte %zu: ends inside the header of 128 bytes", length);
            else if (length >= HEADER)
                assert_fails(QD_EDATA, QD_EDATA,
                             "a.npy: byte %zu: ends %zu bytes short of the 6 elements of <f4 its "
                             "header announces",
                             length, whole - length);
        }
        assert_fails(qd_npy_parse("a.npy", bytes, whole + 1, &npy), QD_EDATA,
                     "a.npy: byte 152: goes on behind the 6 elements of <f4 its header announces");
    }
}
END_TEST

START_TEST(an_input_that_is_no_number_names_its_element) {
    qd_job job = small_job();
    qd_dataset *d = NULL;
    double wide[6] = {0, 1, 2, 3, 1e300, 5};
    float broken[6] = {0, 1, 2, 3, 4, NAN};
    write_npy("x.npy", DICT("<f4", "(2, 3)"), broken, sizeof broken);
    assert_fails(qd_dataset_open(&job, &d), QD_EDATA,
                 "%s/x.npy: element 5 (sample 1): nan is not finite", temp_folder);
    broken[2] = -INFINITY;
    write_npy("x.npy", DICT("<f4", "(2, 3)"), broken, sizeof broken);
    assert_fails(qd_dataset_open(&job, &d), QD_EDATA,
                 "%s/x.npy: element 2 (sample 0): -inf is not finite", temp_folder);
    write_npy("x.npy", DICT("<f8", "(2, 3)"), wide, sizeof wide);
    assert_fails(qd_dataset_open(&job, &d), QD_EDATA,
                 "%s/x.npy: element 4 (sample 1): 1e+300, normalised, is beyond float32; at most "
                 "3.40282e+38 is accepted",
                 temp_folder);
}
END_TEST

START_TEST(a_target_that_is_no_class_names_its_element) {
    qd_job job = small_job();
    qd_dataset *d = NULL;
    write_npy("y.npy", DICT("<i4", "(2, 1)"), (int32_t[]){2, 3}, 8);
    assert_fails(qd_dataset_open(&job, &d), QD_EDATA,
                 "%s/y.npy: element 1 (sample 1): 3; model.classes 3 allows 0 to 2", temp_folder);
    write_npy("y.npy", DICT("<i8", "(2,)"), (int64_t[]){-1, 0}, 16);
    assert_fails(qd_dataset_open(&job, &d), QD_EDATA,
                 "%s/y.npy: element 0 (sample 0): -1; model.classes 3 allows 0 to 2", temp_folder);
    write_npy("y.npy", DICT("<f4", "(2,)"), (float[]){1, 0}, 8);
    assert_fails(qd_dataset_open(&job, &d), QD_ECONFIG,
                 "%s/y.npy: dtype <f4, where the model takes whole numbers; accepted are |u1, <i4 "
                 "and <i8",
                 temp_folder);
}
END_TEST

START_TEST(arrays_that_do_not_fit_are_refused) {
    qd_job job = small_job();
    qd_dataset *d = NULL;
    job.model.inputs = 4;
    assert_fails(qd_dataset_open(&job, &d), QD_ECONFIG,
                 "%s/x.npy: 3 inputs a sample do not fit the model's 4", temp_folder);
    job.model.inputs = 3;
    write_npy("y.npy", DICT("|u1", "(1, 2)"), "\0\1", 2);
    assert_fails(qd_dataset_open(&job, &d), QD_ECONFIG,
                 "%s/y.npy: 2 targets a sample do not fit the model's 1", temp_folder);
    write_npy("y.npy", DICT("|u1", "(3,)"), "\0\1\2", 3);
    assert_fails(qd_dataset_open(&job, &d), QD_EDATA,
                 "%s/y.npy: targets of 3 samples, but %s/x.npy has 2; there must be as many",
                 temp_folder, temp_folder);
}
END_TEST

START_TEST(a_wrong_test_file_is_named) {
    qd_job job = small_job();
    qd_dataset *d = NULL;
    strcpy(job.data.test_inputs, "none.npy");
    strcpy(job.data.test_targets, "y.npy");
    assert_fails(qd_dataset_open(&job, &d), QD_EIO, "%s/none.npy: No such file or directory",
                 temp_folder);
    ck_assert_ptr_null(d);
}
END_TEST

/* No family has them yet: the source itself is asked. */
START_TEST(targets_may_be_floats) {
    qd_job job = small_job();
    qd_sample_spec spec = {
        .input_dtype = QD_F32, .inputs = 3, .targets = 2, .target_dtype = QD_F32};
    qd_source train = {0}, validation = {0}, test = {0};
    const double wanted[2][2] = {{0.5, -1}, {1e6, 0.1}};
    float input[3], got[2];
    int32_t slots[2];
    write_npy("y.npy", DICT("<f8", "(2, 2)"), wanted, sizeof wanted);
    ck_assert_msg(qd_source_npy.open(&job, &spec, &train, &validation, &test) == 0, "%s",
                  qd_error_message());
    train.get(train.self, 1, input, slots);
    memcpy(got, slots, sizeof got);
    ck_assert_float_eq(got[0], 1e6f);
    ck_assert_float_eq(got[1], 0.1f);
    qd_source_close(&train);
}
END_TEST

static qd_job token_job(void) {
    qd_job job = small_job();
    job.model =
        (qd_model_spec){.family = QD_FAMILY_GPT, .length = 3, .context = 3, .vocabulary = 300};
    job.data.mean = 0;
    job.data.std = 1;
    write_npy("x.npy", DICT("<i4", "(1, 3)"), (int32_t[]){5, 299, 0}, 12);
    write_npy("y.npy", DICT("<i4", "(1, 3)"), (int32_t[]){299, 0, 7}, 12);
    return job;
}

START_TEST(inputs_may_be_tokens) {
    qd_job job = token_job();
    qd_dataset *d = NULL;
    int32_t input[3], target[3];
    ck_assert_msg(qd_dataset_open(&job, &d) == 0, "%s", qd_error_message());
    qd_dataset_get(d, QD_SPLIT_TRAIN, 0, input, target);
    ck_assert_mem_eq(input, ((int32_t[]){5, 299, 0}), sizeof input);
    ck_assert_mem_eq(target, ((int32_t[]){299, 0, 7}), sizeof target);
    qd_dataset_close(d);
    d = NULL;
    job.model.vocabulary = 299;
    assert_fails(qd_dataset_open(&job, &d), QD_EDATA,
                 "%s/x.npy: element 1 (sample 0): 299; model.vocabulary 299 allows 0 to 298",
                 temp_folder);
    job.data.std = 2;
    assert_fails(qd_dataset_open(&job, &d), QD_ECONFIG,
                 "data.mean 0 and data.std 2: the model takes tokens, which are not normalised; "
                 "remove them");
}
END_TEST

int main(void) {
    TCase *tc = tcase_create("npy");
    tcase_add_unchecked_fixture(tc, temp_folder_make, temp_folder_remove);
    tcase_add_test(tc, a_sample_is_its_row_normalised_and_its_class);
    tcase_add_test(tc, without_test_files_the_test_split_is_empty);
    tcase_add_test(tc, every_version_and_dtype_is_read);
    tcase_add_test(tc, a_header_that_is_wrong_is_refused);
    tcase_add_test(tc, a_shape_that_is_wrong_is_refused);
    tcase_add_test(tc, another_kind_of_file_or_version_is_refused);
    tcase_add_test(tc, a_file_cut_anywhere_tells_where_it_ends);
    tcase_add_test(tc, an_input_that_is_no_number_names_its_element);
    tcase_add_test(tc, a_target_that_is_no_class_names_its_element);
    tcase_add_test(tc, arrays_that_do_not_fit_are_refused);
    tcase_add_test(tc, a_wrong_test_file_is_named);
    tcase_add_test(tc, targets_may_be_floats);
    tcase_add_test(tc, inputs_may_be_tokens);
    Suite *suite = suite_create("worker/npy");
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
