#include <check.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "models/family.h"
#include "models/memory_plan.h"
#include "runtime/error.h"
#include "test/models/mlp_job.h"
#include "test/models/walk_plan.h"

static planned plan_of(qd_job job, int slot_count) {
    planned p = {0};
    ck_assert_msg(qd_family_build(&job, &p.graph) == 0, "%s", qd_error_message());
    ck_assert_int_eq(qd_timeline_create(p.graph, &p.timeline), 0);
    ck_assert_int_eq(qd_memory_plan_create(&job, p.graph, p.timeline, slot_count, &p.plan), 0);
    return p;
}

START_TEST(nothing_is_overwritten_while_it_is_needed) {
    qd_job jobs[] = {
        MLP_JOB(4, 1, QD_OPTIMIZER_SGD, 5, 2),
        MLP_JOB(4, 1, QD_OPTIMIZER_SGD, 784, 128, 10),
        MLP_JOB(32, 4, QD_OPTIMIZER_ADAM, 3, 1, 40, 2, 200, 17, 10),
        MLP_JOB(7, 1, QD_OPTIMIZER_ADAM, 64, 64, 64, 64, 64, 64, 64, 64),
    };
    for (size_t i = 0; i < sizeof jobs / sizeof *jobs; i++) {
        planned p = plan_of(jobs[i], 1);
        walk_step(&p);
        drop(p);
    }
}
END_TEST

/* A job that we ship, with a small batch, and a resnet of few channels. */
static qd_job shipped(const char *name, int64_t recompute) {
    char path[512];
    qd_job job;
    snprintf(path, sizeof path, QD_SOURCE_DIR "/conf/jobs/%s.yaml", name);
    ck_assert_msg(qd_job_load(path, &job) == 0, "%s", qd_error_message());
    job.train.batch = 2 * job.slots_data;
    job.train.recompute = recompute;
    if (job.model.family == QD_FAMILY_RESNET)
        job.model.width = 8;
    return job;
}

static const char *const with_blocks[] = {"shakespeare-gpt", "languages-bert", "languages-lstm",
                                          "fashion-resnet18", "fashion-resnet50"};
enum { WITH_BLOCKS = sizeof with_blocks / sizeof *with_blocks };

/* However many blocks are recomputed, and with each more the arena is no larger. */
START_TEST(nothing_is_overwritten_where_blocks_are_recomputed) {
    size_t before = SIZE_MAX, whole = 0;
    qd_job job = shipped(with_blocks[_i], 0);
    int64_t blocks = qd_family_blocks(&job);
    for (int64_t recompute = 0; recompute <= blocks; recompute++) {
        planned p = plan_of(shipped(with_blocks[_i], recompute), 1);
        walk_step(&p);
        ck_assert_uint_le(p.plan->bytes, before);
        before = p.plan->bytes;
        whole = recompute ? whole : before;
        drop(p);
    }
    ck_assert_uint_lt(before, whole);
}
END_TEST

START_TEST(every_buffer_starts_on_64_bytes_and_ends_inside_the_arena) {
    planned p = plan_of(MLP_JOB(21, 7, QD_OPTIMIZER_ADAM, 13, 5, 9, 3), 7);
    for (int v = 0; v < p.graph->value_count; v++) {
        ck_assert_uint_eq(p.plan->value[v] % 64, 0);
        ck_assert_uint_le(p.plan->value[v] + value_bytes(&p, v), p.plan->bytes);
        ck_assert(p.graph->values[v].needs_grad == (p.plan->value_grad[v] != SIZE_MAX));
        if (p.plan->value_grad[v] == SIZE_MAX)
            continue;
        ck_assert_uint_eq(p.plan->value_grad[v] % 64, 0);
        ck_assert_uint_le(p.plan->value_grad[v] + value_bytes(&p, v), p.plan->bytes);
    }
    ck_assert_uint_eq(p.plan->params % 64, 0);
    ck_assert_uint_eq(p.plan->optimizer_state % 64, 0);
    ck_assert_uint_eq(p.plan->gradients % 64, 0);
    ck_assert_uint_eq(p.plan->bytes % 64, 0);
    drop(p);
}
END_TEST

