/* The parts of a pipeline, together, are the whole model: nothing lost, nothing twice, each laid
 * out as safely as a whole. */
#include <glob.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "models/family.h"
#include "models/part_graph.h"
#include "runtime/align.h"
#include "runtime/error.h"
#include "runtime/file.h"
#include "test/models/mlp_job.h"
#include "test/models/walk_plan.h"

enum { MOST_PARTS = 4, IN_FLIGHT = 3 };

typedef struct dealt {
    qd_job job;
    qd_graph *whole;
    qd_pipeline_stages *cut;
    qd_graph *part[MOST_PARTS];
} dealt;

/* false: the model has fewer places to cut. */
static bool deal(const qd_job *job, int members, int parts, dealt *d) {
    *d = (dealt){.job = *job};
    d->job.slots_pipeline = parts;
    ck_assert_msg(qd_family_build_part(job, members, members - 1, &d->whole) == 0, "%s",
                  qd_error_message());
    bool enough = qd_pipeline_most_parts(d->whole) >= parts;
    int rc = qd_part_graph_cut(&d->job, &d->cut);
    ck_assert_msg(rc == (enough ? 0 : QD_ECONFIG), "%s", qd_error_message());
    for (int k = 0; k < parts && enough; k++)
        ck_assert_int_eq(qd_part_graph_create(d->whole, d->cut, k, &d->part[k]), 0);
    if (!enough)
        qd_graph_destroy(d->whole);
    return enough;
}

static void drop_all(dealt *d) {
    for (int k = 0; k < d->cut->parts; k++)
        qd_graph_destroy(d->part[k]);
    qd_pipeline_stages_destroy(d->cut);
    qd_graph_destroy(d->whole);
}

/* ---- what a part is made of ---- */

/* But for the number of the node that makes it. */
static void is_value(const qd_graph *part, int here, const qd_graph *whole, int there) {
    const qd_value *a = &part->values[here], *b = &whole->values[there];
    ck_assert_str_eq(a->name, b->name);
    ck_assert(a->kind == b->kind && a->dtype == b->dtype && a->needs_grad == b->needs_grad);
    ck_assert(qd_shape_equals(&a->shape, &b->shape));
}

/* But for its place in the vector. */
static void is_param(const qd_param *a, const qd_param *b) {
    ck_assert_str_eq(a->name, b->name);
    ck_assert(qd_shape_equals(&a->shape, &b->shape) && qd_shape_equals(&a->whole, &b->whole));
    ck_assert(a->cut_dim == b->cut_dim && a->cut_first == b->cut_first &&
              a->cut_unit == b->cut_unit);
    ck_assert(a->init.kind == b->init.kind && a->init.scale == b->init.scale);
    ck_assert(a->kind == b->kind && a->momentum == b->momentum);
}

static bool is_shared(const qd_pipeline_stages *cut, int param) {
    for (int i = 0; i < cut->shared_count; i++)
        if (cut->shared[i] == param)
            return true;
    return false;
}

static void is_node(const dealt *d, int k, int here, int there) {
    const qd_graph *part = d->part[k], *whole = d->whole;
    const qd_node *a = &part->nodes[here], *b = &whole->nodes[there];
    ck_assert_str_eq(a->name, b->name);
    ck_assert(a->op == b->op && a->block == b->block && a->scratch == b->scratch);
    ck_assert(memcmp(&a->attributes, &b->attributes, sizeof a->attributes) == 0);
    ck_assert(a->input_count == b->input_count && a->param_count == b->param_count);
    is_value(part, a->output, whole, b->output);
    ck_assert_int_eq(part->values[a->output].producer, here);
    for (int i = 0; i < a->input_count; i++) {
        is_value(part, a->inputs[i], whole, b->inputs[i]);
        ck_assert(!part->values[a->inputs[i]].needs_grad ||
                  qd_graph_adds_to_input(part, here, i) == qd_graph_adds_to_input(whole, there, i));
    }
    for (int i = 0; i < a->param_count; i++) {
        is_param(&part->params[a->params[i]], &whole->params[b->params[i]]);
        ck_assert(is_shared(d->cut, b->params[i]) ||
                  qd_graph_adds_to_param(part, here, i) == qd_graph_adds_to_param(whole, there, i));
    }
}

static void nodes_are_dealt_once(const dealt *d) {
    int next = 0;
    for (int k = 0; k < d->cut->parts; k++)
        for (int n = 0; n < d->part[k]->node_count; n++)
            is_node(d, k, n, next++);
    ck_assert_int_eq(next, d->whole->node_count);
}

