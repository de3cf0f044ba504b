#include "models/planner_cost.h"

#include <math.h>
#include <string.h>

#include "models/pipeline.h"

static const double float_bytes = 4;

/* ---- stages ---- */

static void add_part(qd_plan_stage *s, const qd_part_cost *p) {
    s->sum.forward += p->forward;
    s->sum.backward_input += p->backward_input;
    s->sum.backward_weight += p->backward_weight;
    s->sum.recompute += p->recompute;
    s->sum.forward_sums += p->forward_sums;
    s->sum.backward_sums += p->backward_sums;
    s->sum.recompute_sums += p->recompute_sums;
    s->sum.tensor_inside += p->tensor_inside;
    s->sum.tensor_between += p->tensor_between;
    s->sum.parameters += p->parameters;
    s->sum.largest_unit = qd_greater(s->sum.largest_unit, p->largest_unit);
    s->sum.scratch = qd_greater(s->sum.scratch, p->scratch);
    s->sum.orthogonal += p->orthogonal;
    s->sum.orthogonal_parts += p->orthogonal_parts;
    s->sum.orthogonal_inside += p->orthogonal_inside;
    s->sum.orthogonal_between += p->orthogonal_between;
    s->sum.orthogonal_scratch = qd_greater(s->sum.orthogonal_scratch, p->orthogonal_scratch);
    s->sum.taken += p->taken;
    s->most_kept = qd_greater(s->most_kept, p->kept);
    s->most_peak = qd_greater(s->most_peak, p->peak);
}

static void add_stage(qd_plan_case *c, int index) {
    const qd_plan_stage *s = &c->stages[index];
    c->all_s += s->seconds;
    c->least_weight_s = qd_lesser(c->least_weight_s, s->sum.backward_weight);
    c->most_taken = qd_greater(c->most_taken, s->sum.taken);
    if (s->seconds > c->stages[c->dearest].seconds)
        c->dearest = index;
    if (s->sum.parameters > c->stages[c->largest].sum.parameters)
        c->largest = index;
}

void qd_plan_case_begin(qd_plan_case *c, const qd_part_cost *parts, const qd_pipeline_stages *cut,
                        int tp) {
    c->dearest = c->largest = 0;
    c->all_s = c->most_taken = c->shared = 0;
    c->least_weight_s = INFINITY;
    for (int i = 0; i < c->pp; i++) {
        c->stages[i] = (qd_plan_stage){0};
        for (int v = 0; v < c->chunks; v++)
            add_part(&c->stages[i], &parts[v * c->pp + i]);
        c->stages[i].seconds = qd_part_seconds(&c->stages[i].sum);
        add_stage(c, i);
    }
    for (int i = 0; i < cut->shared_count && c->pp > 1; i++) {
        const qd_profile_param *p = &c->profile->params[cut->shared[i]];
        c->shared += p->elements * qd_profile_cut_share(p->cut, tp);
    }
}

int64_t qd_plan_micro_batches(const qd_plan_layout *layout) {
    return (layout->slots + layout->dp - 1) / layout->dp * layout->micro_batches;
}

static bool is_schedule(const qd_plan_layout *layout, const qd_pipeline_kind *kind) {
    return layout->schedule != QD_PLAN_NO_SCHEDULE && qd_pipeline_kind_at(layout->schedule) == kind;
}

/* Forwards of a micro-batch through a chunk that a stage keeps at once: as models/pipeline.h and
 * the fill of each schedule have it. */
static double most_live(const qd_plan_layout *layout, int index, double m) {
    int p = layout->pp, v = layout->chunks;
    if (p == 1)
        return 1;
    if (is_schedule(layout, &qd_pipeline_gpipe))
        return m;
    if (is_schedule(layout, &qd_pipeline_zb_h1))
        return qd_lesser(m, p);
    if (!is_schedule(layout, &qd_pipeline_interleaved) || v == 1)
        return qd_lesser(m, p - index);
    double groups = floor(m / p), first = ceil(m / groups);
    return qd_lesser(m * v, 2 * (p - 1 - index) + (v - 1) * first + 1);
}

/* ---- time ---- */

