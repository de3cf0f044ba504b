#include "scheduler/actions.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/error.h"

const char *const qd_action_names[QD_ACTIONS] = {
    [QD_ACTION_START] = "START",       [QD_ACTION_STOP] = "STOP",
    [QD_ACTION_ABORT] = "ABORT",       [QD_ACTION_JOB_STATE] = "JOB_STATE",
    [QD_ACTION_SHUTDOWN] = "SHUTDOWN", [QD_ACTION_RESIZE] = "RESIZE",
};

void qd_actions_fini(qd_actions *list) {
    free(list->actions);
    free(list->ranks);
    free(list->text);
    *list = (qd_actions){0};
}

/* Room for count elements; what was in block is given up. NULL, block untouched, when there is no
 * memory. */
static void *make_room(void *block, size_t *capacity, size_t count, size_t element_bytes) {
    if (block && count <= *capacity)
        return block;
    /* At least double, so that a queue that grows job by job does not allocate each time. */
    size_t wanted = count > 2 * *capacity ? count : 2 * *capacity;
    void *fresh = malloc(wanted * element_bytes);
    if (!fresh) {
        qd_error_set(QD_ENOMEM, "no memory for the scheduler's actions (%zu bytes)",
                     wanted * element_bytes);
        return NULL;
    }
    free(block);
    *capacity = wanted;
    return fresh;
}

int qd_actions_begin(qd_actions *list, size_t actions, size_t ranks, size_t text_bytes) {
    list->count = list->rank_count = list->text_bytes = 0;
    list->overflowed = false;
    void *room = make_room(list->actions, &list->capacity, actions, sizeof *list->actions);
    if (!room)
        return QD_ENOMEM;
    list->actions = room;
    room = make_room(list->ranks, &list->rank_capacity, ranks, sizeof *list->ranks);
    if (!room)
        return QD_ENOMEM;
    list->ranks = room;
    room = make_room(list->text, &list->text_capacity, text_bytes, 1);
    if (!room)
        return QD_ENOMEM;
    list->text = room;
    return 0;
}

void qd_actions_add(qd_actions *list, const qd_action *action) {
    size_t ranks = (size_t)action->rank_count;
    size_t bytes = action->reason ? strlen(action->reason) + 1 : 0;
    if (list->count == list->capacity || ranks > list->rank_capacity - list->rank_count ||
        bytes > list->text_capacity - list->text_bytes) {
        list->overflowed = true;
        return;
    }
    qd_action *copy = &list->actions[list->count++];
    *copy = *action;
    if (ranks > 0) {
        copy->ranks = memcpy(list->ranks + list->rank_count, action->ranks, ranks * sizeof(int));
        list->rank_count += ranks;
    }
    if (bytes > 0) {
        copy->reason = memcpy(list->text + list->text_bytes, action->reason, bytes);
        list->text_bytes += bytes;
    }
}

int qd_actions_end(const qd_actions *list, qd_action_list *out) {
    if (list->overflowed)
        return qd_error_set(QD_EINTERNAL,
                            "an event led to more actions than the scheduler made room for");
    *out = (qd_action_list){.actions = list->actions, .count = (int)list->count};
    return 0;
}

/* "1-4,6" */
static void format_ranks(const qd_action *action, qd_text *out) {
    for (int i = 0, end; i < action->rank_count; i = end) {
        for (end = i + 1; end < action->rank_count; end++)
            if (action->ranks[end] != action->ranks[end - 1] + 1)
                break;
        qd_text_add(out, i > 0 ? ",%d" : "%d", action->ranks[i]);
        if (end - i > 1)
            qd_text_add(out, "-%d", action->ranks[end - 1]);
    }
}

void qd_action_format(const qd_action *action, qd_text *out) {
    qd_text_add(out, "%s", qd_action_names[action->kind]);
    if (action->kind == QD_ACTION_SHUTDOWN)
        return;
    qd_text_add(out, " job %lld attempt %d", (long long)action->job, action->attempt);
    if (action->kind == QD_ACTION_JOB_STATE) {
        qd_text_add(out, " %s", qd_job_state_names[action->state]);
        if (action->exit_code != 0)
            qd_text_add(out, " code %d", action->exit_code);
        qd_text_add(out, ": %s", action->reason);
        return;
    }
    qd_text_add(out, " epoch %u ranks ", action->epoch);
    format_ranks(action, out);
    if (action->reason)
        qd_text_add(out, ": %s", action->reason);
}
