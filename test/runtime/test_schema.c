/* A table that binds YAML to a struct, writes it back and compares: one row of each kind. */
#include <check.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/error.h"
#include "runtime/quote.h"
#include "runtime/schema.h"
#include "runtime/yaml.h"

typedef struct pantry {
    char name[16];
    char label[64];
    int64_t jars;
    uint64_t serial;
    double litres;
    bool locked;
    int kind;
    int64_t shelf[4];
    int shelves;
    int64_t width;
    double acid; /* vinegar only */
    double prices[3];
    int price_count;
    qd_optional_int spare;
    double until;
} pantry;

static const char *const pantry_kinds[] = {"jam", "vinegar", NULL};

#define AT(member) .offset = offsetof(pantry, member)

static const qd_field shelf_fields[] = {
    {"heights", QD_FIELD_INT_LIST, QD_FIELD_RESULT, AT(shelf), .size = 4,
     .count_offset = offsetof(pantry, shelves), .min = -9, .max = 9},
    {"prices", QD_FIELD_REAL_LIST, QD_FIELD_RESULT, AT(prices), .size = 3,
     .count_offset = offsetof(pantry, price_count), .max = 100},
    {"spare", QD_FIELD_INT_OR_NONE, QD_FIELD_RESULT, AT(spare), .min = -100, .max = 9,
     .preset = "none"},
    {"width", QD_FIELD_AUTO_INT, 0, AT(width), .min = 1, .max = 100, .preset = "auto"},
    {0},
};

static const qd_field content_fields[] = {
    {"kind", QD_FIELD_CHOICE, QD_FIELD_RESULT, AT(kind), .choices = pantry_kinds, .preset = "jam"},
    {"acid", QD_FIELD_REAL, QD_FIELD_RESULT | QD_FIELD_ABOVE_MIN | QD_FIELD_BELOW_MAX, AT(acid),
     .max = 1, .preset = "0.05", .when_key = "kind", .when = "vinegar"},
    {0},
};

static const qd_field pantry_fields[] = {
    {"name", QD_FIELD_NAME, QD_FIELD_REQUIRED, AT(name), .size = 16},
    {"label", QD_FIELD_TEXT, 0, AT(label), .size = 64, .preset = "none yet"},
    {"jars", QD_FIELD_INT, QD_FIELD_RESULT, AT(jars), .min = -1e18, .max = 1e18, .preset = "12"},
    {"serial", QD_FIELD_UINT, 0, AT(serial), .preset = "18446744073709551615"},
    {"litres", QD_FIELD_REAL, QD_FIELD_RESULT, AT(litres), .min = -DBL_MAX, .max = DBL_MAX},
    {"locked", QD_FIELD_BOOL, QD_FIELD_RESULT, AT(locked), .preset = "true"},
    {"content", QD_FIELD_MAPPING, .fields = content_fields},
    {"shelf", QD_FIELD_MAPPING, .fields = shelf_fields},
    {"until", QD_FIELD_REAL, QD_FIELD_OMIT_ZERO, AT(until), .min = 1, .max = 9999},
    {0},
};

static int parse_bytes(const char *text, size_t length, pantry *p) {
    return qd_schema_parse(pantry_fields, "p.yaml", text, length, p, sizeof *p, NULL);
}

static int parse(const char *text, pantry *p) {
    return parse_bytes(text, strlen(text), p);
}

static pantry accepted(const char *text) {
    pantry p;
    ck_assert_msg(parse(text, &p) == 0, "%s\n%s", qd_error_message(), text);
    return p;
}

static void refused(const char *text, const char *message) {
    pantry p;
    ck_assert_int_eq(parse(text, &p), QD_ECONFIG);
    ck_assert_str_eq(qd_error_message(), message);
}

static char *emitted(const pantry *p) {
    qd_text out = {0};
    qd_schema_emit(pantry_fields, p, &out);
    ck_assert(!out.failed);
    return out.bytes;
}

