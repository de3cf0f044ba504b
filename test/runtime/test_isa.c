/* Which instruction set is used, and how it is held down. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "runtime/error.h"
#include "runtime/isa.h"

START_TEST(the_least_can_always_be_asked_for) {
    qd_isa isa = QD_ISA_AMX_BF16;
    setenv("QD_ISA", "avx2", 1);
    ck_assert_int_eq(qd_isa_in_use(&isa), 0);
    ck_assert_int_eq(isa, QD_ISA_AVX2);
    ck_assert_str_eq(qd_isa_in_use_name(), "avx2");
}
END_TEST

START_TEST(without_a_wish_it_is_the_best) {
    qd_isa unset, empty, again;
    unsetenv("QD_ISA");
    ck_assert_int_eq(qd_isa_in_use(&unset), 0);
    setenv("QD_ISA", "", 1);
    ck_assert_int_eq(qd_isa_in_use(&empty), 0);
    ck_assert_int_eq(unset, empty);
    setenv("QD_ISA", qd_isa_names[unset], 1);
    ck_assert_int_eq(qd_isa_in_use(&again), 0);
    ck_assert_int_eq(again, unset);
}
END_TEST

START_TEST(more_than_the_processor_has_is_refused) {
    qd_isa best, isa;
    unsetenv("QD_ISA");
    ck_assert_int_eq(qd_isa_in_use(&best), 0);
    for (int more = (int)best + 1; more < QD_ISA_KINDS; more++) {
        char expected[128];
        setenv("QD_ISA", qd_isa_names[more], 1);
        snprintf(expected, sizeof expected, "QD_ISA=%s: this processor has %s at most",
                 qd_isa_names[more], qd_isa_names[best]);
        ck_assert_int_eq(qd_isa_in_use(&isa), QD_ECONFIG);
        ck_assert_str_eq(qd_error_message(), expected);
    }
}
END_TEST

START_TEST(an_unknown_name_is_refused_with_the_known_ones) {
    qd_isa isa;
    setenv("QD_ISA", "sse", 1);
    ck_assert_int_eq(qd_isa_in_use(&isa), QD_ECONFIG);
    ck_assert_str_eq(qd_error_message(), "QD_ISA=\"sse\" is not known; accepted: avx2, avx512, "
                                         "avx512-bf16, amx-bf16");
    ck_assert_str_eq(qd_isa_in_use_name(), "none");
}
END_TEST

int main(void) {
    TCase *tc = tcase_create("isa");
    tcase_add_test(tc, the_least_can_always_be_asked_for);
    tcase_add_test(tc, without_a_wish_it_is_the_best);
    tcase_add_test(tc, more_than_the_processor_has_is_refused);
    tcase_add_test(tc, an_unknown_name_is_refused_with_the_known_ones);
    Suite *suite = suite_create("runtime/isa");
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