static double bubble(const qd_plan_case *c, const qd_plan_layout *layout, double m) {
    double others = c->all_s - c->stages[c->dearest].seconds;
    if (is_schedule(layout, &qd_pipeline_zb_h1)) {
        /* Each stage but one is spared 2 weight gradients, as many micro-batches there being as
         * stages; else one less for each that is lacking. */
        double lacking = qd_greater(0, layout->pp - m);
        double spared = 2 * (layout->pp - 1) - qd_lesser(lacking, layout->pp - 1);
        return qd_greater(0, others - spared * c->least_weight_s);
    }
    return others / layout->chunks;
}

/* A group of data ranks, and whether neighbours in the pipeline lie on different nodes. */
static qd_span_of_group data_span(const qd_plan_case *c, const qd_plan_layout *layout) {
    return qd_span_of(c->hardware, layout->dp, layout->tp);
}

static bool hops_between(const qd_plan_case *c, const qd_plan_layout *layout) {
    return (int64_t)layout->tp * layout->dp * layout->pp > c->hardware->devices;
}

static qd_exchange_cost hop(const qd_plan_case *c, const qd_plan_layout *layout, double bytes) {
    return qd_cost_of_send(c->hardware, hops_between(c, layout), bytes);
}

/* What an exchange adds to a step: what goes on beside so many seconds of computing slows that down
 * only; the first bucket can't. */
static double exposed(const qd_hardware *h, double exchange, double beside, double first_bucket) {
    double hidden = qd_greater(0, qd_lesser(exchange - first_bucket, beside));
    return exchange - hidden * h->overlap;
}

/* Messages in the steady state go on beside computing, unless the link is slower than that; what
 * fills the pipeline and drains it waits for each of them. */
static void add_transfers(const qd_plan_case *c, const qd_plan_layout *layout, double m,
                          qd_plan *plan) {
    if (layout->pp == 1)
        return;
    qd_exchange_cost one = hop(c, layout, c->most_taken / layout->chunks);
    double steady = 2 * layout->chunks * one.seconds * m;
    plan->time[QD_PLAN_TRANSFER] =
        2 * (layout->pp - 1) * one.seconds +
        exposed(c->hardware, steady, m * c->stages[c->dearest].seconds, 0);
    /* A stage in the middle sends outputs one way and gradients the other. */
    plan->pipeline.inside = 2 * m * layout->chunks * one.inside_bytes;
    plan->pipeline.between = 2 * m * layout->chunks * one.between_bytes;
}

/* Part of an exchange that its last bucket is. */
static double buckets(double bytes) {
    return qd_greater(1, ceil(bytes / QD_PLAN_BUCKET_BYTES));
}

/* An exchange in n pieces: the bytes are the same, the latencies n times as many. */
static qd_exchange_cost in_pieces(qd_exchange_cost (*cost)(const qd_hardware *, qd_span_of_group,
                                                           double),
                                  const qd_plan_case *c, qd_span_of_group span, double bytes,
                                  double n) {
    qd_exchange_cost one = cost(c->hardware, span, bytes / n);
    return (qd_exchange_cost){n * one.seconds, n * one.inside_bytes, n * one.between_bytes};
}

static void add_traffic(qd_plan_traffic *to, qd_exchange_cost cost, double times) {
    to->inside += times * cost.inside_bytes;
    to->between += times * cost.between_bytes;
}

/* Of a float of a gradient that travels. */
static double wire_bytes(const qd_plan_case *c) {
    return c->profile->job->train.reduce_precision == QD_PRECISION_BF16 ? 2 : float_bytes;
}

/* Stages 0 to 2: gradients and parameters once a step (parameters not for 0, whose all-reduce
 * gathers gradients instead). */
static void add_gradients(const qd_plan_case *c, const qd_plan_layout *layout, qd_plan *plan) {
    const qd_part_cost *d = &c->stages[c->dearest].sum;
    qd_span_of_group span = data_span(c, layout);
    double bytes = c->stages[c->largest].sum.parameters * float_bytes, n = buckets(bytes);
    double backward = (d->backward_input + d->backward_weight + d->backward_sums) * (1 - 1 / n);
    qd_exchange_cost once = in_pieces(layout->zero == 0 ? qd_cost_of_allreduce : qd_cost_of_gather,
                                      c, span, bytes / float_bytes * wire_bytes(c), n);
    plan->time[QD_PLAN_GRADIENTS] = exposed(c->hardware, once.seconds, backward, once.seconds / n);
    add_traffic(&plan->data, once, 1);
    if (layout->zero == 0)
        return;
    qd_exchange_cost gather = in_pieces(qd_cost_of_gather, c, span, bytes, n);
    double forward = (d->forward + d->forward_sums) * (1 - 1 / n);
    plan->time[QD_PLAN_PARAMETERS] =
        exposed(c->hardware, gather.seconds, forward, gather.seconds / n);
    add_traffic(&plan->data, gather, 1);
}