START_TEST(every_kind_of_value_reaches_its_field) {
    pantry p = accepted("name: a-1\nlabel: 'to the \"left\"'\njars: -3\nserial: 0\nlitres: 1.5e2\n"
                        "locked: false\ncontent: {kind: vinegar, acid: 0.25}\n"
                        "shelf:\n  heights:\n    - 5\n    - -9\n  prices: [0.5, 1e2]\n"
                        "  spare: -7\n  width: 40\nuntil: 2030\n");
    ck_assert_str_eq(p.name, "a-1");
    ck_assert_str_eq(p.label, "to the \"left\"");
    ck_assert_int_eq(p.jars, -3);
    ck_assert_uint_eq(p.serial, 0);
    ck_assert_double_eq(p.litres, 150);
    ck_assert(!p.locked);
    ck_assert_int_eq(p.kind, 1);
    ck_assert_double_eq(p.acid, 0.25);
    ck_assert_int_eq(p.shelves, 2);
    ck_assert_int_eq(p.shelf[0], 5);
    ck_assert_int_eq(p.shelf[1], -9);
    ck_assert_int_eq(p.price_count, 2);
    ck_assert_double_eq(p.prices[0], 0.5);
    ck_assert_double_eq(p.prices[1], 100);
    ck_assert(p.spare.given);
    ck_assert_int_eq(p.spare.value, -7);
    ck_assert_int_eq(p.width, 40);
    ck_assert_double_eq(p.until, 2030);
}
END_TEST

START_TEST(what_is_left_out_gets_its_preset_or_zero) {
    pantry p = accepted("name: a\n"), defaults;
    ck_assert_str_eq(p.label, "none yet");
    ck_assert_int_eq(p.jars, 12);
    ck_assert_uint_eq(p.serial, UINT64_MAX);
    ck_assert_double_eq(p.litres, 0);
    ck_assert(p.locked);
    ck_assert_int_eq(p.shelves, 0);
    ck_assert_int_eq(p.width, 0);
    ck_assert_double_eq(p.acid, 0); /* jam has none */
    qd_schema_defaults(pantry_fields, &defaults, sizeof defaults);
    strcpy(defaults.name, "a");
    ck_assert_mem_eq(&p, &defaults, sizeof p);
    ck_assert_double_eq(accepted("name: a\ncontent:\n  kind: vinegar\n").acid, 0.05);
}
END_TEST

START_TEST(nothing_is_touched_by_a_file_that_is_refused) {
    pantry p, before;
    memset(&p, 0x5a, sizeof p);
    before = p;
    qd_schema_lines *lines = (void *)&before;
    const char *text = "name: a\njars: many\n";
    ck_assert_int_eq(
        qd_schema_parse(pantry_fields, "p.yaml", text, strlen(text), &p, sizeof p, &lines),
        QD_ECONFIG);
    ck_assert_mem_eq(&p, &before, sizeof p);
    ck_assert_ptr_eq(lines, (void *)&before);
}
END_TEST

START_TEST(lines_are_those_of_the_keys) {
    const char *text = "# a comment\nname: a\n\nshelf:\n  # heights: []\n  width:\n    7\n"
                       "content: {kind: jam}\n";
    pantry p;
    qd_schema_lines *lines = NULL;
    ck_assert_int_eq(
        qd_schema_parse(pantry_fields, "p.yaml", text, strlen(text), &p, sizeof p, &lines), 0);
    ck_assert_int_eq(qd_schema_line(lines, "name"), 2);
    ck_assert_int_eq(qd_schema_line(lines, "shelf"), 4);
    ck_assert_int_eq(qd_schema_line(lines, "shelf.width"), 6);
    ck_assert_int_eq(qd_schema_line(lines, "shelf.heights"), 4);
    ck_assert_int_eq(qd_schema_line(lines, "content.kind"), 8);
    ck_assert_int_eq(qd_schema_line(lines, "label"), 1);
    ck_assert_int_eq(qd_schema_line(lines, "name.first"), 2);
    ck_assert(qd_schema_given(lines, "shelf.width"));
    ck_assert(!qd_schema_given(lines, "shelf.heights"));
    ck_assert(!qd_schema_given(lines, "shel"));
    qd_schema_lines_destroy(lines);
    qd_schema_lines_destroy(NULL);
}
END_TEST

