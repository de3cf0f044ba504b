/* The header of safetensors files, by the format's own description (github.com/huggingface/
 * safetensors, README, "Format"), and everything a hostile file could claim. */
#include <check.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "test/worker/temp_folder.h"
#include "worker/safetensors.h"

/* Bytes of a file: length, header as given, data_bytes of zeros. */
static size_t make_file(uint8_t *bytes, const char *header, size_t data_bytes) {
    size_t length = strlen(header);
    memset(bytes, 0, 8 + length + data_bytes);
    for (int i = 0; i < 8; i++)
        bytes[i] = (uint8_t)((uint64_t)length >> 8 * i);
    memcpy(bytes + 8, header, length);
    return 8 + length + data_bytes;
}

static int parse(const char *header, size_t data_bytes, qd_safetensors *out) {
    static uint8_t bytes[1 << 16];
    size_t length = make_file(bytes, header, data_bytes);
    return qd_safetensors_parse("x", bytes, length, length, out);
}

START_TEST(a_file_as_the_format_describes_it_is_read) {
    qd_safetensors file;
    const char *header = "{\"__metadata__\":{\"made by\":\"hand\"},"
                         "\"b\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[24,28]},"
                         "\"a\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[0,24]}}   ";
    ck_assert_msg(parse(header, 28, &file) == 0, "%s", qd_error_message());
    ck_assert_int_eq(file.count, 2);
    ck_assert_uint_eq(file.data_begin, 8 + strlen(header));
    ck_assert_uint_eq(file.data_bytes, 28);
    const qd_safetensor *a = qd_safetensors_find(&file, "a");
    ck_assert_ptr_eq(a, &file.tensors[0]);
    ck_assert_int_eq(a->shape.dims, 2);
    ck_assert_int_eq(a->shape.dim[1], 3);
    ck_assert_uint_eq(a->end, 24);
    ck_assert_int_eq(qd_safetensors_find(&file, "b")->shape.dims, 0);
    ck_assert_ptr_null(qd_safetensors_find(&file, "c"));
    qd_safetensors_fini(&file);
}
END_TEST

START_TEST(a_written_header_is_the_formats_and_reads_back) {
    qd_safetensor tensors[] = {
        {.name = "model/layer0.weight", .shape = {.dims = 2, .dim = {3, 5}}},
        {.name = "optimizer/m/\"odd\" \xc3\xa4", .shape = {.dims = 1, .dim = {7}}},
    };
    static const char json[] =
        "{\"model/layer0.weight\":{\"dtype\":\"F32\",\"shape\":[3,5],\"data_offsets\":[0,60]},"
        "\"optimizer/m/\\\"odd\\\" \xc3\xa4\":{\"dtype\":\"F32\",\"shape\":[7],"
        "\"data_offsets\":[60,88]}}";
    qd_text header = {0};
    qd_safetensors file;
    ck_assert_int_eq(qd_safetensors_write_header(tensors, 2, &header), 0);
    ck_assert_uint_eq(header.length % 64, 0);
    ck_assert_uint_eq((uint8_t)header.bytes[0] + 256u * (uint8_t)header.bytes[1],
                      header.length - 8);
    ck_assert_mem_eq(header.bytes + 8, json, strlen(json));
    for (size_t i = 8 + strlen(json); i < header.length; i++)
        ck_assert_int_eq(header.bytes[i], ' ');
    ck_assert_int_eq(
        qd_safetensors_parse("x", header.bytes, header.length, header.length + 88, &file), 0);
    ck_assert_int_eq(file.count, 2);
    for (int i = 0; i < 2; i++) {
        ck_assert_str_eq(file.tensors[i].name, tensors[i].name);
        ck_assert_uint_eq(file.tensors[i].begin, tensors[i].begin);
        ck_assert_uint_eq(file.tensors[i].end, tensors[i].end);
    }
    qd_safetensors_fini(&file);
    qd_text_fini(&header);
}
END_TEST

START_TEST(a_file_without_tensors_is_a_file) {
    qd_text header = {0};
    qd_safetensors file;
    ck_assert_int_eq(qd_safetensors_write_header(NULL, 0, &header), 0);
    ck_assert_int_eq(qd_safetensors_parse("x", header.bytes, header.length, header.length, &file),
                     0);
    ck_assert_int_eq(file.count, 0);
    qd_safetensors_fini(&file);
    qd_text_fini(&header);
}
END_TEST

