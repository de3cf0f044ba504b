/* A list of mappings: read in every form, written in one, compared entry by entry. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/error.h"
#include "runtime/schema.h"

enum { MOST = 3 };

typedef struct wagon {
    int kind;
    char owner[16];
    int64_t seats;
    int64_t stops[2];
    int stop_count;
    double load;
} wagon;

typedef struct train {
    int gauge;
    int64_t wagon_weight; /* gauge narrow: what `wagons` means there */
    wagon wagons[MOST];
    int count;
} train;

static const char *const gauges[] = {"wide", "narrow", "toy", NULL};
static const char *const wagon_kinds[] = {"coach", "tank", "brake", NULL};

#define OF_WAGON(member) .offset = offsetof(wagon, member)
#define OF_TRAIN(member) .offset = offsetof(train, member)

static const qd_field wagon_fields[] = {
    {"kind", QD_FIELD_CHOICE, QD_FIELD_REQUIRED | QD_FIELD_RESULT, OF_WAGON(kind),
     .choices = wagon_kinds},
    {"owner", QD_FIELD_NAME, QD_FIELD_OMIT_ZERO, OF_WAGON(owner), .size = 16},
    {"seats", QD_FIELD_INT, QD_FIELD_REQUIRED | QD_FIELD_RESULT, OF_WAGON(seats), .min = 1,
     .max = 99, .when_key = "kind", .when = "coach"},
    {"stops", QD_FIELD_INT_LIST, QD_FIELD_RESULT, OF_WAGON(stops), .size = 2,
     .count_offset = offsetof(wagon, stop_count), .max = 9, .when_key = "kind", .when = "coach"},
    {"load", QD_FIELD_REAL, QD_FIELD_RESULT, OF_WAGON(load), .max = 80, .preset = "20",
     .when_key = "kind", .when = "tank"},
    {0},
};

static const qd_field train_fields[] = {
    {"gauge", QD_FIELD_CHOICE, 0, OF_TRAIN(gauge), .choices = gauges, .preset = "wide"},
    {"wagons", QD_FIELD_INT, QD_FIELD_RESULT, OF_TRAIN(wagon_weight), .max = 9, .preset = "4",
     .when_key = "gauge", .when = "narrow"},
    {"wagons", QD_FIELD_MAPPING_LIST, QD_FIELD_REQUIRED | QD_FIELD_RESULT, OF_TRAIN(wagons),
     .size = MOST, .count_offset = offsetof(train, count), .entry_size = sizeof(wagon),
     .fields = wagon_fields, .when_key = "gauge", .when = "wide"},
    {0},
};

static int parse(const char *text, train *t, qd_schema_lines **lines) {
    return qd_schema_parse(train_fields, "t.yaml", text, strlen(text), t, sizeof *t, lines);
}

static train accepted(const char *text) {
    train t;
    ck_assert_msg(parse(text, &t, NULL) == 0, "%s\n%s", qd_error_message(), text);
    return t;
}

static void refused(const char *text, const char *message) {
    train t;
    ck_assert_int_eq(parse(text, &t, NULL), QD_ECONFIG);
    ck_assert_str_eq(qd_error_message(), message);
}

START_TEST(block_flow_and_words_say_the_same) {
    train flow = accepted("wagons: [{kind: coach, owner: a, seats: 9, stops: [1, 2]}, {kind: tank},"
                          " brake]\n");
    train block =
        accepted("wagons:\n- seats: 9\n  kind: coach\n  stops:\n  - 1\n  - 2\n  owner: a\n"
                 "- tank\n- kind: brake\n");
    ck_assert_mem_eq(&flow, &block, sizeof flow);
    ck_assert_int_eq(flow.count, 3);
    ck_assert_int_eq(flow.wagons[0].kind, 0);
    ck_assert_str_eq(flow.wagons[0].owner, "a");
    ck_assert_int_eq(flow.wagons[0].seats, 9);
    ck_assert_int_eq(flow.wagons[0].stop_count, 2);
    ck_assert_int_eq(flow.wagons[0].stops[1], 2);
    ck_assert_double_eq(flow.wagons[1].load, 20); /* preset, which no coach has */
    ck_assert_double_eq(flow.wagons[0].load, 0);
    ck_assert_int_eq(flow.wagons[2].kind, 2);
    ck_assert_int_eq(accepted("wagons: []\n").count, 0);
}
END_TEST