START_TEST(a_struct_is_written_as_a_person_would) {
    pantry p = accepted("name: '7'\nlitres: 0.1\nuntil: 0012.50\n"
                        "shelf: {heights: [1, 2], prices: [.25, 1e-8]}\n");
    char *text = emitted(&p);
    ck_assert_str_eq(text, "name: \"7\"\n"
                           "label: \"none yet\"\n"
                           "jars: 12\n"
                           "serial: 18446744073709551615\n"
                           "litres: 0.1\n"
                           "locked: true\n"
                           "content:\n"
                           "  kind: jam\n"
                           "shelf:\n"
                           "  heights: [1, 2]\n"
                           "  prices: [0.25, 1.0e-08]\n"
                           "  spare: none\n"
                           "  width: auto\n"
                           "until: 12.5\n");
    free(text);
}
END_TEST

static void check_round_trip(const pantry *p) {
    char *text = emitted(p);
    pantry again;
    ck_assert_msg(parse(text, &again) == 0, "%s\n%s", qd_error_message(), text);
    ck_assert_msg(memcmp(&again, p, sizeof again) == 0, "%s", text);
    free(text);
}

START_TEST(any_real_reads_back_as_the_same_bits) {
    static const double special[] = {0.0,
                                     -0.0,
                                     0.1,
                                     1.0 / 3,
                                     1e-8,
                                     1e22,
                                     1e23,
                                     DBL_MAX,
                                     DBL_EPSILON,
                                     -DBL_MIN,
                                     4.9406564584124654e-324,
                                     12345678901234568,
                                     5e-5,
                                     3e8};
    pantry p = accepted("name: a\n");
    for (size_t i = 0; i < sizeof special / sizeof special[0]; i++) {
        p.litres = special[i];
        check_round_trip(&p);
    }
    uint64_t bits = 1;
    for (int i = 0; i < 20000; i++) {
        bits = bits * 6364136223846793005u + 1442695040888963407u;
        memcpy(&p.litres, &bits, sizeof bits);
        if (isfinite(p.litres))
            check_round_trip(&p);
    }
}
END_TEST

START_TEST(any_text_reads_back_as_the_same_bytes) {
    static const char *const texts[] = {"plain",
                                        "/usr/share/x-1.gz",
                                        "true",
                                        "No",
                                        "null",
                                        "~",
                                        "123",
                                        "1e5",
                                        " leading",
                                        "end ",
                                        "a: b",
                                        "a #b",
                                        "#b",
                                        "- a",
                                        "[a]",
                                        "{a}",
                                        "&a",
                                        "*a",
                                        "!a",
                                        "|",
                                        ">",
                                        "%a",
                                        "@a",
                                        "`a",
                                        "\"",
                                        "\\",
                                        "'",
                                        "C:\\dir\\n",
                                        "M\xc3\xbcller",
                                        "\xe6\x95\xb0\xe6\x8d\xae",
                                        "\xf0\x9f\x98\x80",
                                        "?",
                                        "-",
                                        ":",
                                        ",",
                                        "---",
                                        "...",
                                        "<<",
                                        "=",
                                        "0x1F",
                                        ".inf",
                                        "2001-01-01"};
    pantry p = accepted("name: a\n");
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        memset(p.label, 0, sizeof p.label);
        strcpy(p.label, texts[i]);
        check_round_trip(&p);
    }
    memset(p.label, 'x', sizeof p.label - 1);
    check_round_trip(&p);
}
END_TEST

