#include "scheduler/journal.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/clock.h"
#include "runtime/error.h"
#include "scheduler/actions.h"
#include "scheduler/journal_event.h"
#include "scheduler/journal_file.h"
#include "scheduler/policy.h"

typedef enum {
    BEGIN,
    COMMIT,
    ROLLBACK,
    ADD_EVENT,
    ADD_ACTION,
    ADD_JOB,
    END_SESSION,
    STATEMENTS
} statement_kind;

static const char *const sql[STATEMENTS] = {
    [BEGIN] = "BEGIN IMMEDIATE",
    [COMMIT] = "COMMIT",
    [ROLLBACK] = "ROLLBACK",
    [ADD_EVENT] =
        "INSERT INTO event (session, sequence, " QD_JOURNAL_EVENT_COLUMNS
        ") VALUES (?46, ?47, ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, "
        "?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23, ?24, ?25, ?26, ?27, ?28, ?29, ?30, ?31, ?32, "
        "?33, ?34, ?35, ?36, ?37, ?38, ?39, ?40, ?41, ?42, ?43, ?44, ?45)",
    [ADD_ACTION] = "INSERT INTO action (session, sequence, position, text) VALUES (?, ?, ?, ?)",
    [ADD_JOB] = "INSERT INTO job (session, job, text) VALUES (?, ?, ?)",
    [END_SESSION] = "UPDATE session SET ended_utc = ? WHERE session = ?",
};

struct qd_journal {
    sqlite3 *db;
    sqlite3_stmt *statements[STATEMENTS];
    int64_t session;
    int64_t sequence; /* of the last event, from 1 */
    char path[];
};

/* Runs a statement whose parameters were bound with the code bound. */
static int run(qd_journal *journal, statement_kind kind, int bound) {
    sqlite3_stmt *statement = journal->statements[kind];
    int rc = 0;
    if (bound != SQLITE_OK || sqlite3_step(statement) != SQLITE_DONE)
        rc = qd_journal_file_error(journal->db, journal->path, "write");
    sqlite3_reset(statement);
    return rc;
}

/* Ends a transaction: what rc says decides how. */
static int end(qd_journal *journal, int rc) {
    if (!rc)
        rc = run(journal, COMMIT, SQLITE_OK);
    /* After some errors SQLite has already rolled back. */
    if (rc && !sqlite3_get_autocommit(journal->db)) {
        sqlite3_step(journal->statements[ROLLBACK]);
        sqlite3_reset(journal->statements[ROLLBACK]);
    }
    return rc;
}

static int begin_session(qd_journal *journal, int worker_ranks, const qd_scheduling *scheduling) {
    sqlite3_stmt *add = NULL;
    qd_text settings = {0};
    char now[32];
    qd_scheduling_emit(scheduling, &settings);
    if (settings.failed)
        return qd_error_set(QD_ENOMEM, "%s: no memory for the settings", journal->path);
    qd_clock_utc(now, sizeof now);
    int rc = qd_journal_file_prepare(
        journal->db, journal->path,
        "INSERT INTO session (began_utc, program, worker_ranks, policy, settings)"
        " VALUES (?, ?, ?, ?, ?)",
        &add);
    if (rc)
        goto out;
    sqlite3_bind_text(add, 1, now, -1, SQLITE_STATIC);
    sqlite3_bind_text(add, 2, "quadrille " QD_VERSION, -1, SQLITE_STATIC);
    sqlite3_bind_int(add, 3, worker_ranks);
    sqlite3_bind_text(add, 4, qd_policy_names[scheduling->policy], -1, SQLITE_STATIC);
    sqlite3_bind_text(add, 5, settings.bytes, (int)settings.length, SQLITE_STATIC);
    if (sqlite3_step(add) != SQLITE_DONE)
        rc = qd_journal_file_error(journal->db, journal->path, "write");
    sqlite3_finalize(add);
    journal->session = sqlite3_last_insert_rowid(journal->db);
out:
    qd_text_fini(&settings);
    return rc;
}

