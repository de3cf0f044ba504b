#include "collectives/pipeline.h"

#include "collectives/group_state.h"
#include "collectives/stages.h"

void qd_pipeline_append(qd_pipeline *p, qd_operation *op) {
    op->next = NULL;
    if (p->last)
        p->last->next = op;
    else
        p->first = op;
    p->last = op;
    if (!p->entering)
        p->entering = op;
}

/* Gives the next ticket to the next chunk, where a window is free. */
static bool enter(qd_pipeline *p) {
    if (!p->entering || p->passed[QD_STAGE_PUT] - p->passed[QD_STAGE_GET] >= QD_WINDOWS)
        return false;
    uint64_t number = p->passed[QD_STAGE_PUT] + 1;
    int window = (int)(number % QD_WINDOWS);
    p->window[window] = (qd_ticket){
        .op = p->entering, .chunk = p->entering->entered, .number = number, .window = window};
    return true;
}

static const qd_ticket *next_at(qd_pipeline *p, qd_stage stage) {
    uint64_t number = p->passed[stage] + 1;
    if (stage == QD_STAGE_PUT ? !enter(p) : number > p->passed[stage - 1])
        return NULL;
    return &p->window[number % QD_WINDOWS];
}

static bool is_slowed(const qd_group *group) {
    return group->config.delay_per_operation_s > 0 || group->config.delay_per_byte_s > 0;
}

static void pass_put(qd_group *group, qd_operation *op) {
    /* A link carries nothing before somebody gives it something: without a thread that does, an
     * operation begins when its owner waits for it. */
    if (op->entered == 0 && is_slowed(group))
        op->begun_ns = qd_clock_now_ns();
    if (++op->entered == op->chunks)
        group->pipeline.entering = op->next;
}

static void pass_get(qd_group *group, const qd_ticket *t) {
    qd_operation *op = t->op;
    if (t->chunk + 1 < op->chunks)
        return;
    op->moved = true;
    if (is_slowed(group)) {
        const qd_group_config *c = &group->config;
        int64_t now = qd_clock_now_ns();
        int64_t from = group->link_free_ns > op->begun_ns ? group->link_free_ns : op->begun_ns;
        double delay_s = c->delay_per_operation_s + c->delay_per_byte_s * (double)op->bytes;
        op->release_ns = from + (int64_t)(delay_s * 1e9);
        if (op->release_ns < now)
            op->release_ns = now;
        group->link_free_ns = op->release_ns;
    }
}

int qd_pipeline_pass(qd_group *group) {
    qd_pipeline *p = &group->pipeline;
    int moved = 0;
    /* The oldest first: what ends frees a window, and is still in the cache. */
    for (int stage = QD_STAGES - 1; stage >= 0; stage--) {
        const qd_ticket *t = next_at(p, (qd_stage)stage);
        if (!t)
            continue;
        int rc = qd_stages[stage].ready(group, t);
        if (rc == 0)
            continue;
        if (rc > 0)
            rc = qd_stages[stage].run(group, t);
        if (rc)
            return rc;
        p->passed[stage]++;
        if (stage == QD_STAGE_PUT)
            pass_put(group, t->op);
        else if (stage == QD_STAGE_GET)
            pass_get(group, t);
        moved = 1;
    }
    return moved;
}

qd_operation *qd_pipeline_take_ended(qd_group *group) {
    qd_pipeline *p = &group->pipeline;
    qd_operation *op = p->first;
    if (!op || !op->moved || op->parts_left > 0 ||
        (op->release_ns > 0 && op->release_ns > qd_clock_now_ns()))
        return NULL;
    p->first = op->next;
    if (!p->first)
        p->last = NULL;
    return op;
}

void qd_pipeline_find_late(qd_group *group) {
    qd_pipeline *p = &group->pipeline;
    for (int stage = QD_STAGES - 1; stage >= 0; stage--) {
        const qd_ticket *t = next_at(p, (qd_stage)stage);
        if (!t)
            continue;
        group->late_what = qd_call_words[t->op->signature.kind];
        qd_stages[stage].find_late(group, t);
        return;
    }
}