START_TEST(parameters_state_and_gradients_share_space_with_nothing) {
    planned p = plan_of(MLP_JOB(16, 8, QD_OPTIMIZER_ADAM, 49, 32, 10), 8);
    size_t vector = (size_t)p.graph->param_elements * 4;
    size_t gradient = (size_t)p.plan->gradient_elements * 4;
    ck_assert_uint_ge(p.plan->optimizer_state, p.plan->params + vector);
    ck_assert_uint_ge(p.plan->gradients, p.plan->optimizer_state + 2 * vector);
    size_t end = p.plan->gradients + (size_t)p.plan->gradient_slots * gradient;
    for (int v = 0; v < p.graph->value_count; v++) {
        ck_assert_uint_ge(p.plan->value[v], end);
        ck_assert_uint_ge(p.plan->value_grad[v], end);
    }
    drop(p);
}
END_TEST

/*
 * 4-3-2, two samples. Parameters 12, 3, 6 and 2 elements on multiples of 16: 64 elements, 256
 * bytes; one momentum vector: 256; one gradient with 16 totals: 320. Every value and gradient
 * takes one line of 64 bytes, as does what the loss saves, and at most seven are needed at once:
 * input, target, relu0, layer1 and the saved numbers with loss and its gradient (while the loss is
 * read), or with the gradients of loss and layer1.
 */
START_TEST(a_small_plan_has_the_size_found_by_hand) {
    planned p = plan_of(MLP_JOB(2, 1, QD_OPTIMIZER_SGD, 4, 3, 2), 1);
    ck_assert_int_eq(p.plan->optimizer_vectors, 1);
    ck_assert_int_eq(p.plan->gradient_slots, 1);
    ck_assert_int_eq(p.plan->gradient_elements, 80);
    ck_assert_uint_eq(p.plan->bytes, 256 + 256 + 320 + 7 * 64);
    drop(p);
}
END_TEST

/* Ten layers of the same width: eleven activations survive to the backward pass, but the outputs
 * of the linear layers and all gradients pass through a few places. */
START_TEST(buffers_that_are_not_needed_together_share_space) {
    planned p = plan_of(
        MLP_JOB(16, 1, QD_OPTIMIZER_SGD, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64), 1);
    size_t pool = p.plan->bytes - p.plan->gradients - (size_t)p.plan->gradient_elements * 4;
    size_t activation = 16 * 64 * 4;
    ck_assert_uint_le(pool, 14 * activation);
    drop(p);
}
END_TEST

/* m slots added from slot 0 on need a vector for each one bit of m - 1, and one for the newest. */
START_TEST(a_member_of_all_slots_holds_logarithmically_many_partial_sums) {
    static const int slots[] = {1, 2, 3, 4, 5, 7, 8, 9, 64}, sums[] = {1, 2, 2, 3, 3, 3, 4, 4, 7};
    for (size_t i = 0; i < sizeof slots / sizeof *slots; i++) {
        planned p = plan_of(MLP_JOB(slots[i], slots[i], QD_OPTIMIZER_SGD, 4, 2), slots[i]);
        ck_assert_int_eq(p.plan->gradient_slots, sums[i]);
        drop(p);
    }
}
END_TEST

START_TEST(optimizers_keep_their_vectors) {
    planned sgd = plan_of(MLP_JOB(4, 1, QD_OPTIMIZER_SGD, 49, 10), 1);
    planned adam = plan_of(MLP_JOB(4, 1, QD_OPTIMIZER_ADAM, 49, 10), 1);
    ck_assert_int_eq(sgd.plan->optimizer_vectors, 1);
    ck_assert_int_eq(adam.plan->optimizer_vectors, 2);
    ck_assert_uint_eq(adam.plan->bytes - sgd.plan->bytes, (size_t)sgd.graph->param_elements * 4);
    drop(sgd);
    drop(adam);
}
END_TEST

int main(void) {
    TCase *tc = tcase_create("memory_plan");
    tcase_add_test(tc, nothing_is_overwritten_while_it_is_needed);
    tcase_add_loop_test(tc, nothing_is_overwritten_where_blocks_are_recomputed, 0, WITH_BLOCKS);
    tcase_add_test(tc, every_buffer_starts_on_64_bytes_and_ends_inside_the_arena);
    tcase_add_test(tc, parameters_state_and_gradients_share_space_with_nothing);
    tcase_add_test(tc, a_small_plan_has_the_size_found_by_hand);
    tcase_add_test(tc, buffers_that_are_not_needed_together_share_space);
    tcase_add_test(tc, a_member_of_all_slots_holds_logarithmically_many_partial_sums);
    tcase_add_test(tc, optimizers_keep_their_vectors);
    Suite *suite = suite_create("models/memory_plan");
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
