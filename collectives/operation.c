#include "collectives/operation.h"

#include <stdlib.h>
#include <string.h>

#include "collectives/group_state.h"
#include "collectives/progress_state.h"

static qd_operation *allocate(qd_group *group) {
    qd_operation *op = calloc(1, sizeof *op);
    int64_t *bounds = calloc((size_t)group->config.member_count + 1, sizeof *bounds);
    qd_transfer *transfers = calloc(2 * (size_t)group->config.member_count, sizeof *transfers);
    if (!op || !bounds || !transfers) {
        qd_error_set(QD_ENOMEM, "group %u: no memory for an operation", group->config.id);
        free(op);
        free(bounds);
        free(transfers);
        return NULL;
    }
    op->bounds = bounds;
    op->transfers = transfers;
    op->made = group->made;
    group->made = op;
    return op;
}

int qd_operation_new(qd_group *group, qd_call_kind kind, int64_t count, qd_operation **out) {
    pthread_mutex_lock(&group->lock);
    int failed = group->failed;
    qd_operation *op = group->free;
    if (op)
        group->free = op->next;
    pthread_mutex_unlock(&group->lock);
    if (!op)
        op = allocate(group);
    if (!op)
        return QD_ENOMEM;
    int64_t *bounds = op->bounds;
    qd_transfer *transfers = op->transfers;
    *op = (qd_operation){.group = group,
                         .made = op->made,
                         .bounds = bounds,
                         .transfers = transfers,
                         .chunks = 1,
                         .element = 1,
                         .width = 1,
                         .collective = kind != QD_CALL_SEND && kind != QD_CALL_RECEIVE};
    if (failed) {
        qd_operation_free(op);
        return qd_error_set(QD_ELOST,
                            "group %u cannot be used any more: an earlier call on it failed",
                            group->config.id);
    }
    op->signature = (qd_signature){
        .kind = kind, .count = count, .group = group->config.id, .member = (uint32_t)group->index};
    *out = op;
    return 0;
}

void qd_operation_free(qd_operation *op) {
    qd_group *group = op->group;
    pthread_mutex_lock(&group->lock);
    if (op->reduction)
        op->reduction->users--;
    op->next = group->free;
    group->free = op;
    pthread_mutex_unlock(&group->lock);
}

void qd_operation_begin(qd_operation *op, bool started) {
    qd_group *group = op->group;
    const qd_group_config *c = &group->config;
    pthread_mutex_lock(&group->lock);
    op->signature.call = op->collective ? ++group->calls : 0;
    op->started = started && c->progress;
    group->begun[op->signature.kind]++;
    /* Counted before the thread can end it. */
    if (op->started)
        qd_progress_more(c->progress);
    if (!group->failed && op->sends + op->receives > 0) {
        int rc = qd_streams_begin(op);
        if (rc)
            qd_group_fail(group, rc);
    }
    if (!group->failed && op->fast)
        qd_fast_begin(op);
    if (group->failed)
        qd_operation_end(op, group->failed);
    else if (op->collective)
        qd_pipeline_append(&group->pipeline, op);
    else if (op->parts_left == 0)
        qd_operation_end(op, 0);
    pthread_mutex_unlock(&group->lock);
}

int qd_operation_run(qd_operation *op) {
    qd_operation_begin(op, false);
    return qd_operation_wait(op);
}

void qd_operation_end(qd_operation *op, int rc) {
    if (op->started)
        qd_progress_less(op->group->config.progress);
    op->rc = rc;
    /* The owner may take it from here on. */
    atomic_store_explicit(&op->done, true, memory_order_release);
}

static bool is_done(const qd_operation *op) {
    return atomic_load_explicit(&op->done, memory_order_acquire);
}

/* One look; the group's lock is held. */
static int look(qd_group *group, bool pause) {
    int64_t until_ns;
    int rc = qd_group_pass(group);
    if (rc == 1 || (rc == 0 && qd_group_held_back(group, &until_ns)))
        group->wait = (qd_wait){0};
    if (rc == 0 && pause)
        rc = qd_group_held_back(group, &until_ns) ? qd_wait_until(group, until_ns)
                                                  : qd_wait_pause(group, &group->wait);
    else if (rc == 0)
        rc = qd_wait_check(group, &group->wait, true);
    if (rc == QD_ETIMEDOUT) {
        qd_group_find_late(group);
        rc = qd_wait_late(group, group->late_what);
    }
    return rc;
}

void qd_operation_test(qd_operation *op, bool *done) {
    qd_group *group = op->group;
    if (!is_done(op) && pthread_mutex_trylock(&group->lock) == 0) {
        int rc = is_done(op) ? 0 : look(group, false);
        if (rc < 0)
            qd_group_fail(group, rc);
        pthread_mutex_unlock(&group->lock);
    }
    *done = is_done(op);
}

int qd_operation_wait(qd_operation *op) {
    if (!op)
        return 0;
    qd_group *group = op->group;
    if (!is_done(op)) {
        /* While the owner holds the lock it drives, and the communication thread keeps away. */
        pthread_mutex_lock(&group->lock);
        group->wait.backoff = (qd_backoff){0};
        while (!is_done(op)) {
            int rc = look(group, true);
            if (rc < 0)
                qd_group_fail(group, rc);
        }
        pthread_mutex_unlock(&group->lock);
    }
    int rc = op->rc;
    if (rc)
        qd_error_set(rc, "%s", group->failure);
    qd_operation_free(op);
    return rc;
}

size_t qd_operation_chunk(int members, int most, size_t width) {
    size_t chunk = qd_place_bytes(members) / ((size_t)most * width), line = 64 / width;
    return chunk > line ? chunk - chunk % line : chunk;
}

void qd_operation_cut(qd_operation *op, int most) {
    int members = op->group->config.member_count;
    size_t longest = 0;
    op->chunk = qd_operation_chunk(members, most, op->width);
    for (int f = 0; f < members; f++) {
        size_t n = (size_t)(op->bounds[f + 1] - op->bounds[f]);
        longest = n > longest ? n : longest;
    }
    op->chunks = longest > 0 ? (longest + op->chunk - 1) / op->chunk : 1;
}

qd_range qd_operation_range(const qd_operation *op, int f, size_t chunk) {
    size_t begin = (size_t)op->bounds[f] + chunk * op->chunk, end = (size_t)op->bounds[f + 1];
    if (begin >= end)
        return (qd_range){end, 0};
    return (qd_range){begin, end - begin < op->chunk ? end - begin : op->chunk};
}

int qd_operation_set_bounds(qd_operation *op, const int64_t *bounds) {
    int members = op->group->config.member_count;
    const char *word = qd_call_words[op->signature.kind];
    if (bounds[0] != 0)
        return qd_error_set(QD_EINTERNAL, "group %u: %s: the first piece begins at %lld, not at 0",
                            op->group->config.id, word, (long long)bounds[0]);
    for (int f = 0; f < members; f++)
        if (bounds[f] > bounds[f + 1])
            return qd_error_set(
                QD_EINTERNAL, "group %u: %s: piece %d is %lld..%lld; bounds must ascend",
                op->group->config.id, word, f, (long long)bounds[f], (long long)bounds[f + 1]);
    memcpy(op->bounds, bounds, ((size_t)members + 1) * sizeof *bounds);
    return 0;
}
