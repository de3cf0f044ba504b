/*
 * journal_event.h: an event as columns of a row and back. Only the columns of its kind are used, so
 * that a row holds what a replay needs and nothing else.
 */
#ifndef QD_SCHEDULER_JOURNAL_EVENT_H
#define QD_SCHEDULER_JOURNAL_EVENT_H

#include <sqlite3.h>

#include "scheduler/core.h"

/* The columns of an event, in the order in which both functions below number them. */
#define QD_JOURNAL_EVENT_COLUMNS                                                                   \
    "time_ns, kind, more, job, attempt, rank, outcome, exit_code, name, ranks_min, ranks_max, "    \
    "ranks_step, estimate_ns, limit_ns, deadline_ns, importance, nice, account, held, begin_ns, "  \
    "after, array, array_most, keeps_ranks, tells, within, demand_bytes, peers, host, island, "    \
    "memory_bytes, step, saved, steps, reservation, reserved, reserved_name, reserved_kind, "      \
    "reserved_ranks, reserved_account, from_ns, until_ns, every_ns, busy_ns, text"
enum { QD_JOURNAL_EVENT_COLUMN_COUNT = 45 };

/* Binds the columns to parameters first, first + 1, ... of a fresh or reset statement. The event
 * must outlive the step. An SQLite code. */
int qd_journal_event_bind(sqlite3_stmt *statement, int first, const qd_event *event);

/* Reads the columns first, first + 1, ... of the present row. QD_EDATA naming the column. */
int qd_journal_event_read(sqlite3_stmt *statement, int first, qd_event *event);

#endif