static void finalize(qd_journal *journal) {
    for (int i = 0; i < STATEMENTS; i++)
        sqlite3_finalize(journal->statements[i]);
    qd_journal_file_close(journal->db);
    free(journal);
}

int qd_journal_open(const char *path, int worker_ranks, const qd_scheduling *scheduling,
                    qd_journal **out) {
    size_t path_bytes = strlen(path) + 1;
    qd_journal *journal = calloc(1, sizeof *journal + path_bytes);
    if (!journal)
        return qd_error_set(QD_ENOMEM, "%s: no memory for a journal", path);
    memcpy(journal->path, path, path_bytes);
    int rc = qd_journal_file_open(path, &journal->db);
    for (int i = 0; !rc && i < STATEMENTS; i++)
        rc = qd_journal_file_prepare(journal->db, path, sql[i], &journal->statements[i]);
    if (!rc)
        rc = begin_session(journal, worker_ranks, scheduling);
    if (rc) {
        finalize(journal);
        return rc;
    }
    *out = journal;
    return 0;
}

void qd_journal_close(qd_journal *journal) {
    if (!journal)
        return;
    char now[32];
    qd_clock_utc(now, sizeof now);
    sqlite3_stmt *statement = journal->statements[END_SESSION];
    sqlite3_bind_text(statement, 1, now, -1, SQLITE_STATIC);
    sqlite3_bind_int64(statement, 2, journal->session);
    sqlite3_step(statement); /* for people only: without it the session reads as broken off */
    finalize(journal);
}

static int add_event(qd_journal *journal, const qd_event *event) {
    sqlite3_stmt *statement = journal->statements[ADD_EVENT];
    int bound = qd_journal_event_bind(statement, 1, event);
    if (bound == SQLITE_OK)
        bound = sqlite3_bind_int64(statement, QD_JOURNAL_EVENT_COLUMN_COUNT + 1, journal->session);
    if (bound == SQLITE_OK)
        bound =
            sqlite3_bind_int64(statement, QD_JOURNAL_EVENT_COLUMN_COUNT + 2, journal->sequence + 1);
    return run(journal, ADD_EVENT, bound);
}

static int add_action(qd_journal *journal, int position, const qd_action *action, qd_text *text) {
    sqlite3_stmt *statement = journal->statements[ADD_ACTION];
    text->length = 0;
    qd_action_format(action, text);
    if (text->failed)
        return qd_error_set(QD_ENOMEM, "%s: no memory for the text of an action", journal->path);
    sqlite3_bind_int64(statement, 1, journal->session);
    sqlite3_bind_int64(statement, 2, journal->sequence + 1);
    sqlite3_bind_int(statement, 3, position);
    return run(journal, ADD_ACTION,
               sqlite3_bind_text(statement, 4, text->bytes, (int)text->length, SQLITE_STATIC));
}

int qd_journal_record(qd_journal *journal, const qd_event *event, const qd_action_list *actions) {
    qd_text text = {0};
    int rc = run(journal, BEGIN, SQLITE_OK);
    if (rc)
        return rc;
    rc = add_event(journal, event);
    for (int i = 0; !rc && i < actions->count; i++)
        rc = add_action(journal, i + 1, &actions->actions[i], &text);
    rc = end(journal, rc);
    if (!rc)
        journal->sequence++;
    qd_text_fini(&text);
    return rc;
}

int qd_journal_record_job(qd_journal *journal, int64_t job, const char *job_text) {
    sqlite3_stmt *statement = journal->statements[ADD_JOB];
    sqlite3_bind_int64(statement, 1, journal->session);
    sqlite3_bind_int64(statement, 2, job);
    return run(journal, ADD_JOB, sqlite3_bind_text(statement, 3, job_text, -1, SQLITE_STATIC));
}
