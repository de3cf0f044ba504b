/* Counter-based random numbers: known answers, distributions, permutations. */
#include <check.h>
#include <math.h>
#include <stdlib.h>

#include "runtime/random.h"

/* Philox4x32-10 with all-zero counter and key, and with the counter and key of digits of pi:
 * the known-answer vectors published with Random123 (kat_vectors). */
START_TEST(block_is_philox_by_its_published_vectors) {
    uint32_t out[4];
    qd_random_block((qd_random_key){0, 0}, 0, 0, out);
    ck_assert_uint_eq(out[0], 0x6627e8d5);
    ck_assert_uint_eq(out[1], 0xe169c58d);
    ck_assert_uint_eq(out[2], 0xbc57ac4c);
    ck_assert_uint_eq(out[3], 0x9b00dbd8);
    qd_random_key pi = {UINT64_C(0x299f31d0a4093822), 0x03707344};
    qd_random_block(pi, 0x13198a2e, UINT64_C(0x85a308d3243f6a88), out);
    ck_assert_uint_eq(out[0], 0xd16cfe09);
    ck_assert_uint_eq(out[1], 0x94fdcceb);
    ck_assert_uint_eq(out[2], 0x5001e420);
    ck_assert_uint_eq(out[3], 0x24126ea1);
}
END_TEST

START_TEST(uniform_has_mean_one_half_and_variance_one_twelfth) {
    enum { N = 100000 };
    double sum = 0, squares = 0;
    qd_random_key key = {7, qd_random_site("layer0.weight")};
    for (uint64_t i = 0; i < N; i++) {
        double u = (double)qd_random_uniform(key, 3, i);
        ck_assert(u >= 0 && u < 1);
        sum += u;
        squares += u * u;
    }
    double mean = sum / N, variance = squares / N - mean * mean;
    ck_assert_double_lt(fabs(mean - 0.5), 5 * sqrt(1.0 / 12 / N));
    ck_assert_double_lt(fabs(variance - 1.0 / 12), 0.002);
}
END_TEST

START_TEST(normal_has_mean_zero_variance_one_and_kurtosis_three) {
    enum { N = 100000 };
    double moments[4] = {0};
    qd_random_key key = {7, qd_random_site("layer1.weight")};
    for (uint64_t i = 0; i < N; i++) {
        double x = (double)qd_random_normal(key, 0, i);
        ck_assert(isfinite(x));
        moments[0] += x / N;
        moments[1] += x * x / N;
        moments[3] += x * x * x * x / N;
    }
    ck_assert_double_lt(fabs(moments[0]), 5 / sqrt(N));
    ck_assert_double_lt(fabs(moments[1] - 1), 0.03);
    ck_assert_double_lt(fabs(moments[3] - 3), 0.2);
}
END_TEST

START_TEST(other_names_are_other_sites) {
    ck_assert_uint_ne(qd_random_site("layer0.weight"), qd_random_site("layer1.weight"));
    ck_assert_uint_ge(qd_random_site(""), 0x80000000);
}
END_TEST

START_TEST(permutation_visits_every_index_once) {
    const uint64_t counts[] = {1, 2, 3, 4, 5, 16, 17, 1000, 55000};
    qd_random_key key = {42, QD_SITE_SHUFFLE};
    for (size_t c = 0; c < sizeof counts / sizeof counts[0]; c++) {
        char *seen = calloc(counts[c], 1);
        for (uint64_t i = 0; i < counts[c]; i++) {
            uint64_t image = qd_random_permute(key, 1, counts[c], i);
            ck_assert_uint_lt(image, counts[c]);
            ck_assert_int_eq(seen[image], 0);
            seen[image] = 1;
        }
        free(seen);
    }
}
END_TEST

/* In a random permutation of n the expected number of fixed points is 1, and neighbours land n/3
 * apart on average. */
START_TEST(permutations_of_other_epochs_look_unrelated) {
    enum { N = 10000 };
    qd_random_key key = {42, QD_SITE_SHUFFLE};
    int fixed = 0, agreeing = 0;
    double distance = 0;
    for (uint64_t i = 0; i < N; i++) {
        uint64_t a = qd_random_permute(key, 0, N, i), b = qd_random_permute(key, 1, N, i);
        uint64_t next = qd_random_permute(key, 0, N, (i + 1) % N);
        fixed += a == i;
        agreeing += a == b;
        distance += fabs((double)a - (double)next) / N;
    }
    ck_assert_int_le(fixed, 8);
    ck_assert_int_le(agreeing, 8);
    ck_assert_double_lt(fabs(distance - N / 3.0), 0.02 * N);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("random");
    TCase *tcase = tcase_create("random");
    tcase_add_test(tcase, block_is_philox_by_its_published_vectors);
    tcase_add_test(tcase, uniform_has_mean_one_half_and_variance_one_twelfth);
    tcase_add_test(tcase, normal_has_mean_zero_variance_one_and_kurtosis_three);
    tcase_add_test(tcase, other_names_are_other_sites);
    tcase_add_test(tcase, permutation_visits_every_index_once);
    tcase_add_test(tcase, permutations_of_other_epochs_look_unrelated);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