#define T(dtype, shape, offsets)                                                                   \
    "{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":" offsets "}"

static const struct {
    const char *header;
    size_t data_bytes;
    const char *message;
} hostile[] = {
    {"", 0, "x: its header is not JSON: \"'[' or '{' expected near end of file\""},
    {"[]", 0, "x: its header is no JSON object"},
    {"{} x", 0, "x: its header is not JSON: \"end of file expected near 'x'\""},
    {"{\"a\":1}", 0, "x: tensor \"a\": \"Expected object, got integer\""},
    {"{\"a\":" T("F32", "[1]", "[0,4]") ",\"a\":" T("F32", "[1]", "[4,8]") "}", 8,
     "x: its header is not JSON: \"duplicate object key near '\"a\"'\""},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1]}}", 4,
     "x: tensor \"a\": \"Object item not found: data_offsets\""},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4],\"z\":0}}", 4,
     "x: tensor \"a\": \"1 object item(s) left unpacked: z\""},
    {"{\"a\":" T("F16", "[2]", "[0,4]") "}", 4, "x: tensor \"a\": dtype \"F16\"; only F32 is read"},
    {"{\"a\":" T("F32", "[1]", "[0,4,4]") "}", 4,
     "x: tensor \"a\": \"1 array item(s) left unpacked\""},
    {"{\"a\":" T("F32", "[1]", "[-4,0]") "}", 4,
     "x: tensor \"a\": data_offsets -4 to 0 are not within the 4 bytes of data"},
    {"{\"a\":" T("F32", "[1]", "[4,0]") "}", 4,
     "x: tensor \"a\": data_offsets 4 to 0 are not within the 4 bytes of data"},
    {"{\"a\":" T("F32", "[1]", "[0,8]") "}", 4,
     "x: tensor \"a\": data_offsets 0 to 8 are not within the 4 bytes of data"},
    {"{\"a\":" T("F32", "[1]", "[0,9223372036854775807]") "}", 4,
     "x: tensor \"a\": data_offsets 0 to 9223372036854775807 are not within the 4 bytes of data"},
    {"{\"a\":" T("F32", "[2]", "[0,4]") "}", 8,
     "x: tensor \"a\": its shape has 8 bytes, its data_offsets 4"},
    {"{\"a\":" T("F32", "[1]", "[0,4]") ",\"b\":" T("F32", "[1]", "[0,4]") "}", 4,
     "x: tensor \"b\" begins at byte 0 of the data, inside one that ends at byte 4"},
    {"{\"a\":" T("F32", "[2]", "[0,8]") ",\"b\":" T("F32", "[2]", "[4,12]") "}", 12,
     "x: tensor \"b\" begins at byte 4 of the data, inside one that ends at byte 8"},
    {"{\"a\":" T("F32", "[1]", "[0,4]") ",\"b\":" T("F32", "[1]", "[8,12]") "}", 12,
     "x: tensor \"b\" begins at byte 8 of the data, behind a gap that begins at byte 4"},
    {"{\"a\":" T("F32", "[1]", "[0,4]") "}", 5, "x: its tensors have 4 bytes of data, the file 5"},
    {"{\"__metadata__\":[]}", 0, "x: __metadata__ is not an object"},
    {"{\"__metadata__\":{\"a\":1}}", 0, "x: __metadata__ holds something that is not a text"},
    {"{\"\\u001b[2J\":" T("I8", "[1]", "[0,1]") "}", 1,
     "x: tensor \"\\x1b[2J\": dtype \"I8\"; only F32 is read"},
};

START_TEST(a_hostile_header_is_refused_with_its_reason) {
    qd_safetensors file = {.count = -7};
    ck_assert_int_eq(parse(hostile[_i].header, hostile[_i].data_bytes, &file), QD_EDATA);
    ck_assert_str_eq(qd_error_message(), hostile[_i].message);
    ck_assert_int_eq(file.count, -7);
}
END_TEST

static const char *const hostile_shapes[] = {
    "[-1]",
    "[0]",
    "[1.0]",
    "[\"1\"]",
    "[1,1,1,1,1,1]",
    "{}",
    "1",
    "null",
    "[4611686018427387905]",   /* 2^62 + 1: times 4 is 4 again */
    "[4294967296,4294967296]", /* 2^64: 0 again */
    "[9223372036854775807]",   /* times 4 is -4 */
    "[2147483648,2147483648,4]",
};