START_TEST(integers_reach_their_bounds_and_no_further) {
    ck_assert_int_eq(accepted("name: a\njars: -1000000000000000000\n").jars, -1000000000000000000);
    ck_assert_uint_eq(accepted("name: a\nserial: 18446744073709551615\n").serial, UINT64_MAX);
    refused("name: a\nserial: 18446744073709551616\n",
            "p.yaml:2: serial: 18446744073709551616 is out of range; accepted: 0 .. "
            "18446744073709551615");
    refused("name: a\njars: 1000000000000000200\n",
            "p.yaml:2: jars: 1000000000000000200 is out of range; accepted: -1000000000000000000 "
            ".. 1000000000000000000");
    refused("name: a\nshelf: {heights: [9, 10]}\n",
            "p.yaml:2: shelf.heights: entry 2: 10 is out of range; accepted: -9 .. 9");
    refused("name: a\nshelf: {heights: [1, 2, 3, 4, 5]}\n",
            "p.yaml:2: shelf.heights: too many entries; at most 4 are accepted");
    ck_assert_int_eq(accepted("name: a\nshelf: {heights: [1, 2, 3, 4]}\n").shelves, 4);
}
END_TEST

START_TEST(reals_come_in_lists_too) {
    pantry p = accepted("name: a\nshelf: {prices: [0.1, 100, 3]}\n");
    ck_assert_int_eq(p.price_count, 3);
    check_round_trip(&p);
    refused("name: a\nshelf: {prices: [1, 100.5]}\n",
            "p.yaml:2: shelf.prices: entry 2: 100.5 is out of range; accepted: 0 .. 100");
    refused("name: a\nshelf: {prices: [1, x]}\n",
            "p.yaml:2: shelf.prices: entry 2: \"x\" is not a number; accepted: 0 .. 100");
    refused("name: a\nshelf: {prices: [1, 2, 3, 4]}\n",
            "p.yaml:2: shelf.prices: too many entries; at most 3 are accepted");
    refused("name: a\nshelf: {prices: 3}\n",
            "p.yaml:2: shelf.prices: expected a list [A, B, ...], each entry a number, 0 .. 100; "
            "found \"3\"");
}
END_TEST

START_TEST(an_integer_may_be_none) {
    ck_assert(!accepted("name: a\n").spare.given);
    ck_assert(!accepted("name: a\nshelf: {spare: none}\n").spare.given);
    pantry p = accepted("name: a\nshelf: {spare: 0}\n");
    ck_assert(p.spare.given);
    check_round_trip(&p);
    refused("name: a\nshelf: {spare: 10}\n",
            "p.yaml:2: shelf.spare: 10 is out of range; accepted: none, or -100 .. 9");
    refused("name: a\nshelf: {spare: nine}\n",
            "p.yaml:2: shelf.spare: \"nine\" is neither a whole number nor none; accepted: none, "
            "or -100 .. 9");
}
END_TEST

START_TEST(bounds_may_be_open) {
    refused("name: a\ncontent: {kind: vinegar, acid: 0}\n",
            "p.yaml:2: content.acid: 0 is out of range; accepted: above 0 .. below 1");
    refused("name: a\ncontent: {kind: vinegar, acid: 1.0}\n",
            "p.yaml:2: content.acid: 1.0 is out of range; accepted: above 0 .. below 1");
    ck_assert_double_eq(accepted("name: a\ncontent: {kind: vinegar, acid: .999}\n").acid, 0.999);
}
END_TEST

START_TEST(only_decimal_numbers_are_numbers) {
    static const char *const no_int[] = {"1.0", "1e3", "0x10", "+1", "1_000", "--1", "1 2"};
    static const char *const no_real[] = {"nan", ".nan", "inf", "-.inf", "0x1p3", "1e",
                                          ".",   "+1",   "1,5", "1e+",   "1.5.2", "e5"};
    pantry p;
    char text[64];
    for (size_t i = 0; i < sizeof no_int / sizeof no_int[0]; i++) {
        snprintf(text, sizeof text, "name: a\njars: %s\n", no_int[i]);
        ck_assert_int_eq(parse(text, &p), QD_ECONFIG);
        ck_assert_ptr_nonnull(strstr(qd_error_message(), "is not a whole number"));
    }
    for (size_t i = 0; i < sizeof no_real / sizeof no_real[0]; i++) {
        snprintf(text, sizeof text, "name: a\nlitres: %s\n", no_real[i]);
        ck_assert_int_eq(parse(text, &p), QD_ECONFIG);
        ck_assert_ptr_nonnull(strstr(qd_error_message(), "is not a number"));
    }
    ck_assert_double_eq(accepted("name: a\nlitres: -1.E-2\n").litres, -0.01);
    refused("name: a\nlitres: 1e999\n",
            "p.yaml:2: litres: 1e999 is out of range; accepted: -1.7976931348623157e+308 .. "
            "1.7976931348623157e+308");
    refused("name: a\nlocked: yes\n", "p.yaml:2: locked: \"yes\" is neither true nor false");
}
END_TEST