/* Stage 3: parameters ahead of each forward and of each backward, gradients behind the last one;
 * the first unit's gather and the last one's scatter are waited for. */
static void add_sharded(const qd_plan_case *c, const qd_plan_layout *layout, double m,
                        qd_plan *plan) {
    const qd_part_cost *d = &c->stages[c->dearest].sum;
    qd_span_of_group span = data_span(c, layout);
    const qd_part_cost *l = &c->stages[c->largest].sum;
    double units = l->parameters > 0 ? ceil(l->parameters / l->largest_unit) : 1;
    qd_exchange_cost one =
        in_pieces(qd_cost_of_gather, c, span, l->parameters * float_bytes, units);
    double forward = d->forward + d->forward_sums;
    double backward = d->backward_input + d->backward_weight + d->backward_sums + d->recompute +
                      d->recompute_sums;
    double first = one.seconds / units;
    qd_exchange_cost sums =
        in_pieces(qd_cost_of_gather, c, span, l->parameters * wire_bytes(c), units);
    double back = exposed(c->hardware, one.seconds, backward, first);
    double last =
        exposed(c->hardware, one.seconds + sums.seconds, backward, first + sums.seconds / units);
    plan->time[QD_PLAN_PARAMETERS] =
        m * exposed(c->hardware, one.seconds, forward, first) + (m - 1) * back + last / 2;
    plan->time[QD_PLAN_GRADIENTS] = last / 2;
    add_traffic(&plan->data, one, 2 * m);
    add_traffic(&plan->data, sums, 1);
}

/* A parameter that the first and the last stage hold: its gradient is added up between the two. */
static void add_shared(const qd_plan_case *c, const qd_plan_layout *layout, qd_plan *plan) {
    if (c->shared == 0)
        return;
    qd_exchange_cost sent = hop(c, layout, c->shared * float_bytes);
    plan->time[QD_PLAN_GRADIENTS] += sent.seconds;
    add_traffic(&plan->data, sent, 1);
}

/* The bf16 copy is written anew. */
static double optimizer_seconds(const qd_plan_case *c, const qd_plan_layout *layout,
                                double parameters) {
    const qd_hardware *h = c->hardware;
    double own = layout->zero > 0 ? parameters / layout->dp : parameters;
    double bytes = own * float_bytes * (3 + 2 * c->profile->state_vectors);
    bytes += c->profile->bf16 ? 2 * parameters : 0;
    return bytes / (h->memory_bytes_per_s * h->memory_share);
}

/* Where state is kept by shards, each data rank has whole matrices of its own. */
static void add_matrices(const qd_plan_layout *layout, const qd_part_cost *stage, qd_plan *plan) {
    double share = layout->zero > 0 ? 1.0 / layout->dp : 1;
    plan->time[QD_PLAN_OPTIMIZER] += share * stage->orthogonal;
    plan->time[QD_PLAN_TENSOR] += share * stage->orthogonal_parts;
    plan->tensor.inside += share * stage->orthogonal_inside;
    plan->tensor.between += share * stage->orthogonal_between;
}

static void finish_time(const qd_plan_case *c, const qd_plan_layout *layout, qd_plan *plan) {
    double batch = (double)c->profile->job->train.batch;
    double ranks = (double)layout->dp * layout->pp * layout->tp;
    plan->step_s = 0;
    for (int t = 0; t < QD_PLAN_TIMES; t++)
        plan->step_s += plan->time[t];
    plan->samples_per_s = batch / plan->step_s;
    plan->mfu = c->profile->model_flops * plan->samples_per_s / ranks /
                qd_hardware_peak(c->hardware, c->profile->job->train.precision);
}

