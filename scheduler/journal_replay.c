#include <inttypes.h>
#include <limits.h>
#include <string.h>

#include "runtime/error.h"
#include "scheduler/actions.h"
#include "scheduler/journal.h"
#include "scheduler/journal_event.h"
#include "scheduler/journal_file.h"
#include "scheduler/policy.h"

typedef struct replay {
    const char *path;
    sqlite3 *db;
    int64_t session;
    sqlite3_stmt *events;  /* in order */
    sqlite3_stmt *actions; /* in order, over all events */
    bool action_left;      /* actions stands on a row that was not compared yet */
    qd_core *core;
} replay;

static int step(const replay *r, sqlite3_stmt *statement, bool *row) {
    int code = sqlite3_step(statement);
    *row = code == SQLITE_ROW;
    if (code != SQLITE_ROW && code != SQLITE_DONE)
        return qd_journal_file_error(r->db, r->path, "read");
    return 0;
}

static int choose_session(replay *r, int64_t wanted) {
    int64_t newest = 0;
    int rc = qd_journal_file_number(r->db, r->path, "SELECT max(session) FROM session", &newest);
    if (rc)
        return rc;
    if (newest == 0)
        return qd_error_set(QD_EDATA, "%s: holds no session", r->path);
    r->session = wanted ? wanted : newest;
    if (r->session < 0 || r->session > newest)
        return qd_error_set(QD_EDATA, "%s: no session %" PRId64 "; they are 1 to %" PRId64, r->path,
                            r->session, newest);
    return 0;
}

static int read_scheduling(const replay *r, sqlite3_stmt *row, qd_scheduling *scheduling) {
    const char *settings = (const char *)sqlite3_column_text(row, 2);
    int rc =
        qd_scheduling_parse("settings", settings, (size_t)sqlite3_column_bytes(row, 2), scheduling);
    int policy = rc ? rc : qd_policy_find((const char *)sqlite3_column_text(row, 1));
    if (policy < 0)
        return qd_error_context(QD_EDATA, "%s: session %" PRId64, r->path, r->session);
    scheduling->policy = policy;
    return 0;
}

/* A fresh core as the session began with. */
static int create_core(replay *r) {
    sqlite3_stmt *statement = NULL;
    qd_scheduling scheduling;
    bool row = false;
    int rc = qd_journal_file_prepare(
        r->db, r->path, "SELECT worker_ranks, policy, settings FROM session WHERE session = ?",
        &statement);
    if (rc)
        return rc;
    sqlite3_bind_int64(statement, 1, r->session);
    rc = step(r, statement, &row);
    if (rc)
        goto out;
    if (!row) {
        rc = qd_error_set(QD_EDATA, "%s: session %" PRId64 " is missing", r->path, r->session);
        goto out;
    }
    int64_t worker_ranks = sqlite3_column_int64(statement, 0);
    rc = read_scheduling(r, statement, &scheduling);
    if (!rc && (worker_ranks < 1 || worker_ranks >= INT_MAX))
        rc = qd_error_set(QD_EDATA, "%s: session %" PRId64 " of %" PRId64 " worker ranks", r->path,
                          r->session, worker_ranks);
    if (!rc)
        rc = qd_core_create((int)worker_ranks, &scheduling, &r->core);
out:
    sqlite3_finalize(statement);
    return rc;
}

static int prepare_rows(replay *r) {
    int rc = qd_journal_file_prepare(r->db, r->path,
                                     "SELECT sequence, " QD_JOURNAL_EVENT_COLUMNS
                                     " FROM event WHERE session = ? ORDER BY sequence",
                                     &r->events);
    if (!rc)
        rc = qd_journal_file_prepare(r->db, r->path,
                                     "SELECT sequence, position, text FROM action"
                                     " WHERE session = ? ORDER BY sequence, position",
                                     &r->actions);
    if (rc)
        return rc;
    sqlite3_bind_int64(r->events, 1, r->session);
    sqlite3_bind_int64(r->actions, 1, r->session);
    return step(r, r->actions, &r->action_left);
}

/* The recorded action that is next, if it belongs to the event; NULL otherwise. */
static const char *recorded_action(const replay *r, int64_t sequence) {
    if (!r->action_left || sqlite3_column_int64(r->actions, 0) != sequence)
        return NULL;
    return (const char *)sqlite3_column_text(r->actions, 2);
}

/* Compares action number position (from 1) with what was recorded; NULL: there is none now. */
static int compare_action(replay *r, int64_t sequence, int position, const char *now) {
    const char *then = recorded_action(r, sequence);
    if (!then && !now)
        return 0;
    if (!then || !now || strcmp(then, now) != 0)
        return qd_error_set(QD_EDATA,
                            "%s: session %" PRId64 ", event %" PRId64
                            ": action %d was recorded as '%s', and is now '%s'",
                            r->path, r->session, sequence, position, then ? then : "none",
                            now ? now : "none");
    return step(r, r->actions, &r->action_left);
}

static int compare_actions(replay *r, int64_t sequence, const qd_action_list *list) {
    qd_text text = {0};
    int rc = 0;
    for (int i = 0; !rc && i < list->count; i++) {
        text.length = 0;
        qd_action_format(&list->actions[i], &text);
        if (text.failed)
            rc = qd_error_set(QD_ENOMEM, "%s: no memory for the text of an action", r->path);
        else
            rc = compare_action(r, sequence, i + 1, text.bytes);
    }
    if (!rc)
        rc = compare_action(r, sequence, list->count + 1, NULL);
    qd_text_fini(&text);
    return rc;
}

static int replay_event(replay *r) {
    qd_event event;
    qd_action_list actions;
    int64_t sequence = sqlite3_column_int64(r->events, 0);
    int rc = qd_journal_event_read(r->events, 1, &event);
    if (!rc)
        rc = qd_core_handle(r->core, &event, &actions);
    if (rc == QD_EPROTO)
        rc = QD_EDATA; /* the core had taken it when it was recorded */
    if (rc)
        return qd_error_context(rc, "%s: session %" PRId64 ", event %" PRId64, r->path, r->session,
                                sequence);
    return compare_actions(r, sequence, &actions);
}

static int replay_events(replay *r) {
    for (;;) {
        bool row = false;
        int rc = step(r, r->events, &row);
        if (rc || !row)
            return rc;
        rc = replay_event(r);
        if (rc)
            return rc;
    }
}

int qd_journal_replay(const char *path, int64_t session, qd_core **core) {
    replay r = {.path = path};
    int rc = qd_journal_file_open_for_reading(path, &r.db);
    if (rc)
        return rc;
    rc = choose_session(&r, session);
    /* One read transaction, so that events and actions are of one moment while others write. */
    if (!rc && sqlite3_exec(r.db, "BEGIN", NULL, NULL, NULL) != SQLITE_OK)
        rc = qd_journal_file_error(r.db, path, "read");
    if (!rc)
        rc = create_core(&r);
    if (!rc)
        rc = prepare_rows(&r);
    if (!rc)
        rc = replay_events(&r);
    sqlite3_finalize(r.events);
    sqlite3_finalize(r.actions);
    qd_journal_file_close(r.db);
    if (rc) {
        qd_core_destroy(r.core);
        return rc;
    }
    *core = r.core;
    return 0;
}
