/* Places in a grid, and what each member of a tensor group has of a model. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "models/family.h"
#include "models/grid.h"
#include "models/op.h"
#include "runtime/error.h"

START_TEST(members_and_places_are_one_to_one) {
    for (int dp = 1; dp <= 4; dp++)
        for (int pp = 1; pp <= 3; pp++)
            for (int tp = 1; tp <= 4; tp++) {
                qd_grid grid = {dp, pp, tp};
                ck_assert_int_eq(qd_grid_size(&grid), dp * pp * tp);
                for (int m = 0; m < qd_grid_size(&grid); m++) {
                    qd_grid_place p = qd_grid_place_of(&grid, m);
                    ck_assert(p.d >= 0 && p.d < dp && p.p >= 0 && p.p < pp && p.t >= 0 && p.t < tp);
                    ck_assert_int_eq(qd_grid_member_at(&grid, p), m);
                }
            }
}
END_TEST

START_TEST(tensor_neighbours_are_next_to_each_other_and_then_data_neighbours) {
    qd_grid grid = {.dp = 3, .pp = 2, .tp = 2};
    int group[3];
    qd_grid_group(&grid, 8, QD_AXIS_TENSOR, group);
    ck_assert(group[0] == 8 && group[1] == 9);
    qd_grid_group(&grid, 9, QD_AXIS_DATA, group);
    ck_assert(group[0] == 7 && group[1] == 9 && group[2] == 11);
    qd_grid_group(&grid, 9, QD_AXIS_PIPELINE, group);
    ck_assert(group[0] == 3 && group[1] == 9);
}
END_TEST

START_TEST(groups_along_an_axis_share_out_the_gang) {
    qd_grid grid = {.dp = 3, .pp = 2, .tp = 4};
    for (int axis = QD_AXIS_DATA; axis <= QD_AXIS_TENSOR; axis++) {
        int seen[24] = {0}, group[4], degree = qd_grid_degree(&grid, (qd_axis)axis);
        for (int m = 0; m < 24; m++) {
            bool in = false;
            qd_grid_group(&grid, m, (qd_axis)axis, group);
            for (int i = 0; i < degree; i++) {
                in = in || group[i] == m;
                ck_assert(i == 0 || group[i] > group[i - 1]);
                seen[group[i]]++;
            }
            ck_assert(in);
        }
        for (int m = 0; m < 24; m++)
            ck_assert_int_eq(seen[m], degree);
    }
}
END_TEST

static qd_job uneven_gpt(int64_t slots) {
    qd_job job;
    ck_assert_msg(qd_job_load(QD_SOURCE_DIR "/conf/jobs/shakespeare-gpt.yaml", &job) == 0, "%s",
                  qd_error_message());
    job.model.heads = job.model.kv_heads = 7;
    job.model.width = 35;
    job.model.vocabulary = 257;
    job.slots_tensor = slots;
    return job;
}

/* Everywhere in a parameter but in what is cut, members agree; what is cut lies side by side. */
static void check_parts(qd_graph *const *parts, int members, const qd_graph *whole) {
    for (int p = 0; p < whole->param_count; p++) {
        const qd_param *all = &whole->params[p];
        int64_t next = 0;
        for (int m = 0; m < members; m++) {
            const qd_param *part = &parts[m]->params[p];
            ck_assert_str_eq(part->name, all->name);
            ck_assert(qd_shape_equals(&part->whole, &all->shape));
            ck_assert_int_eq(part->cut_dim, all->cut_dim);
            for (int d = 0; d < part->shape.dims; d++)
                ck_assert(d == part->cut_dim || part->shape.dim[d] == all->shape.dim[d]);
            if (part->cut_dim < 0)
                continue;
            ck_assert_int_eq(part->cut_first, next);
            ck_assert_int_gt(part->shape.dim[part->cut_dim], 0);
            ck_assert_int_eq(part->shape.dim[part->cut_dim] % (part->cut_unit ? part->cut_unit : 1),
                             0);
            next += part->shape.dim[part->cut_dim];
        }
        if (all->cut_dim >= 0)
            ck_assert_int_eq(next, all->shape.dim[all->cut_dim]);
    }
}

START_TEST(parts_of_cut_parameters_make_the_whole_and_nothing_is_dropped) {
    for (int slots = 2; slots <= 7; slots++)
        for (int members = 1; members <= slots; members++) {
            qd_job job = uneven_gpt(slots);
            qd_graph *parts[8] = {NULL}, *whole;
            ck_assert_int_eq(qd_family_build(&job, &whole), 0);
            for (int m = 0; m < members; m++)
                ck_assert_msg(qd_family_build_part(&job, members, m, &parts[m]) == 0, "%s",
                              qd_error_message());
            check_parts(parts, members, whole);
            for (int m = 0; m < members; m++)
                qd_graph_destroy(parts[m]);
            qd_graph_destroy(whole);
        }
}
END_TEST

/* Products are dealt out: those of all members together are those of the whole. */
START_TEST(work_of_the_members_adds_up_to_the_whole) {
    qd_job job = uneven_gpt(4);
    qd_graph *whole, *part;
    double products[2] = {0};
    ck_assert_int_eq(qd_family_build(&job, &whole), 0);
    for (int m = -1; m < 4; m++) {
        if (m >= 0)
            ck_assert_int_eq(qd_family_build_part(&job, 4, m, &part), 0);
        const qd_graph *g = m < 0 ? whole : part;
        for (int n = 0; n < g->node_count; n++) {
            const qd_node *node = &g->nodes[n];
            const qd_shape *x = &g->values[node->inputs[0]].shape;
            if (node->op == &qd_op_linear)
                products[m >= 0] +=
                    (double)qd_shape_elements(x) * (double)g->params[node->params[0]].shape.dim[0];
        }
        if (m >= 0)
            qd_graph_destroy(part);
    }
    qd_graph_destroy(whole);
    ck_assert_double_eq(products[0], products[1]);
}
END_TEST

START_TEST(a_member_that_would_have_nothing_is_refused_on_all_members_alike) {
    qd_job job = uneven_gpt(16);
    for (int m = 0; m < 16; m++) {
        qd_graph *graph = NULL;
        ck_assert_int_eq(qd_family_build_part(&job, 16, m, &graph), QD_ECONFIG);
        ck_assert_str_eq(qd_error_message(),
                         "model gpt: block0.qkv.weight: 7 part(s) that tensor parallelism may deal "
                         "out (heads, or rows) do not give each of 16 ranks one; use layout.tp 5 "
                         "or less");
    }
}
END_TEST

int main(void) {
    TCase *tc = tcase_create("grid");
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, members_and_places_are_one_to_one);
    tcase_add_test(tc, tensor_neighbours_are_next_to_each_other_and_then_data_neighbours);
    tcase_add_test(tc, groups_along_an_axis_share_out_the_gang);
    tcase_add_test(tc, parts_of_cut_parameters_make_the_whole_and_nothing_is_dropped);
    tcase_add_test(tc, work_of_the_members_adds_up_to_the_whole);
    tcase_add_test(tc, a_member_that_would_have_nothing_is_refused_on_all_members_alike);
    Suite *suite = suite_create("models/grid");
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
