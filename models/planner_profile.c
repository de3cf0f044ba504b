#include "models/planner_profile.h"

#include <stdlib.h>

#include "models/family.h"
#include "models/op.h"
#include "models/optimizer.h"
#include "runtime/error.h"

static const double float_bytes = 4;

/* A fraction of the extent and no rounding to elements, so that few bytes stay exact. */
double qd_profile_cut_share(qd_profile_cut cut, int tp) {
    if (cut.extent == 0 || tp == 1)
        return 1;
    int64_t unit = cut.unit > 0 ? cut.unit : 1, units = cut.extent / unit;
    int64_t most = (units + tp - 1) / tp;
    return (double)(most * unit) / (double)cut.extent;
}

/* Through what the two graphs say. */
static qd_line line_of(const qd_profile *p, double one, double two) {
    return (qd_line){2 * one - two, (two - one) / (double)p->least_samples};
}

/* ---- graphs ---- */

static int build(const qd_job *job, int64_t samples, int recompute, qd_graph **graph) {
    qd_job *small = malloc(sizeof *small); /* a job is too large for the stack's liking */
    if (!small)
        return qd_error_set(QD_ENOMEM, "no memory for a job");
    *small = *job;
    small->train.batch = samples;
    small->train.micro_batches = 1;
    small->train.recompute = recompute;
    small->slots_data = 1;
    small->slots_tensor = 1;
    int rc = qd_family_build(small, graph);
    free(small);
    return rc;
}

/* One sample may be too few: a batch norm over an image of one pixel. */
static int build_graphs(const qd_job *job, qd_profile *p) {
    p->least_samples = 1;
    int rc = build(job, 1, 0, &p->one);
    if (rc == QD_ECONFIG) {
        p->least_samples = 2;
        rc = build(job, 2, 0, &p->one);
    }
    if (!rc)
        rc = build(job, 2 * p->least_samples, 0, &p->two);
    if (!rc)
        rc = build(job, p->least_samples, p->one->block_count, &p->whole);
    return rc;
}

/* ---- tensor parallelism ---- */

static qd_profile_cut cut_of_linear(const qd_graph *graph, const qd_node *node) {
    const qd_shape *weight = &graph->params[node->params[0]].shape;
    int64_t extent = weight->dim[node->attributes.linear.cut == QD_CUT_OUT ? 0 : 1];
    return (qd_profile_cut){extent, node->attributes.linear.unit};
}

static bool is_cut(qd_profile_cut cut) {
    return cut.extent > 0;
}

/* Of the residual stream, whose rows tensor ranks share. */
static bool shares_rows(const qd_profile *p) {
    return p->job->layout_sequence_parallel;
}

static qd_profile_cut cut_of_rows(const qd_profile *p, int value) {
    return (qd_profile_cut){qd_rows_whole(&p->one->values[value]), 1};
}

/* The weight, and of a layer whose outputs are dealt out the bias. */
static void cut_params(qd_profile *p, int n, qd_profile_cut cut) {
    const qd_node *node = &p->one->nodes[n];
    p->params[node->params[0]].cut = cut;
    if (node->param_count == 2 && node->attributes.linear.cut == QD_CUT_OUT)
        p->params[node->params[1]].cut = cut;
}

static void cut_linear(qd_profile *p, int n) {
    const qd_node *node = &p->one->nodes[n];
    qd_cut kind = node->attributes.linear.cut;
    if (kind == QD_CUT_NONE)
        return;
    p->nodes[n].cut = cut_of_linear(p->one, node);
    p->nodes[n].cut_of_product = kind;
    cut_params(p, n, p->nodes[n].cut);
    if (kind == QD_CUT_OUT)
        p->values[node->output].cut = p->nodes[n].cut;
    else if (shares_rows(p))
        p->values[node->output].cut = cut_of_rows(p, node->output);
}

/* What follows on values that are dealt out is dealt out, too, up to the layer that gathers, or the
 * operator that takes what one rank has. */