static void params_are_dealt_once_but_shared_ones(const dealt *d) {
    for (int p = 0; p < d->whole->param_count; p++) {
        int holders = 0;
        for (int k = 0; k < d->cut->parts; k++)
            for (int i = 0; i < d->part[k]->param_count; i++)
                holders += qd_part_graph_param(d->whole, &d->part[k]->params[i]) == p;
        if (is_shared(d->cut, p))
            ck_assert_int_ge(holders, 2);
        else
            ck_assert_int_eq(holders, 1);
    }
}

/* In the vector one behind the other, each on a line of its own. */
static void params_lie_on_lines(const qd_graph *g) {
    int64_t end = 0;
    for (int p = 0; p < g->param_count; p++) {
        ck_assert_int_eq((g->params[p].offset * 4) % 64, 0);
        ck_assert_int_eq(g->params[p].offset, end);
        end = qd_align_floats(end + qd_shape_elements(&g->params[p].shape));
    }
    ck_assert_int_eq(g->param_elements, end);
}

static void neighbours_agree(const dealt *d) {
    int last = d->cut->parts - 1;
    ck_assert_int_eq(d->part[0]->taken_count, 0);
    ck_assert_int_eq(d->part[last]->handed_count, 0);
    for (int k = 0; k < last; k++) {
        const qd_graph *from = d->part[k], *to = d->part[k + 1];
        ck_assert_int_ge(to->taken_count, 1);
        ck_assert_int_eq(from->handed_count, to->taken_count);
        for (int i = 0; i < to->taken_count; i++) {
            is_value(to, to->taken[i], from, from->handed[i]);
            ck_assert_int_lt(to->values[to->taken[i]].producer, 0);
        }
    }
}

/* Inputs are where they are read; the loss and what is scored are in the last part. */
static void ends_are_where_they_are_read(const dealt *d) {
    const qd_graph *w = d->whole;
    for (int k = 0; k < d->cut->parts; k++) {
        const qd_graph *g = d->part[k];
        bool last = k == d->cut->parts - 1, reads_input = false;
        for (int n = d->cut->part[k].first; n < d->cut->part[k].end; n++)
            for (int i = 0; i < w->nodes[n].input_count; i++)
                reads_input |= w->nodes[n].inputs[i] == w->input;
        ck_assert_int_eq(g->input >= 0, reads_input);
        if (reads_input)
            is_value(g, g->input, w, w->input);
        ck_assert(last == (g->loss >= 0) && last == (g->logits >= 0) && last == (g->target >= 0));
        if (!last)
            continue;
        is_value(g, g->loss, w, w->loss);
        is_value(g, g->logits, w, w->logits);
        is_value(g, g->target, w, w->target);
        ck_assert_int_eq(g->class_weight_count, w->class_weight_count);
        for (int i = 0; i < w->class_weight_count; i++)
            ck_assert(g->class_weights[i] == w->class_weights[i]);
    }
}

/* ---- what a part does ---- */

/* FLOPs are whole numbers, so that no sum of them is rounded. */
static void no_flops_are_lost(const dealt *d) {
    double forward = 0, backward = 0;
    for (int k = 0; k < d->cut->parts; k++) {
        forward += qd_graph_forward_flops(d->part[k]);
        backward += qd_graph_backward_flops(d->part[k]);
    }
    ck_assert_double_eq(forward, qd_graph_forward_flops(d->whole));
    ck_assert_double_eq(backward, qd_graph_backward_flops(d->whole));
}

typedef int timeline_call(const qd_graph *graph, qd_timeline **timeline);

static qd_timeline *timed(timeline_call *create, const qd_graph *graph) {
    qd_timeline *timeline = NULL;
    ck_assert_int_eq(create(graph, &timeline), 0);
    return timeline;
}

/* The passes of a part are those of its nodes in the whole's, in their order. */
static void does_as_the_whole(const dealt *d, timeline_call *create) {
    qd_timeline *all = timed(create, d->whole);
    for (int k = 0; k < d->cut->parts; k++) {
        const qd_pipeline_nodes *nodes = &d->cut->part[k];
        qd_timeline *own = timed(create, d->part[k]);
        int at = 0;
        for (int i = 0; i < all->count; i++) {
            qd_pass pass = all->passes[i];
            bool here = pass.node >= nodes->first && pass.node < nodes->end;
            if (!here && pass.kind != QD_PASS_LOSS)
                continue;
            ck_assert_int_lt(at, own->count);
            ck_assert_int_eq(own->passes[at].kind, pass.kind);
            ck_assert_int_eq(own->passes[at++].node, here ? pass.node - nodes->first : -1);
        }
        ck_assert_int_eq(at, own->count);
        qd_timeline_destroy(own);
    }
    qd_timeline_destroy(all);
}