void qd_plan_predict_time(const qd_plan_case *c, const qd_plan_layout *layout, qd_plan *plan) {
    const qd_part_cost *d = &c->stages[c->dearest].sum;
    double m = (double)qd_plan_micro_batches(layout);
    plan->layout = *layout;
    memset(plan->time, 0, sizeof plan->time);
    plan->tensor = (qd_plan_traffic){m * d->tensor_inside, m * d->tensor_between};
    plan->pipeline = plan->data = (qd_plan_traffic){0};
    plan->time[QD_PLAN_COMPUTE] = m * (d->forward + d->backward_input + d->backward_weight);
    plan->time[QD_PLAN_RECOMPUTE] = m * d->recompute;
    plan->time[QD_PLAN_TENSOR] = m * (d->forward_sums + d->backward_sums + d->recompute_sums);
    plan->time[QD_PLAN_BUBBLE] = bubble(c, layout, m);
    plan->time[QD_PLAN_OPTIMIZER] =
        optimizer_seconds(c, layout, c->stages[c->largest].sum.parameters);
    add_matrices(layout, &c->stages[c->largest].sum, plan);
    add_transfers(c, layout, m, plan);
    if (layout->dp > 1 && layout->zero == 3)
        add_sharded(c, layout, m, plan);
    else if (layout->dp > 1)
        add_gradients(c, layout, plan);
    add_shared(c, layout, plan);
    finish_time(c, layout, plan);
}

/* ---- memory ---- */

/* The copy of a checkpoint is each data rank's share of the state. */
static double host_bytes(const qd_plan_case *c, double own) {
    if (!c->host)
        return 0;
    double copy = own * float_bytes * (1 + c->profile->state_vectors);
    return c->host->mapped + qd_greater(0, c->host->heap + copy - c->host->reserve);
}

/* Partial sums are whole; with stage 2 and more, those of the last slot leave while they come,
 * where nothing is added to them any more. */
static double gradient_floats(const qd_plan_stage *s, const qd_plan_layout *layout) {
    double whole = s->sum.parameters, own = whole / layout->dp;
    int per_rank = (int)((layout->slots + layout->dp - 1) / layout->dp);
    int all = qd_memory_partial_sums(layout->slots, per_rank);
    int but_last = per_rank > 1 ? qd_memory_partial_sums(layout->slots, per_rank - 1) : 0;
    if (layout->zero < 2 || layout->micro_batches > 1 || layout->pp > 1 || but_last >= all)
        return whole * all;
    return whole * but_last + own + qd_lesser(whole, 2 * s->sum.largest_unit);
}

/* With stage 3 two units are there whole: the one computed with, and the next. */
static void stage_memory(const qd_plan_case *c, const qd_plan_layout *layout, int index,
                         double memory[QD_PLAN_MEMORIES]) {
    const qd_plan_stage *s = &c->stages[index];
    double whole = s->sum.parameters, own = whole / layout->dp;
    double gathered = qd_lesser(whole, own + 2 * s->sum.largest_unit);
    double held = layout->zero == 3 ? gathered : whole;
    double live = most_live(layout, index, (double)qd_plan_micro_batches(layout));
    double narrow = layout->zero == 3 ? held - own : held;
    memory[QD_PLAN_WEIGHTS] = held * float_bytes + (c->profile->bf16 ? 2 * narrow : 0);
    memory[QD_PLAN_WEIGHT_GRADIENTS] = gradient_floats(s, layout) * float_bytes;
    memory[QD_PLAN_OPTIMIZER_STATE] =
        (layout->zero > 0 ? own : whole) * float_bytes * c->profile->state_vectors;
    memory[QD_PLAN_ACTIVATIONS] = (live - 1) * s->most_kept + s->most_peak;
    memory[QD_PLAN_SCRATCH] = qd_greater(s->sum.scratch, s->sum.orthogonal_scratch);
    memory[QD_PLAN_BUCKETS] =
        layout->dp > 1 ? qd_lesser(2 * QD_PLAN_BUCKET_BYTES, whole * float_bytes) : 0;
    memory[QD_PLAN_RESERVED] = c->hardware->reserved_bytes + host_bytes(c, own);
}

void qd_plan_predict_memory(const qd_plan_case *c, const qd_plan_layout *layout, qd_plan *plan) {
    plan->memory_bytes = 0;
    for (int i = 0; i < layout->pp; i++) {
        double memory[QD_PLAN_MEMORIES], sum = 0;
        stage_memory(c, layout, i, memory);
        for (int k = 0; k < QD_PLAN_MEMORIES; k++)
            sum += memory[k];
        if (sum <= plan->memory_bytes)
            continue;
        plan->memory_bytes = sum;
        memcpy(plan->memory, memory, sizeof memory);
    }
    plan->fits = plan->memory_bytes <= c->hardware->memory_bytes;
}