static char *emitted(const train *t) {
    qd_text out = {0};
    qd_schema_emit(train_fields, t, &out);
    ck_assert(!out.failed);
    return out.bytes;
}

START_TEST(an_entry_takes_a_line_and_reads_back) {
    train t = accepted("wagons: [{kind: coach, seats: 9, stops: [1, 2]}, {kind: coach, seats: 1},"
                       " {kind: brake, owner: yes}]\n");
    char *text = emitted(&t);
    ck_assert_str_eq(text, "gauge: wide\n"
                           "wagons:\n"
                           "  - {kind: coach, seats: 9, stops: [1, 2]}\n"
                           "  - {kind: coach, seats: 1, stops: []}\n"
                           "  - {kind: brake, owner: \"yes\"}\n");
    train again = accepted(text);
    ck_assert_mem_eq(&again, &t, sizeof t);
    free(text);
    t = accepted("wagons: [{kind: brake}, tank]\n");
    text = emitted(&t);
    ck_assert_str_eq(text, "gauge: wide\nwagons:\n  - brake\n  - {kind: tank, load: 20}\n");
    free(text);
    t = accepted("wagons: []\n");
    text = emitted(&t);
    ck_assert_str_eq(text, "gauge: wide\nwagons: []\n");
    free(text);
}
END_TEST

START_TEST(a_key_may_mean_something_else_by_a_choice) {
    train t = accepted("gauge: narrow\nwagons: 7\n");
    ck_assert_int_eq(t.wagon_weight, 7);
    ck_assert_int_eq(t.count, 0);
    char *text = emitted(&t);
    ck_assert_str_eq(text, "gauge: narrow\nwagons: 7\n");
    free(text);
    ck_assert_int_eq(accepted("gauge: narrow\n").wagon_weight, 4);
    refused("gauge: narrow\nwagons: [brake]\n",
            "t.yaml:2: wagons: expected a whole number, 0 .. 9; found a list");
    refused(
        "gauge: toy\nwagons: 7\n",
        "t.yaml:2: wagons: only for gauge narrow or wide, and here gauge is toy; remove wagons");
    refused("gauges: toy\n", "t.yaml:1: unknown key \"gauges\"; did you mean \"gauge\"? (accepted: "
                             "gauge, wagons)");
}
END_TEST

START_TEST(what_is_no_list_of_mappings_is_refused) {
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"gauge: wide\n", "1: missing key \"wagons\"; expected a list, each entry a mapping {kind: "
                          "coach, ...}"},
        {"wagons: 3\n",
         "1: wagons: expected a list, each entry a mapping {kind: coach, ...}; found \"3\""},
        {"wagons:\n",
         "1: wagons: expected a list, each entry a mapping {kind: coach, ...}; found nothing"},
        {"wagons: {kind: tank}\n",
         "1: wagons: expected a list, each entry a mapping {kind: coach, ...}; found a mapping"},
        {"wagons:\n- tank\n- [tank]\n",
         "3: wagons[1]: expected a mapping {kind: coach, ...}; found a list"},
        {"wagons:\n- tank\n-\n",
         "3: wagons[1]: expected a mapping {kind: coach, ...}; found nothing"},
        {"wagons: [tank, tank, tank,\n  tank]\n",
         "2: wagons: too many entries; at most 3 are accepted"},
        {"wagons:\n- tank\n- tnk\n", "3: wagons[1].kind: \"tnk\" is not known; did you mean "
                                     "\"tank\"? (accepted: coach, tank, brake)"},
        {"wagons:\n- {}\n", "2: missing key \"kind\" in wagons[0]; expected one of coach, tank, "
                            "brake"},
        {"wagons:\n- tank\n- coach\n",
         "3: missing key \"seats\" in wagons[1]; expected a whole number, 1 .. 99"},
        {"wagons:\n- kind: tank\n  laod: 3\n", "3: unknown key \"laod\" in wagons[0]; did you mean "
                                               "\"load\"? (accepted: kind, owner, seats, stops, "
                                               "load)"},
        {"wagons:\n- kind: tank\n  seats: 3\n", "3: wagons[0].seats: only for kind coach, and here "
                                                "kind is tank; remove seats"},
        {"wagons:\n- tank\n- kind: tank\n  load: 90\n",
         "4: wagons[1].load: 90 is out of range; accepted: 0 .. 80"},
        {"wagons: [{kind: coach, seats: 1, stops: [1, x]}]\n",
         "1: wagons[0].stops: entry 2: \"x\" is not a whole number; accepted: 0 .. 9"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char message[256];
        snprintf(message, sizeof message, "t.yaml:%s", cases[i].message);
        refused(cases[i].text, message);
    }
}
END_TEST

