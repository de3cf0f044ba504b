/* The order of a micro-batch, and which nodes of a recomputed block run again: lists found by hand
 * from what backward of each operator reads. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "models/family.h"
#include "models/op.h"
#include "models/timeline.h"
#include "runtime/error.h"
#include "test/models/mlp_job.h"

typedef struct timed {
    qd_graph *graph;
    qd_timeline *timeline;
} timed;

static timed time_job(qd_job job) {
    timed t = {0};
    ck_assert_msg(qd_family_build(&job, &t.graph) == 0, "%s", qd_error_message());
    ck_assert_int_eq(qd_timeline_create(t.graph, &t.timeline), 0);
    return t;
}

static void drop(timed t) {
    qd_timeline_destroy(t.timeline);
    qd_graph_destroy(t.graph);
}

static qd_job shipped(const char *name, int64_t recompute) {
    char path[512];
    qd_job job;
    snprintf(path, sizeof path, QD_SOURCE_DIR "/conf/jobs/%s.yaml", name);
    ck_assert_msg(qd_job_load(path, &job) == 0, "%s", qd_error_message());
    job.train.recompute = recompute;
    return job;
}

/* Names of the nodes of a block that run again, without the block's name, a blank behind each. */
static void list_again(const timed *t, int block, char *names, size_t size) {
    names[0] = '\0';
    for (int i = 0; i < t->timeline->count; i++) {
        qd_pass pass = t->timeline->passes[i];
        if (pass.kind != QD_PASS_RECOMPUTE || t->graph->nodes[pass.node].block != block)
            continue;
        const char *name = t->graph->nodes[pass.node].name;
        const char *part = strstr(name, "block") ? strchr(strstr(name, "block"), '.') + 1 : name;
        strncat(names, part, size - strlen(names) - 1);
        strncat(names, " ", size - strlen(names) - 1);
    }
}

START_TEST(exactly_what_backward_needs_runs_again) {
    static const struct {
        const char *job;
        int64_t blocks;
        int block;
        const char *again;
    } cases[] = {
        /* What joins the residual stream goes on to the next block: it is kept. */
        {"shakespeare-gpt", 4, 0, "norm1 qkv attention proj add1 norm2 up gelu "},
        {"shakespeare-gpt", 4, 3, "norm1 qkv attention proj add1 norm2 up gelu "},
        /* norm2 gives what goes on; its input is made anew, its statistics are kept. */
        {"languages-bert", 3, 1, "qkv attention proj add1 norm1 up gelu down add2 "},
        /* Gates and cells are larger than the output. */
        {"languages-lstm", 2, 1, "lstm1 "},
        /* The statistics of the last norm, and of the shortcut's, are kept. */
        {"fashion-resnet18", 8, 0, "conv1 conv1.norm relu1 conv2 "},
        {"fashion-resnet18", 8, 2, "shortcut conv1 conv1.norm relu1 conv2 "},
        {"fashion-resnet50", 16, 0,
         "shortcut conv1 conv1.norm relu1 conv2 conv2.norm relu2 conv3 "},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char names[512];
        timed t = time_job(shipped(cases[i].job, cases[i].block + 1));
        ck_assert_int_eq(t.graph->block_count, cases[i].blocks);
        list_again(&t, cases[i].block, names, sizeof names);
        ck_assert_str_eq(names, cases[i].again);
        list_again(&t, cases[i].block + 1, names, sizeof names);
        ck_assert_str_eq(names, "");
        drop(t);
    }
}
END_TEST

/* Forward in order, the loss, backward from the last node to the first, and a block's nodes again,
 * in order, between the backward of what follows it and its own. */
