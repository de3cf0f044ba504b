/* Attention: causal or not, multi-head and grouped-query, lengths on either side of a block. */
#include <check.h>
#include <math.h>
#include <stdlib.h>

#include "test/worker/op_check.h"

/* By the definition, with no thought for memory. */
static void reference(const op_case *c, double *const *inputs, double *const *params, double *y) {
    (void)params;
    int64_t heads = c->attributes.attention.heads, kv_heads = c->attributes.attention.kv_heads;
    int64_t samples = c->inputs[0].dim[0], length = c->inputs[0].dim[1];
    int64_t stride = c->inputs[0].dim[2], width = stride / (heads + 2 * kv_heads);
    double weights[256];
    for (int64_t n = 0; n < samples; n++)
        for (int64_t h = 0; h < heads; h++)
            for (int64_t t = 0; t < length; t++) {
                const double *x = inputs[0] + n * length * stride;
                int64_t queries = heads / kv_heads;
                const double *group = x + h / queries * (queries + 2) * width;
                const double *q = group + t * stride + h % queries * width;
                const double *k = group + queries * width, *v = k + width;
                int64_t seen = c->indices[1] ? c->indices[1][n] : length;
                if (c->attributes.attention.causal && t + 1 < seen)
                    seen = t + 1;
                double sum = 0;
                for (int64_t u = 0; u < seen; u++) {
                    double dot = 0;
                    for (int64_t i = 0; i < width; i++)
                        dot += q[i] * k[u * stride + i];
                    weights[u] = exp(dot / sqrt((double)width));
                    sum += weights[u];
                }
                for (int64_t i = 0; i < width; i++) {
                    double mean = 0;
                    for (int64_t u = 0; u < seen; u++)
                        mean += weights[u] / sum * v[u * stride + i];
                    y[((n * length + t) * heads + h) * width + i] = mean;
                }
            }
}

static void check_attention(int64_t samples, int64_t length, int64_t heads, int64_t kv_heads,
                            int64_t width, bool causal) {
    op_check(&(op_case){.op = &qd_op_attention,
                        .attributes.attention = {heads, kv_heads, causal},
                        .input_count = 1,
                        .inputs = {SHAPE(samples, length, (heads + 2 * kv_heads) * width)},
                        .tolerance = 2e-6,
                        .reference = reference});
}

START_TEST(attention_agrees_with_its_definition_in_float64) {
    for (int causal = 0; causal < 2; causal++) {
        check_attention(1, 1, 1, 1, 1, causal);
        check_attention(2, 7, 1, 1, 5, causal);
        check_attention(2, 17, 3, 3, 4, causal);
        check_attention(1, 33, 2, 2, 3, causal);
    }
}
END_TEST

START_TEST(groups_of_query_heads_share_keys_and_values) {
    for (int causal = 0; causal < 2; causal++) {
        check_attention(2, 9, 4, 2, 3, causal);
        check_attention(2, 9, 3, 1, 3, causal);
    }
}
END_TEST

START_TEST(lengths_around_a_block_of_queries_are_right) {
    for (int causal = 0; causal < 2; causal++) {
        check_attention(1, QD_ATTENTION_BLOCK, 1, 1, 1, causal);
        check_attention(1, QD_ATTENTION_BLOCK + 1, 1, 1, 2, causal);
        check_attention(1, 2 * QD_ATTENTION_BLOCK + 3, 1, 1, 1, causal);
    }
}
END_TEST

/* What samples of these lengths see; the padding behind them is random, and must not matter. */
static void check_lengths(const int32_t *lengths, int64_t samples, int64_t length, int64_t heads,
                          int64_t kv_heads, int64_t width, bool causal) {
    op_check(&(op_case){
        .op = &qd_op_attention_lengths,
        .attributes.attention = {heads, kv_heads, causal},
        .input_count = 2,
        .inputs = {SHAPE(samples, length, (heads + 2 * kv_heads) * width), SHAPE(samples)},
        .indices = {NULL, lengths},
        .tolerance = 2e-6,
        .reference = reference});
}

START_TEST(samples_have_keys_of_their_own_lengths) {
    for (int causal = 0; causal < 2; causal++) {
        check_lengths((int32_t[]){1}, 1, 1, 1, 1, 3, causal);
        check_lengths((int32_t[]){1, 7, 4}, 3, 7, 1, 1, 5, causal);
        check_lengths((int32_t[]){5, 2}, 2, 9, 4, 2, 3, causal);
        check_lengths((int32_t[]){QD_ATTENTION_BLOCK + 1}, 1, QD_ATTENTION_BLOCK + 7, 1, 1, 2,
                      causal);
        check_lengths((int32_t[]){3}, 1, QD_ATTENTION_BLOCK + 7, 1, 1, 2, causal);
    }
}
END_TEST

int main(void) {
    TCase *tc = tcase_create("attention");
    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, attention_agrees_with_its_definition_in_float64);
    tcase_add_test(tc, groups_of_query_heads_share_keys_and_values);
    tcase_add_test(tc, lengths_around_a_block_of_queries_are_right);
    tcase_add_test(tc, samples_have_keys_of_their_own_lengths);
    Suite *suite = suite_create("worker/op_attention");
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
