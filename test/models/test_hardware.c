/* Descriptions of hardware. The messages of files that are refused are in test/data/broken. */
#include <check.h>
#include <glob.h>
#include <stdlib.h>
#include <string.h>

#include "models/hardware.h"
#include "runtime/error.h"

static qd_hardware load(const char *file) {
    qd_hardware h;
    ck_assert_msg(qd_hardware_load(file, &h) == 0, "%s", qd_error_message());
    return h;
}

START_TEST(every_description_we_ship_is_read_and_written_back_equal) {
    glob_t files;
    ck_assert_int_eq(glob(QD_SOURCE_DIR "/conf/clusters/*.yaml", 0, NULL, &files), 0);
    ck_assert_uint_ge(files.gl_pathc, 6);
    for (size_t i = 0; i < files.gl_pathc; i++) {
        qd_hardware there = load(files.gl_pathv[i]), back;
        qd_text text = {0}, again = {0};
        qd_hardware_emit(&there, &text);
        ck_assert_int_eq(qd_hardware_parse("back", text.bytes, text.length, &back), 0);
        qd_hardware_emit(&back, &again);
        ck_assert_str_eq(text.bytes, again.bytes);
        qd_text_fini(&text);
        qd_text_fini(&again);
    }
    globfree(&files);
}
END_TEST

/* NVIDIA's A100 data sheet: 312 TFLOPS bf16, 19.5 fp32, 80 GB, 2,039 GB/s, NVLink 600 GB/s in both
 * directions; DGX A100: eight of them, 200 Gb/s each. */
START_TEST(the_a100_is_what_its_data_sheet_says) {
    qd_hardware h = load(QD_SOURCE_DIR "/conf/clusters/a100-80.yaml");
    ck_assert_double_eq(qd_hardware_peak(&h, QD_PRECISION_BF16), 312e12);
    ck_assert_double_eq(qd_hardware_peak(&h, QD_PRECISION_FP32), 19.5e12);
    ck_assert_double_eq(h.memory_bytes, 80e9);
    ck_assert_double_eq(h.memory_bytes_per_s, 2039e9);
    ck_assert_double_eq(h.inside.bytes_per_s, 600e9 / 2);
    ck_assert_double_eq(h.between.bytes_per_s, 200e9 / 8);
    ck_assert_int_eq(h.devices, 8);
}
END_TEST

START_TEST(a_link_of_the_node_is_shared_by_its_devices) {
    qd_hardware h = load(QD_SOURCE_DIR "/conf/clusters/a100-80.yaml");
    h.between.share = 1;
    ck_assert_double_eq(qd_hardware_between_rate(&h), 25e9);
    h.between_of = QD_LINK_OF_NODE;
    ck_assert_double_eq(qd_hardware_between_rate(&h), 25e9 / 8);
}
END_TEST

int main(void) {
    TCase *tc = tcase_create("hardware");
    tcase_add_test(tc, every_description_we_ship_is_read_and_written_back_equal);
    tcase_add_test(tc, the_a100_is_what_its_data_sheet_says);
    tcase_add_test(tc, a_link_of_the_node_is_shared_by_its_devices);
    Suite *suite = suite_create("models/hardware");
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