START_TEST(a_key_that_means_nothing_here_is_refused) {
    refused("name: a\ncontent:\n  acid: 0.1\n",
            "p.yaml:3: content.acid: only for kind vinegar, and here kind is jam; remove acid");
}
END_TEST

START_TEST(texts_that_people_cannot_see_are_refused) {
    static const char *const hidden[] = {"\\n", "\\e", "\\x7f", "\\x85", "\\L", "\\uFEFF", "\\x9b"};
    pantry p;
    char text[64];
    for (size_t i = 0; i < sizeof hidden / sizeof hidden[0]; i++) {
        snprintf(text, sizeof text, "name: a\nlabel: \"x%s\"\n", hidden[i]);
        ck_assert_int_eq(parse(text, &p), QD_ECONFIG);
        ck_assert_ptr_nonnull(
            strstr(qd_error_message(), "holds a character that is not printable"));
    }
}
END_TEST

START_TEST(foreign_text_in_messages_is_short_and_harmless) {
    char shown[QD_QUOTE_BYTES], text[400];
    ck_assert_str_eq(qd_quote("a\nb\x1b\xc2\x9b\xff", shown), "\"a\\x0ab\\x1b\\xc2\\x9b\\xff\"");
    ck_assert_str_eq(qd_quote("M\xc3\xbcller", shown), "\"M\xc3\xbcller\"");
    /* Wherever the cut falls, no character is halved. */
    for (size_t shift = 0; shift < 4; shift++) {
        memset(text, 'x', shift);
        for (size_t i = 0; i < 60; i++)
            memcpy(text + shift + 4 * i, "\xf0\x9f\x98\x80", 5);
        qd_quote(text, shown);
        ck_assert_uint_lt(strlen(shown), QD_QUOTE_BYTES);
        ck_assert_str_eq(shown + strlen(shown) - 4, "...\"");
        for (const char *c = shown; *c; c += qd_printable(c))
            ck_assert_uint_ne(qd_printable(c), 0);
    }
}
END_TEST

START_TEST(a_byte_order_mark_is_passed_over) {
    ck_assert_str_eq(accepted("\xef\xbb\xbfname: a\n").name, "a");
}
END_TEST

START_TEST(line_ends_of_windows_are_line_ends) {
    ck_assert_str_eq(accepted("name: a\r\nlabel: b\r\n").label, "b");
    refused("name: a\r\nlabel: b\r\njars: c\r\n",
            "p.yaml:3: jars: \"c\" is not a whole number; accepted: "
            "-1000000000000000000 .. 1000000000000000000");
}
END_TEST

START_TEST(size_depth_and_number_of_keys_are_bounded) {
    pantry p;
    qd_yaml_node *root = NULL;
    size_t size = QD_YAML_MAX_BYTES + 1;
    char *large = malloc(size);
    memset(large, '#', size);
    memcpy(large, "name: a\n", 8);
    ck_assert_int_eq(parse_bytes(large, size - 1, &p), 0);
    ck_assert_int_eq(parse_bytes(large, size, &p), QD_ECONFIG);
    ck_assert_str_eq(qd_error_message(),
                     "p.yaml:1: the file is too long; at most 1048576 bytes are accepted");
    free(large);

    const char *deepest = "[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]",
               *deeper = "[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]";
    ck_assert_int_eq(qd_yaml_parse("p.yaml", deepest, strlen(deepest), &root), 0);
    qd_yaml_destroy(root);
    ck_assert_int_eq(qd_yaml_parse("p.yaml", deeper, strlen(deeper), &root), QD_ECONFIG);
    ck_assert_str_eq(qd_error_message(), "p.yaml:1: more than 16 levels of nesting");

    qd_text keys = {0};
    for (int i = 0; i <= QD_YAML_MAX_KEYS; i++)
        qd_text_add(&keys, "k%d: 1\n", i);
    ck_assert_int_eq(qd_yaml_parse("p.yaml", keys.bytes, keys.length, &root), QD_ECONFIG);
    ck_assert_str_eq(qd_error_message(), "p.yaml:257: more than 256 keys in one mapping");
    qd_text_fini(&keys);
}
END_TEST