static void find_cuts(qd_profile *p) {
    for (int n = 0; n < p->one->node_count; n++) {
        const qd_node *node = &p->one->nodes[n];
        qd_profile_cut of_input = p->values[node->inputs[0]].cut;
        if (node->op->kind == QD_OP_LINEAR) {
            cut_linear(p, n);
        } else if (node->op->kind == QD_OP_EMBEDDING && shares_rows(p)) {
            p->values[node->output].cut = cut_of_rows(p, node->output);
        } else if (is_cut(of_input) && node->op->kind != QD_OP_POSITION_TAKE) {
            p->nodes[n].cut = of_input;
            if (node->op->kind != QD_OP_CROSS_ENTROPY)
                p->values[node->output].cut = of_input;
        }
    }
}

static int least_units(const qd_profile *p) {
    int64_t least = 0;
    for (int i = 0; i < p->one->param_count; i++) {
        qd_profile_cut cut = p->params[i].cut;
        int64_t units = is_cut(cut) ? cut.extent / (cut.unit > 0 ? cut.unit : 1) : 0;
        if (units > 0 && (least == 0 || units < least))
            least = units;
    }
    return least == 0 ? 1 : least > QD_MAX_TENSOR_SLOTS ? QD_MAX_TENSOR_SLOTS : (int)least;
}

static qd_line times(double factor, qd_line line) {
    return (qd_line){factor * line.fixed, factor * line.per_sample};
}

static double param_bytes(const qd_profile *p, const qd_node *node, int first) {
    double bytes = 0;
    for (int i = first; i < node->param_count; i++)
        bytes += float_bytes * p->params[node->params[i]].elements;
    return bytes;
}

/*
 * Where tensor ranks share the rows of the residual stream (Korthikanti et al., arXiv 2205.05198,
 * 4.2.2): its layers gather and scatter instead, and the inputs of those that spread out are
 * gathered once more in backward. What products take travels in their precision. Gradients of what
 * is there for all rows are sums over the ranks.
 */
static void find_moves(qd_profile *p, int n) {
    const qd_node *node = &p->one->nodes[n];
    qd_profile_node *to = &p->nodes[n];
    double narrow = p->bf16 ? 0.5 : 1;
    qd_line output = p->values[node->output].bytes, in = p->values[node->inputs[0]].bytes;
    bool is_product = node->op->kind == QD_OP_LINEAR;
    if (to->cut_of_product == QD_CUT_IN || node->op->kind == QD_OP_EMBEDDING) {
        to->forward_move = output;
        to->backward_move = times(is_product ? narrow : 1, output);
        to->forward_moves = to->backward_moves = 1;
    } else if (to->cut_of_product == QD_CUT_OUT) {
        to->forward_move = times(narrow, in);
        to->backward_move = times(1 + narrow, in);
        to->forward_moves = 1;
        to->backward_moves = 2;
    }
    int first = is_product ? 1 : 0; /* the bias alone */
    bool by_rows = to->cut_of_product == QD_CUT_IN || (!is_product && is_cut(to->cut));
    if (by_rows && node->param_count > first) {
        to->backward_sum = (qd_line){param_bytes(p, node, first), 0};
        to->backward_sums = 1;
    }
}

/* Partial results that tensor ranks add up: Shoeybi et al., arXiv 1909.08053, 3; of cross-entropy
 * the greatest logit, the sum and the target's logit of each row. */
static void find_sums(qd_profile *p) {
    for (int n = 0; n < p->one->node_count; n++) {
        const qd_node *node = &p->one->nodes[n];
        const qd_value *input = &p->one->values[node->inputs[0]];
        qd_profile_node *to = &p->nodes[n];
        qd_line output = p->values[node->output].bytes, in = p->values[node->inputs[0]].bytes;
        bool looks_up = node->op->kind == QD_OP_EMBEDDING && is_cut(p->params[node->params[0]].cut);
        if (node->op->kind == QD_OP_CROSS_ENTROPY && is_cut(to->cut)) {
            to->forward_sum = times(3, output);
            to->forward_sums = 3;
        } else if (shares_rows(p)) {
            find_moves(p, n);
        } else if (to->cut_of_product == QD_CUT_IN || looks_up) {
            to->forward_sum = output;
            to->forward_sums = 1;
        } else if (to->cut_of_product == QD_CUT_OUT && input->needs_grad) {
            to->backward_sum = in;
            to->backward_sums = 1;
        }
    }
}

/* ---- what a node takes ---- */

