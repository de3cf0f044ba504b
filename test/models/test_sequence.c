/* Sequence parallelism: tensor ranks share the rows of the residual stream, and keep of its
 * activations what Korthikanti et al., arXiv 2205.05198, 4.2.2, say. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "models/family.h"
#include "models/memory_plan.h"
#include "models/op.h"
#include "runtime/error.h"

enum { LAYERS = 2, HEADS = 4, WIDTH = 24, LENGTH = 7, SAMPLES = 3, VOCABULARY = 260 };
enum { ROWS = SAMPLES * LENGTH };

static qd_job make_job(const char *family, int slots, bool sequence) {
    char text[1024];
    qd_job job;
    snprintf(text, sizeof text,
             "name: small\n"
             "model: {family: %s, layers: %d, heads: %d, width: %d, context: %d, vocabulary: %d}\n"
             "data: {format: text, folder: ., file: a.txt}\n"
             "train: {batch: %d, steps: 1}\n"
             "optimizer: {kind: sgd, learning_rate: 0.1}\n"
             "slots: {data: 1, tensor: %d}\n",
             family, LAYERS, HEADS, WIDTH, LENGTH, VOCABULARY, SAMPLES, slots);
    ck_assert_msg(qd_job_parse("job", text, strlen(text), &job) == 0, "%s", qd_error_message());
    job.layout_sequence_parallel = sequence;
    return job;
}

static qd_graph *build(const qd_job *job, int members, int member) {
    qd_graph *graph;
    ck_assert_msg(qd_family_build_part(job, members, member, &graph) == 0, "%s",
                  qd_error_message());
    return graph;
}

/* 21 rows, also in four slots on three members, none of which has a share of a whole. */
START_TEST(members_have_all_rows_in_order_and_none_twice) {
    int slots = _i < 3 ? _i + 2 : 4, members = _i < 3 ? _i + 2 : 3;
    qd_job job = make_job("gpt", slots, true);
    qd_graph *whole = build(&job, 1, 0), *part[4];
    int shared = 0;
    for (int m = 0; m < members; m++)
        part[m] = build(&job, members, m);
    for (int v = 0; v < whole->value_count; v++) {
        int64_t next = 0;
        for (int m = 0; m < members && whole->values[v].by_rows; m++) {
            const qd_value *value = &part[m]->values[v];
            ck_assert_int_eq(value->first_row, next);
            ck_assert_int_eq(value->shape.dims, 2);
            ck_assert_int_eq(value->shape.dim[1], WIDTH);
            ck_assert(qd_shape_equals(&value->whole, &whole->values[v].shape));
            next += value->shape.dim[0];
        }
        ck_assert_int_eq(next, whole->values[v].by_rows ? ROWS : 0);
        shared += whole->values[v].by_rows;
    }
    /* Embedding and positions; in each block two norms, two projections back, two additions; the
     * last norm. */
    ck_assert_int_eq(shared, 2 + 6 * LAYERS + 1);
    for (int m = 0; m < members; m++)
        qd_graph_destroy(part[m]);
    qd_graph_destroy(whole);
}
END_TEST

/* Floats of values that lie there while the loss is taken, but for the loss, and what goes in. */
static int64_t kept(const qd_graph *graph) {
    qd_timeline *timeline;
    qd_memory_buffer *buffers;
    int count;
    int64_t floats = 0;
    ck_assert_int_eq(qd_timeline_create(graph, &timeline), 0);
    ck_assert_int_eq(qd_memory_buffers(graph, timeline, &buffers, &count), 0);
    for (int i = 0; i < count; i++) {
        bool lives = false;
        for (int s = 0; s < buffers[i].span_count; s++)
            lives |= buffers[i].spans[s].first <= timeline->loss &&
                     buffers[i].spans[s].last >= timeline->loss;
        bool is_value = buffers[i].content == QD_MEMORY_VALUE && buffers[i].of != graph->loss &&
                        graph->values[buffers[i].of].producer >= 0;
        floats += lives && is_value ? (int64_t)buffers[i].bytes / 4 : 0;
    }
    free(buffers);
    qd_timeline_destroy(timeline);
    return floats;
}

/*
 * Of a token in a block, in widths: what goes into both norms and comes out of them, 4; queries,
 * keys and values 3, what attention gives 1, before and behind gelu 4 each, 12. Without sequence
 * parallelism tensor ranks share the 12 alone; with it all. The last norm's input and output; the
 * logits.
 */
START_TEST(activations_between_the_cut_layers_are_shared_too) {
    enum { OF_STREAM = 4 * LAYERS + 2, OF_CUT = 12 * LAYERS };
    int tp = 1 << _i;
    for (int m = 0; m < tp; m++) {
        int64_t rows = (m + 1) * ROWS / tp - m * ROWS / tp;
        for (int sequence = 0; sequence <= 1; sequence++) {
            qd_job job = make_job("gpt", tp, sequence);
            qd_graph *graph = build(&job, tp, m);
            ck_assert_int_eq(kept(graph), (sequence ? rows : ROWS) * OF_STREAM * WIDTH +
                                              ROWS * (OF_CUT * WIDTH + VOCABULARY) / tp);
            qd_graph_destroy(graph);
        }
    }
}
END_TEST

int main(void) {
    Suite *suite = suite_create("models/sequence");
    TCase *tc = tcase_create("sequence");
    tcase_add_loop_test(tc, members_have_all_rows_in_order_and_none_twice, 0, 4);
    tcase_add_loop_test(tc, activations_between_the_cut_layers_are_shared_too, 0, 3);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