/* ---- where its buffers lie ---- */

static planned plan(const dealt *d, int k, timeline_call *create, int in_flight) {
    qd_memory_member member = {.elements = d->part[k]->param_elements, .in_flight = in_flight};
    planned p = {.graph = d->part[k], .timeline = timed(create, d->part[k])};
    ck_assert_int_eq(
        qd_memory_plan_create_sharded(&d->job, p.graph, p.timeline, 1, &member, &p.plan), 0);
    return p;
}

static void drop_plan(planned p) {
    p.graph = NULL; /* the part's */
    drop(p);
}

/* What a micro-batch leaves for its backward, others must not write to. */
static void lasts_in_a_pool_of_its_own(const planned *p) {
    const qd_timeline *t = p->timeline;
    for (int i = 0; i < p->graph->handed_count; i++)
        ck_assert_uint_ge(p->plan->value[p->graph->handed[i]], p->plan->pool);
    for (int i = 0; i < p->graph->taken_count; i++)
        ck_assert_uint_ge(p->plan->value[p->graph->taken[i]], p->plan->pool);
    qd_memory_buffer *buffers;
    int count;
    ck_assert_int_eq(qd_memory_buffers(p->graph, t, &buffers, &count), 0);
    for (int i = 0; i < count; i++) {
        const qd_memory_buffer *b = &buffers[i];
        size_t at = b->content == QD_MEMORY_VALUE        ? p->plan->value[b->of]
                    : b->content == QD_MEMORY_VALUE_GRAD ? p->plan->value_grad[b->of]
                                                         : p->plan->saved[b->of];
        for (int s = 0; s < b->span_count; s++)
            if (b->spans[s].first <= t->loss && b->spans[s].last > t->loss)
                ck_assert_uint_ge(at, p->plan->pool);
    }
    free(buffers);
}

static void nothing_is_overwritten(const dealt *d, timeline_call *create) {
    for (int k = 0; k < d->cut->parts; k++) {
        planned one = plan(d, k, create, 1), several = plan(d, k, create, IN_FLIGHT);
        walk_step(&one);
        walk_step(&several);
        ck_assert_uint_eq(several.plan->pool % 64, 0);
        ck_assert_uint_eq(several.plan->pool_bytes % 64, 0);
        ck_assert_uint_eq(one.plan->bytes - one.plan->pool, one.plan->pool_bytes);
        ck_assert_uint_eq(several.plan->bytes - several.plan->pool,
                          IN_FLIGHT * several.plan->pool_bytes);
        ck_assert_uint_le(several.plan->bytes, one.plan->pool + IN_FLIGHT * one.plan->pool_bytes);
        for (int v = 0; v < one.graph->value_count; v++) {
            ck_assert_uint_ge(one.plan->value[v], one.plan->pool);
            ck_assert_uint_le(one.plan->value[v] + value_bytes(&one, v), one.plan->bytes);
            ck_assert_uint_le(several.plan->value[v] + value_bytes(&several, v),
                              several.plan->pool + several.plan->pool_bytes);
        }
        lasts_in_a_pool_of_its_own(&several);
        drop_plan(one);
        drop_plan(several);
    }
}

static void check(const dealt *d) {
    nodes_are_dealt_once(d);
    params_are_dealt_once_but_shared_ones(d);
    for (int k = 0; k < d->cut->parts; k++)
        params_lie_on_lines(d->part[k]);
    neighbours_agree(d);
    ends_are_where_they_are_read(d);
    no_flops_are_lost(d);
    does_as_the_whole(d, qd_timeline_create);
    does_as_the_whole(d, qd_timeline_create_halved);
    nothing_is_overwritten(d, qd_timeline_create);
    nothing_is_overwritten(d, qd_timeline_create_halved);
}

/* Into two, three and four. Returns into how many at most. */
static int check_job(const qd_job *job, int members) {
    int most = 1;
    for (int parts = 2; parts <= MOST_PARTS; parts++) {
        dealt d;
        if (!deal(job, members, parts, &d))
            break;
        check(&d);
        drop_all(&d);
        most = parts;
    }
    return most;
}

/* ---- which models ---- */

static qd_job load(const char *path) {
    qd_job job;
    ck_assert_msg(qd_job_load(path, &job) == 0, "%s", qd_error_message());
    job.train.batch = 2 * job.slots_data;
    job.train.micro_batches = 1;
    if (job.model.family == QD_FAMILY_RESNET)
        job.model.width = 8;
    return job;
}