static double rows(const qd_graph *graph, const qd_node *node, double width) {
    return (double)qd_shape_elements(&graph->values[node->output].shape) / width;
}

/* Extents for `samples`. Recurrent layers multiply step by step, a row for each sample. */
static void measure_product(const qd_graph *g, const qd_node *node, qd_profile_node *to) {
    double samples = (double)g->samples;
    const qd_shape *w = node->param_count > 0 ? &g->params[node->params[0]].shape : NULL;
    switch (node->op->kind) {
    case QD_OP_LINEAR:
        to->columns = (double)w->dim[0];
        to->depth = (double)w->dim[1];
        to->rows_per_sample = rows(g, node, to->columns) / samples;
        break;
    case QD_OP_CONVOLUTION:
        to->columns = (double)w->dim[0] / (double)node->attributes.convolution.groups;
        to->depth = (double)(w->dim[1] * w->dim[2] * w->dim[3]);
        to->rows_per_sample = rows(g, node, (double)w->dim[0]) / samples;
        break;
    case QD_OP_LSTM:
    case QD_OP_GRU:
        to->columns = (double)w->dim[0];
        to->depth = (double)w->dim[1];
        to->rows_per_sample = 1;
        break;
    default:
        return;
    }
    to->is_product = true;
}

/* As models/pipeline_stages.h has it. */
static double weight_share(const qd_graph *graph, const qd_node *node, bool inputs) {
    (void)graph;
    if (node->param_count == 0)
        return 0;
    return inputs ? 0.5 : 1;
}

static void measure_node(qd_profile *p, int n) {
    const qd_graph *one = p->one, *two = p->two;
    const qd_node *a = &one->nodes[n], *b = &two->nodes[n];
    qd_profile_node *to = &p->nodes[n];
    to->forward_flops = line_of(p, a->op->forward_flops(one, a), b->op->forward_flops(two, b));
    to->backward_flops = line_of(p, a->op->backward_flops(one, a), b->op->backward_flops(two, b));
    to->scratch_bytes =
        line_of(p, float_bytes * (double)a->scratch, float_bytes * (double)b->scratch);
    for (int i = 0; i < a->input_count; i++)
        to->gives_input_gradient |= one->values[a->inputs[i]].needs_grad;
    to->has_backward = one->values[a->output].needs_grad;
    to->weight_share = weight_share(one, a, to->gives_input_gradient);
    to->is_attention = a->op->kind == QD_OP_ATTENTION;
    measure_product(one, a, to);
    p->model_flops += qd_line_at(to->forward_flops, 1);
    p->model_flops += to->has_backward ? qd_line_at(to->backward_flops, 1) : 0;
}

static void measure_param(qd_profile *p, int i) {
    const qd_shape *shape = &p->one->params[i].shape;
    p->params[i].elements = (double)qd_shape_elements(shape);
    if (!qd_optimizer_orthogonalizes(&p->job->optimizer, p->one, i))
        return;
    p->params[i].rows = shape->dim[0];
    p->params[i].columns = shape->dim[1];
}

static void measure(qd_profile *p) {
    const qd_graph *one = p->one;
    for (int v = 0; v < one->value_count; v++) {
        double bytes = (double)qd_dtype_bytes(one->values[v].dtype);
        p->values[v].bytes = line_of(p, bytes * (double)qd_shape_elements(&one->values[v].shape),
                                     bytes * (double)qd_shape_elements(&p->two->values[v].shape));
    }
    for (int i = 0; i < one->param_count; i++)
        measure_param(p, i);
    for (int n = 0; n < one->node_count; n++)
        measure_node(p, n);
    find_cuts(p);
    find_sums(p);
    p->most_tp = least_units(p);
}