static void check_order(const timed *t) {
    const qd_pass *pass = t->timeline->passes, *end = pass + t->timeline->count;
    const qd_node *nodes = t->graph->nodes;
    for (int n = 0; n < t->graph->node_count; n++, pass++)
        ck_assert(pass->kind == QD_PASS_FORWARD && pass->node == n);
    ck_assert(pass++->kind == QD_PASS_LOSS);
    int before = t->graph->node_count, again = -1;
    for (; pass < end; pass++) {
        const qd_node *node = &nodes[pass->node];
        if (pass->kind == QD_PASS_RECOMPUTE) {
            ck_assert_int_ge(node->block, 0);
            ck_assert_int_lt(node->block, t->graph->recompute);
            ck_assert(pass->node > again && pass->node < before);
            ck_assert(before == t->graph->node_count || nodes[before].block != node->block);
            again = pass->node;
            continue;
        }
        ck_assert(pass->kind == QD_PASS_BACKWARD && pass->node < before);
        for (int skipped = pass->node + 1; skipped < before; skipped++)
            ck_assert(!t->graph->values[nodes[skipped].output].needs_grad);
        ck_assert(t->graph->values[node->output].needs_grad);
        ck_assert(again < 0 || nodes[again].block == node->block);
        before = pass->node;
        again = -1;
    }
    for (int n = 0; n < before; n++)
        ck_assert(!t->graph->values[nodes[n].output].needs_grad);
}

START_TEST(a_block_runs_again_between_the_backward_of_what_follows_and_its_own) {
    static const char *const jobs[] = {"shakespeare-gpt", "languages-bert", "languages-lstm",
                                       "fashion-resnet50", "languages-embedding"};
    for (size_t i = 0; i < sizeof jobs / sizeof *jobs; i++) {
        qd_job job = shipped(jobs[i], 0);
        int64_t blocks = qd_family_blocks(&job);
        for (job.train.recompute = 0; job.train.recompute <= blocks; job.train.recompute++) {
            timed t = time_job(job);
            check_order(&t);
            drop(t);
        }
    }
}
END_TEST

START_TEST(nothing_runs_again_unasked) {
    timed t = time_job(shipped("shakespeare-gpt", 0));
    for (int i = 0; i < t.timeline->count; i++)
        ck_assert_int_ne(t.timeline->passes[i].kind, QD_PASS_RECOMPUTE);
    ck_assert_double_eq(qd_timeline_recompute_flops(t.timeline, t.graph), 0);
    drop(t);
    t = time_job(MLP_JOB(4, 1, QD_OPTIMIZER_SGD, 5, 3, 2));
    /* layer0, relu0, layer1 and loss, twice, and the loss is scored in between. */
    ck_assert_int_eq(t.timeline->count, 4 + 1 + 4);
    drop(t);
}
END_TEST

/* Of a GPT's block: products of 3, 1 and 4 w^2 multiply-adds a token, and those of attention; the
 * rest of the layers counts some 70 operations an element of w. */
START_TEST(flops_of_the_recomputation_follow_the_closed_formula) {
    for (int blocks = 1; blocks <= 4; blocks++) {
        qd_job job = shipped("shakespeare-gpt", blocks);
        timed t = time_job(job);
        double w = (double)job.model.width, length = (double)job.model.length;
        double tokens = (double)t.graph->samples * length;
        double products = 2 * tokens * 8 * w * w + 2 * tokens * (length + 1) * w;
        double flops = qd_timeline_recompute_flops(t.timeline, t.graph);
        ck_assert_double_ge(flops, blocks * products);
        ck_assert_double_le(flops, blocks * (products + tokens * 70 * w));
        drop(t);
    }
}
END_TEST

int main(void) {
    TCase *tc = tcase_create("timeline");
    tcase_add_test(tc, exactly_what_backward_needs_runs_again);
    tcase_add_test(tc, a_block_runs_again_between_the_backward_of_what_follows_and_its_own);
    tcase_add_test(tc, nothing_runs_again_unasked);
    tcase_add_test(tc, flops_of_the_recomputation_follow_the_closed_formula);
    Suite *suite = suite_create("models/timeline");
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