/* A logistic regression is one layer and its loss. */
START_TEST(parts_of_every_job_file_are_its_model) {
    glob_t files;
    ck_assert_int_eq(glob(QD_SOURCE_DIR "/conf/jobs/*.yaml", 0, NULL, &files), 0);
    for (size_t i = 0; i < files.gl_pathc; i++) {
        qd_job job = load(files.gl_pathv[i]);
        int most = check_job(&job, 1);
        ck_assert_int_eq(most, job.model.family == QD_FAMILY_REGRESSION ? 2 : MOST_PARTS);
        job.train.recompute = qd_family_blocks(&job) / 2;
        if (job.train.recompute)
            ck_assert_int_ge(check_job(&job, 1), 2);
    }
    globfree(&files);
}
END_TEST

static qd_job golden(const char *path) {
    char *text;
    size_t length;
    qd_job job;
    ck_assert_int_eq(qd_file_read(path, 1 << 24, &text, &length), 0);
    json_t *json = json_loadb(text, length, 0, NULL);
    const char *yaml = json_string_value(json_object_get(json, "job"));
    ck_assert_msg(qd_job_parse(path, yaml, strlen(yaml), &job) == 0, "%s", qd_error_message());
    json_decref(json);
    free(text);
    return job;
}

/* Among them lists of layers and weighted classes. */
START_TEST(parts_of_every_golden_job_are_its_model) {
    glob_t files;
    bool layers = false, weighted = false;
    ck_assert_int_eq(glob(QD_SOURCE_DIR "/test/golden/*-tiny.json", 0, NULL, &files), 0);
    for (size_t i = 0; i < files.gl_pathc; i++) {
        qd_job job = golden(files.gl_pathv[i]);
        int most = check_job(&job, 1);
        layers |= most == MOST_PARTS && job.model.family == QD_FAMILY_LAYERS;
        weighted |= most == MOST_PARTS && job.model.class_weight_count > 0;
    }
    globfree(&files);
    ck_assert(layers && weighted);
}
END_TEST

/* Layers that the parts do not divide are where others have lost some; the member of a tensor group
 * has its slots of each part. */
START_TEST(no_layer_is_lost_however_many_there_are) {
    qd_job job = load(QD_SOURCE_DIR "/conf/jobs/shakespeare-gpt.yaml");
    job.model.width = 32;
    job.model.context = job.model.length = 8;
    job.slots_tensor = 2;
    for (job.model.layers = 1; job.model.layers <= 9; job.model.layers++)
        for (int members = 1; members <= 2; members++)
            ck_assert_int_eq(check_job(&job, members), MOST_PARTS);
}
END_TEST

START_TEST(too_many_parts_are_refused_with_how_many_there_can_be) {
    qd_job job = MLP_JOB(4, 1, QD_OPTIMIZER_SGD, 5, 3, 2);
    qd_pipeline_stages *cut;
    job.slots_pipeline = 5;
    /* Two layers, the relu between and the loss. */
    ck_assert_int_eq(qd_part_graph_cut(&job, &cut), QD_ECONFIG);
    ck_assert_ptr_nonnull(strstr(qd_error_message(), "can be cut into 1 to 4"));
    job.slots_pipeline = 4;
    ck_assert_int_eq(qd_part_graph_cut(&job, &cut), 0);
    qd_pipeline_stages_destroy(cut);
}
END_TEST

/* Part `at` of the table has so many of the model's that all are dealt out, in order and evenly. */
START_TEST(a_table_of_fewer_parts_shares_out_the_models) {
    for (int parts = 1; parts <= 13; parts++)
        for (int of_table = 1; of_table <= parts; of_table++) {
            int next = 0;
            for (int at = 0; at < of_table; at++) {
                int first, end;
                qd_part_graph_share(parts, of_table, at, &first, &end);
                ck_assert_int_eq(first, next);
                ck_assert_int_ge(end - first, parts / of_table);
                ck_assert_int_le(end - first, (parts + of_table - 1) / of_table);
                next = end;
            }
            ck_assert_int_eq(next, parts);
        }
}
END_TEST

int main(void) {
    TCase *tc = tcase_create("part_graph");
    tcase_add_test(tc, parts_of_every_job_file_are_its_model);
    tcase_add_test(tc, parts_of_every_golden_job_are_its_model);
    tcase_add_test(tc, no_layer_is_lost_however_many_there_are);
    tcase_add_test(tc, too_many_parts_are_refused_with_how_many_there_can_be);
    tcase_add_test(tc, a_table_of_fewer_parts_shares_out_the_models);
    tcase_set_timeout(tc, 60);
    Suite *suite = suite_create("models/part_graph");
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
