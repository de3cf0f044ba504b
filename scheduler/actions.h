/*
 * actions.h: the list of actions that grows while an event is handled. It owns copies of all it
 * holds. Room for the worst case is made before the event changes anything, so that adding cannot
 * fail; and how an action reads as text, for the journal and the log.
 */
#ifndef QD_SCHEDULER_ACTIONS_H
#define QD_SCHEDULER_ACTIONS_H

#include <stdbool.h>
#include <stddef.h>

#include "runtime/text.h"
#include "scheduler/core.h"

/* Start with {0}. */
typedef struct qd_actions {
    qd_action *actions;
    int *ranks;
    char *text;
    size_t count, rank_count, text_bytes;          /* in use */
    size_t capacity, rank_capacity, text_capacity; /* in the same units */
    bool overflowed;                               /* something found no room and was left out */
} qd_actions;

void qd_actions_fini(qd_actions *list);

/* Empties the list and makes room for so many actions, with so many ranks and so many bytes of
 * reasons (NULs included) in all of them together; each number > 0. QD_ENOMEM. */
int qd_actions_begin(qd_actions *list, size_t actions, size_t ranks, size_t text_bytes);

/* Adds a copy of action, its ranks and its reason (NULL: none). */
void qd_actions_add(qd_actions *list, const qd_action *action);

/* The list as callers see it. QD_EINTERNAL when the room was not enough: a fault of ours. */
int qd_actions_end(const qd_actions *list, qd_action_list *out);

/* "START job 3 attempt 1 epoch 7 ranks 1-4,6: REASON", "JOB_STATE job 3 attempt 1 FAILED code -9:
 * REASON". Equal texts mean equal actions. */
void qd_action_format(const qd_action *action, qd_text *out);

#endif
