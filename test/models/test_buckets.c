/* How the flat vector is cut: blocks of rows, buckets, shards, segments. */
#include <check.h>
#include <stdlib.h>

#include "models/family.h"
#include "models/optimizer.h"
#include "models/segments.h"
#include "models/shards.h"
#include "runtime/error.h"
#include "test/models/mlp_job.h"

typedef struct cut {
    qd_job job;
    qd_graph *graph;
    qd_timeline *timeline;
    qd_buckets *buckets;
} cut;

static cut cut_of(qd_job job, int64_t elements) {
    cut c = {.job = job};
    ck_assert_msg(qd_family_build(&job, &c.graph) == 0, "%s", qd_error_message());
    ck_assert_int_eq(qd_timeline_create(c.graph, &c.timeline), 0);
    ck_assert_int_eq(qd_buckets_create(&job.optimizer, c.graph, c.timeline, elements, &c.buckets),
                     0);
    return c;
}

static void drop(cut *c) {
    qd_buckets_destroy(c->buckets);
    qd_timeline_destroy(c->timeline);
    qd_graph_destroy(c->graph);
}

static qd_job gpt(qd_optimizer_kind optimizer) {
    qd_job job;
    ck_assert_int_eq(qd_job_load(QD_SOURCE_DIR "/conf/jobs/shakespeare-gpt.yaml", &job), 0);
    job.optimizer.kind = optimizer;
    return job;
}

static const int64_t sizes[] = {1, 1000, 100000, INT64_C(1) << 40};
enum { SIZES = sizeof sizes / sizeof *sizes };

START_TEST(blocks_are_whole_rows_on_64_bytes_and_cover_all) {
    cut c = cut_of(gpt(QD_OPTIMIZER_ADAMW), 100000);
    const qd_row_blocks *b = c.buckets->blocks;
    int64_t covered = 0;
    ck_assert_int_eq(b->offset[0], 0);
    ck_assert_int_eq(b->offset[b->count], c.graph->param_elements);
    for (int k = 0; k < b->count; k++) {
        const qd_param *p = &c.graph->params[b->param[k]];
        int64_t row = qd_shape_elements(&p->shape) / p->shape.dim[0];
        ck_assert_int_eq(b->offset[k] % 16, 0);
        ck_assert_int_eq((b->offset[k] - p->offset) % row, 0);
        ck_assert_int_eq(b->elements[k] % row, 0);
        ck_assert_int_le(b->offset[k] + b->elements[k], b->offset[k + 1]);
        covered += b->elements[k];
    }
    ck_assert_int_eq(covered, qd_graph_param_count(c.graph));
    drop(&c);
}
END_TEST

START_TEST(a_matrix_that_muon_needs_whole_is_one_block) {
    cut c = cut_of(gpt(QD_OPTIMIZER_MUON), 1);
    const qd_row_blocks *b = c.buckets->blocks;
    int whole = 0;
    for (int p = 0; p < c.graph->param_count; p++)
        if (qd_optimizer_orthogonalizes(&c.job.optimizer, c.graph, p)) {
            ck_assert_int_eq(b->first[p + 1] - b->first[p], 1);
            whole++;
        }
    ck_assert_int_gt(whole, 0);
    drop(&c);
}
END_TEST

START_TEST(buckets_cover_the_vector_and_are_started_when_no_later_pass_writes_them) {
    for (int i = 0; i < SIZES; i++) {
        cut c = cut_of(gpt(QD_OPTIMIZER_ADAMW), sizes[i]);
        int64_t at = 0;
        for (int b = 0; b < c.buckets->count; b++) {
            const qd_bucket *bucket = &c.buckets->bucket[b];
            ck_assert_int_eq(bucket->begin, at);
            at = bucket->end;
            for (int pass = bucket->ready + 1; pass < c.timeline->count; pass++) {
                if (c.timeline->passes[pass].kind != QD_PASS_BACKWARD)
                    continue;
                const qd_node *node = &c.graph->nodes[c.timeline->passes[pass].node];
                for (int k = 0; k < node->param_count; k++) {
                    const qd_param *p = &c.graph->params[node->params[k]];
                    int64_t end = p->offset + qd_shape_elements(&p->shape);
                    ck_assert(end <= bucket->begin || p->offset >= bucket->end);
                }
            }
        }
        ck_assert_int_eq(at, c.graph->param_elements);
        for (int k = 1; k < c.buckets->count; k++)
            ck_assert_int_le(c.buckets->bucket[c.buckets->order[k - 1]].ready,
                             c.buckets->bucket[c.buckets->order[k]].ready);
        drop(&c);
    }
}
END_TEST