START_TEST(a_shape_that_overflows_or_is_none_is_refused) {
    char header[256];
    qd_safetensors file;
    snprintf(header, sizeof header, "{\"a\":" T("F32", "%s", "[0,4]") "}", hostile_shapes[_i]);
    assert_fails(parse(header, 4, &file), QD_EDATA,
                 "x: tensor \"a\": its shape is not a list of at most 5 positive numbers that fit "
                 "into the 4 bytes of data");
}
END_TEST

START_TEST(a_name_longer_than_a_tensor_name_is_refused) {
    char header[512], name[200];
    qd_safetensors file;
    memset(name, 'n', sizeof name);
    for (int length = 191; length <= 192; length++) {
        snprintf(header, sizeof header, "{\"%.*s\":" T("F32", "[1]", "[0,4]") "}", length, name);
        int rc = parse(header, 4, &file);
        ck_assert_int_eq(rc, length < 192 ? 0 : QD_EDATA);
        if (rc == 0)
            qd_safetensors_fini(&file);
    }
    ck_assert_ptr_nonnull(strstr(qd_error_message(), "names have at most 191 bytes"));
}
END_TEST

START_TEST(a_length_beyond_the_file_or_the_limit_is_refused) {
    uint8_t bytes[16] = {9, 0, 0, 0, 0, 0, 0, 0, '{', '}'};
    qd_safetensors file;
    for (size_t length = 0; length < 8; length++)
        assert_fails(qd_safetensors_parse("x", bytes, length, length, &file), QD_EDATA,
                     "x: byte %zu: ends inside the length of its header", length);
    assert_fails(qd_safetensors_parse("x", bytes, sizeof bytes, sizeof bytes, &file), QD_EDATA,
                 "x: byte 16: ends inside its header of 9 bytes");
    memcpy(bytes, "\x01\xe1\xf5\x05\0\0\0", 8); /* 100,000,001 */
    assert_fails(qd_safetensors_parse("x", bytes, sizeof bytes, sizeof bytes, &file), QD_EDATA,
                 "x: a header of 100000001 bytes; at most 100000000 are accepted");
    memset(bytes, 0xff, 8);
    assert_fails(qd_safetensors_parse("x", bytes, sizeof bytes, sizeof bytes, &file), QD_EDATA,
                 "x: a header of 18446744073709551615 bytes; at most 100000000 are accepted");
}
END_TEST

START_TEST(a_file_cut_anywhere_is_refused) {
    uint8_t bytes[256];
    qd_safetensors file;
    size_t whole = make_file(bytes, "{\"a\":" T("F32", "[2,2]", "[0,16]") "}", 16);
    char *path = temp_path("cut.safetensors");
    for (size_t length = 0; length <= whole; length++) {
        temp_write(path, bytes, length);
        int fd = open(path, O_RDONLY);
        int rc = qd_safetensors_read_header(fd, path, &file);
        close(fd);
        ck_assert_int_eq(rc, length < whole ? QD_EDATA : 0);
    }
    qd_safetensors_fini(&file);
    free(path);
}
END_TEST

START_TEST(deep_nesting_does_not_exhaust_the_stack) {
    static char header[60000];
    qd_safetensors file;
    memset(header, '[', sizeof header - 1);
    memcpy(header, "{\"a\":", 5);
    ck_assert_int_eq(parse(header, 0, &file), QD_EDATA);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("safetensors");
    TCase *tc = tcase_create("safetensors");
    tcase_add_unchecked_fixture(tc, temp_folder_make, temp_folder_remove);
    tcase_add_test(tc, a_file_as_the_format_describes_it_is_read);
    tcase_add_test(tc, a_written_header_is_the_formats_and_reads_back);
    tcase_add_test(tc, a_file_without_tensors_is_a_file);
    tcase_add_loop_test(tc, a_hostile_header_is_refused_with_its_reason, 0,
                        (int)(sizeof hostile / sizeof hostile[0]));
    tcase_add_loop_test(tc, a_shape_that_overflows_or_is_none_is_refused, 0,
                        (int)(sizeof hostile_shapes / sizeof hostile_shapes[0]));
    tcase_add_test(tc, a_name_longer_than_a_tensor_name_is_refused);
    tcase_add_test(tc, a_length_beyond_the_file_or_the_limit_is_refused);
    tcase_add_test(tc, a_file_cut_anywhere_is_refused);
    tcase_add_test(tc, deep_nesting_does_not_exhaust_the_stack);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