START_TEST(empty_text_is_an_empty_mapping_where_nothing_is_required) {
    pantry p;
    ck_assert_int_eq(qd_schema_parse(pantry_fields + 1, "p.yaml", "", 0, &p, sizeof p, NULL), 0);
    ck_assert_int_eq(p.jars, 12);
    ck_assert_int_eq(qd_schema_parse(pantry_fields + 1, "p.yaml", "---\n", 4, &p, sizeof p, NULL),
                     0);
    refused("--- \n", "p.yaml:1: the file is empty; expected the keys name");
}
END_TEST

START_TEST(comparing_names_the_first_result_that_differs) {
    pantry a = accepted("name: a\n"), b = a;
    ck_assert_int_eq(qd_schema_compare(pantry_fields, &a, &b), 0);
    b = accepted("name: other\nlabel: other\nserial: 3\nshelf: {width: 3}\nuntil: 3\n");
    ck_assert_int_eq(qd_schema_compare(pantry_fields, &a, &b), 0);
    b = accepted("name: a\nshelf: {heights: [1, 2]}\n");
    ck_assert_int_eq(qd_schema_compare(pantry_fields, &a, &b), QD_ECONFIG);
    ck_assert_str_eq(qd_error_message(), "shelf.heights: [] there, [1, 2] here");
    b.litres = 0.25;
    ck_assert_int_eq(qd_schema_compare(pantry_fields, &b, &a), QD_ECONFIG);
    ck_assert_str_eq(qd_error_message(), "litres: 0.25 there, 0 here");
    b = accepted("name: a\ncontent: {kind: vinegar}\n");
    ck_assert_int_eq(qd_schema_compare(pantry_fields, &a, &b), QD_ECONFIG);
    ck_assert_str_eq(qd_error_message(), "content.kind: jam there, vinegar here");
}
END_TEST

int main(void) {
    TCase *tc = tcase_create("schema");
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, every_kind_of_value_reaches_its_field);
    tcase_add_test(tc, what_is_left_out_gets_its_preset_or_zero);
    tcase_add_test(tc, nothing_is_touched_by_a_file_that_is_refused);
    tcase_add_test(tc, lines_are_those_of_the_keys);
    tcase_add_test(tc, a_struct_is_written_as_a_person_would);
    tcase_add_test(tc, any_real_reads_back_as_the_same_bits);
    tcase_add_test(tc, any_text_reads_back_as_the_same_bytes);
    tcase_add_test(tc, integers_reach_their_bounds_and_no_further);
    tcase_add_test(tc, reals_come_in_lists_too);
    tcase_add_test(tc, an_integer_may_be_none);
    tcase_add_test(tc, bounds_may_be_open);
    tcase_add_test(tc, only_decimal_numbers_are_numbers);
    tcase_add_test(tc, a_key_that_means_nothing_here_is_refused);
    tcase_add_test(tc, texts_that_people_cannot_see_are_refused);
    tcase_add_test(tc, foreign_text_in_messages_is_short_and_harmless);
    tcase_add_test(tc, a_byte_order_mark_is_passed_over);
    tcase_add_test(tc, line_ends_of_windows_are_line_ends);
    tcase_add_test(tc, size_depth_and_number_of_keys_are_bounded);
    tcase_add_test(tc, empty_text_is_an_empty_mapping_where_nothing_is_required);
    tcase_add_test(tc, comparing_names_the_first_result_that_differs);
    Suite *suite = suite_create("runtime/schema");
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