/* Within a block of each other, which is a whole matrix with Muon. */
static void check_shards(const cut *c, int members) {
    qd_shards *s = NULL;
    int64_t sum = 0, largest = 0;
    const qd_row_blocks *b = c->buckets->blocks;
    ck_assert_int_eq(qd_shards_create(c->buckets, members, &s), 0);
    for (int k = 0; k < b->count; k++)
        largest =
            b->offset[k + 1] - b->offset[k] > largest ? b->offset[k + 1] - b->offset[k] : largest;
    for (int i = 0; i < members; i++)
        sum += s->elements[i];
    ck_assert_int_eq(sum, c->graph->param_elements);
    ck_assert_int_le(qd_shards_most(s), c->graph->param_elements / members + 2 * largest);
    for (int k = 0; k < c->buckets->count; k++) {
        int last = c->buckets->bucket[k].first_block, first, end;
        for (int i = 0; i < members; i++) {
            qd_shards_blocks(s, k, i, &first, &end);
            ck_assert_int_eq(first, last);
            ck_assert_int_le(first, end);
            last = end;
        }
        ck_assert_int_eq(last, c->buckets->bucket[k].end_block);
    }
    qd_shards_destroy(s);
}

START_TEST(shards_are_disjoint_cover_all_and_are_even) {
    for (int i = 0; i < SIZES; i++)
        for (int muon = 0; muon < 2; muon++) {
            cut c = cut_of(gpt(muon ? QD_OPTIMIZER_MUON : QD_OPTIMIZER_ADAMW), sizes[i]);
            for (int members = 1; members <= 17; members++)
                check_shards(&c, members);
            drop(&c);
        }
}
END_TEST

/* Which data member has a block: matrices, and what is not cut, the same one for all tensor
 * members; also where these hold different numbers of rows. */
START_TEST(tensor_members_cut_buckets_and_shards_alike) {
    enum { TENSOR = 3, DATA = 4 };
    qd_job job = gpt(QD_OPTIMIZER_MUON);
    job.model.vocabulary = job.model.classes = 259;
    job.slots_tensor = 4;
    for (int i = 0; i < SIZES; i++) {
        cut c[TENSOR];
        qd_shards *s[TENSOR];
        for (int t = 0; t < TENSOR; t++) {
            c[t] = (cut){.job = job};
            ck_assert_int_eq(qd_family_build_part(&job, TENSOR, t, &c[t].graph), 0);
            ck_assert_int_eq(qd_timeline_create(c[t].graph, &c[t].timeline), 0);
            ck_assert_int_eq(qd_buckets_create(&job.optimizer, c[t].graph, c[t].timeline, sizes[i],
                                               &c[t].buckets),
                             0);
            ck_assert_int_eq(qd_shards_create(c[t].buckets, DATA, &s[t]), 0);
        }
        for (int t = 1; t < TENSOR; t++) {
            ck_assert_int_ne(c[t].graph->param_elements, c[0].graph->param_elements);
            ck_assert_int_eq(c[t].buckets->blocks->count, c[0].buckets->blocks->count);
            ck_assert_int_eq(c[t].buckets->count, c[0].buckets->count);
            for (int b = 0; b < c[0].buckets->count; b++)
                for (int d = 0; d < DATA; d++) {
                    int first, end, others, others_end;
                    qd_shards_blocks(s[0], b, d, &first, &end);
                    qd_shards_blocks(s[t], b, d, &others, &others_end);
                    ck_assert(first == others && end == others_end);
                }
        }
        for (int t = 0; t < TENSOR; t++) {
            qd_shards_destroy(s[t]);
            drop(&c[t]);
        }
    }
}
END_TEST

START_TEST(segments_begin_and_end_with_a_parameter_and_outlive_their_gradients) {
    for (int i = 0; i < SIZES; i++) {
        cut c = cut_of(gpt(QD_OPTIMIZER_ADAMW), sizes[i]);
        qd_segments *s = NULL;
        ck_assert_int_eq(qd_segments_create(c.graph, c.timeline, c.buckets, &s), 0);
        int next = 0;
        for (int k = 0; k < s->count; k++) {
            const qd_segment *segment = &s->segment[k];
            ck_assert_int_eq(segment->first_bucket, next);
            next = segment->end_bucket;
            for (int b = segment->first_bucket; b < next; b++)
                ck_assert_int_lt(c.buckets->bucket[b].ready, segment->until);
            for (int p = 0; p < c.graph->param_count; p++) {
                int64_t begin = c.graph->params[p].offset;
                int64_t end = begin + qd_shape_elements(&c.graph->params[p].shape);
                ck_assert(end <= segment->begin || begin >= segment->end ||
                          (begin >= segment->begin && end <= segment->end));
            }
        }
        ck_assert_int_eq(next, c.buckets->count);
        qd_segments_destroy(s);
        drop(&c);
    }
}
END_TEST

int main(void) {
    TCase *tc = tcase_create("buckets");
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, blocks_are_whole_rows_on_64_bytes_and_cover_all);
    tcase_add_test(tc, a_matrix_that_muon_needs_whole_is_one_block);
    tcase_add_test(tc, buckets_cover_the_vector_and_are_started_when_no_later_pass_writes_them);
    tcase_add_test(tc, shards_are_disjoint_cover_all_and_are_even);
    tcase_add_test(tc, tensor_members_cut_buckets_and_shards_alike);
    tcase_add_test(tc, segments_begin_and_end_with_a_parameter_and_outlive_their_gradients);
    Suite *suite = suite_create("models/buckets");
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