int qd_profile_create(const qd_job *job, qd_profile **profile) {
    qd_profile *p = calloc(1, sizeof *p);
    int rc = p ? 0 : qd_error_set(QD_ENOMEM, "no memory to profile a job");
    if (!rc)
        rc = build_graphs(job, p);
    if (!rc) {
        p->job = job;
        p->bf16 = job->train.precision == QD_PRECISION_BF16;
        p->state_vectors = qd_optimizer_facts_of(&job->optimizer)->state_vectors;
        p->nodes = calloc((size_t)p->one->node_count, sizeof *p->nodes);
        p->params = calloc((size_t)p->one->param_count + 1, sizeof *p->params);
        p->values = calloc((size_t)p->one->value_count, sizeof *p->values);
        if (!p->nodes || !p->params || !p->values)
            rc = qd_error_set(QD_ENOMEM, "no memory to profile a job");
    }
    if (rc) {
        qd_profile_destroy(p);
        return rc;
    }
    measure(p);
    *profile = p;
    return 0;
}

void qd_profile_destroy(qd_profile *profile) {
    if (!profile)
        return;
    qd_graph_destroy(profile->one);
    qd_graph_destroy(profile->two);
    qd_graph_destroy(profile->whole);
    free(profile->nodes);
    free(profile->params);
    free(profile->values);
    free(profile);
}

/* ---- recomputation ---- */

/* The node whose forward writes a buffer, or what it is the gradient of; node_count: none. */
static int writer(const qd_graph *graph, const qd_memory_buffer *buffer) {
    int node = buffer->content == QD_MEMORY_SAVED ? buffer->of : graph->values[buffer->of].producer;
    return node < 0 ? graph->node_count : node;
}

static void sort_by_node(const qd_graph *graph, qd_profile_level *level) {
    int *next = level->first_of_node;
    for (int i = 0; i < level->buffer_count; i++)
        next[writer(graph, &level->buffers[i])]++;
    for (int n = 0, sum = 0; n <= graph->node_count; n++) {
        int own = next[n];
        next[n] = sum;
        sum += own;
    }
    for (int i = 0; i < level->buffer_count; i++)
        level->by_node[next[writer(graph, &level->buffers[i])]++] = i;
    for (int n = graph->node_count; n > 0; n--)
        next[n] = next[n - 1];
    next[0] = 0;
}

/* Passes behind the loss run from the last node to the first, block by block: where the timeline
 * has come to the nodes before n. */
static void find_backward(const qd_graph *graph, qd_profile_level *level) {
    const qd_timeline *t = level->timeline;
    int time = graph->node_count + 1; /* behind all forwards and the loss */
    for (int n = graph->node_count; n >= 0; n--) {
        while (time < t->count && t->passes[time].node >= n)
            time++;
        level->backward[n] = time;
    }
}

int qd_profile_level_create(const qd_profile *profile, int blocks, qd_profile_level **level) {
    const qd_graph *graph = profile->one;
    size_t nodes = (size_t)graph->node_count;
    qd_profile_level *l = calloc(1, sizeof *l);
    if (!l)
        return qd_error_set(QD_ENOMEM, "no memory to profile a job");
    qd_graph recomputing = *graph;
    recomputing.recompute = blocks;
    l->blocks = blocks;
    int rc = qd_timeline_create(&recomputing, &l->timeline);
    if (!rc)
        rc = qd_memory_buffers(&recomputing, l->timeline, &l->buffers, &l->buffer_count);
    if (!rc) {
        l->again = calloc(nodes, sizeof *l->again);
        l->backward = calloc(nodes + 1, sizeof *l->backward);
        l->first_of_node = calloc(nodes + 2, sizeof *l->first_of_node);
        l->by_node = calloc((size_t)l->buffer_count + 1, sizeof *l->by_node);
        if (!l->again || !l->backward || !l->first_of_node || !l->by_node)
            rc = qd_error_set(QD_ENOMEM, "no memory to profile a job");
    }
    if (rc) {
        qd_profile_level_destroy(l);
        return rc;
    }
    for (int i = 0; i < l->timeline->count; i++)
        if (l->timeline->passes[i].kind == QD_PASS_RECOMPUTE)
            l->again[l->timeline->passes[i].node] = true;
    sort_by_node(graph, l);
    l->first_of_node[graph->node_count + 1] = l->buffer_count;
    find_backward(graph, l);
    *level = l;
    return 0;
}

void qd_profile_level_destroy(qd_profile_level *level) {
    if (!level)
        return;
    qd_timeline_destroy(level->timeline);
    free(level->buffers);
    free(level->again);
    free(level->backward);
    free(level->first_of_node);
    free(level->by_node);
    free(level);
}