START_TEST(entries_and_their_keys_have_lines) {
    train t;
    qd_schema_lines *lines = NULL;
    ck_assert_int_eq(
        parse("gauge: wide\nwagons:\n- tank\n\n- kind: coach\n  seats: 3\n", &t, &lines), 0);
    ck_assert_int_eq(qd_schema_line(lines, "wagons"), 2);
    ck_assert_int_eq(qd_schema_line(lines, "wagons[0]"), 3);
    ck_assert_int_eq(qd_schema_line(lines, "wagons[0].kind"), 3);
    ck_assert_int_eq(qd_schema_line(lines, "wagons[1]"), 5);
    ck_assert_int_eq(qd_schema_line(lines, "wagons[1].seats"), 6);
    ck_assert_int_eq(qd_schema_line(lines, "wagons[1].stops"), 5);
    ck_assert_int_eq(qd_schema_line(lines, "wagons[2].seats"), 2);
    ck_assert_int_eq(qd_schema_line(lines, "gauge[0]"), 1);
    ck_assert(qd_schema_given(lines, "wagons[1].seats"));
    ck_assert(!qd_schema_given(lines, "wagons[1].stops"));
    ck_assert(!qd_schema_given(lines, "wagons[2]"));
    ck_assert(!qd_schema_given(lines, "wagons[0].seats"));
    qd_schema_lines_destroy(lines);
}
END_TEST

static void differ(const train *a, const train *b, const char *message) {
    ck_assert_int_eq(qd_schema_compare(train_fields, a, b), QD_ECONFIG);
    ck_assert_str_eq(qd_error_message(), message);
}

START_TEST(comparing_names_the_entry) {
    train a = accepted("wagons: [{kind: coach, seats: 9}, {kind: tank, load: 3}]\n");
    train b = accepted("wagons: [{kind: coach, seats: 9, owner: x}, {kind: tank, load: 3}]\n");
    ck_assert_int_eq(qd_schema_compare(train_fields, &a, &b), 0);
    b = accepted("wagons: [{kind: coach, seats: 9}, {kind: tank, load: 3.5}]\n");
    differ(&a, &b, "wagons[1].load: 3 there, 3.5 here");
    b = accepted("wagons: [{kind: coach, seats: 9}, brake]\n");
    differ(&a, &b, "wagons[1].kind: tank there, brake here");
    b = accepted("wagons: [{kind: coach, seats: 9, stops: [1]}]\n");
    differ(&a, &b, "wagons[0].stops: [] there, [1] here");
    b = accepted("wagons: [{kind: coach, seats: 9}]\n");
    differ(&a, &b, "wagons: 2 entries there, 1 here");
}
END_TEST

int main(void) {
    TCase *tc = tcase_create("list");
    tcase_add_test(tc, block_flow_and_words_say_the_same);
    tcase_add_test(tc, an_entry_takes_a_line_and_reads_back);
    tcase_add_test(tc, a_key_may_mean_something_else_by_a_choice);
    tcase_add_test(tc, what_is_no_list_of_mappings_is_refused);
    tcase_add_test(tc, entries_and_their_keys_have_lines);
    tcase_add_test(tc, comparing_names_the_entry);
    Suite *suite = suite_create("runtime/schema_list");
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
