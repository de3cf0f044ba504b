#include "scheduler/journal_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <unistd.h>

#include "runtime/clock.h"
#include "runtime/error.h"

/* "QDRJ"; and the version of the tables below. */
#define APPLICATION_ID "1363432010"
#define FORMAT "6"
enum { application_id = 0x5144524a, format = 6 };

static const double busy_deadline_s = 5;
enum { BUSY_SLEEP_US = 10000 };

/*
 * An event takes only the columns of its kind, the others are NULL. Actions are text, to be read by
 * people and to be compared by a replay.
 */
static const char create_tables[] =
    "CREATE TABLE session (session INTEGER PRIMARY KEY, began_utc TEXT NOT NULL, ended_utc TEXT,"
    " program TEXT NOT NULL, worker_ranks INTEGER NOT NULL, policy TEXT NOT NULL,"
    " settings TEXT NOT NULL) STRICT;"
    "CREATE TABLE job (session INTEGER NOT NULL REFERENCES session, job INTEGER NOT NULL,"
    " text TEXT NOT NULL, PRIMARY KEY (session, job)) STRICT, WITHOUT ROWID;"
    "CREATE TABLE event (session INTEGER NOT NULL REFERENCES session, sequence INTEGER NOT NULL,"
    " time_ns INTEGER NOT NULL, kind TEXT NOT NULL, more INTEGER NOT NULL, job INTEGER,"
    " attempt INTEGER, rank INTEGER, outcome TEXT, exit_code INTEGER, name TEXT, ranks_min INTEGER,"
    " ranks_max INTEGER, ranks_step INTEGER, estimate_ns INTEGER, limit_ns INTEGER, deadline_ns "
    "INTEGER, importance "
    "INTEGER,"
    " nice INTEGER, account INTEGER, held INTEGER, begin_ns INTEGER, after TEXT, array INTEGER,"
    " array_most INTEGER, keeps_ranks INTEGER, tells INTEGER, within INTEGER, demand_bytes INTEGER,"
    " peers INTEGER, host INTEGER, island INTEGER, memory_bytes INTEGER, step INTEGER, saved "
    "INTEGER, steps "
    "INTEGER, reservation INTEGER, reserved INTEGER, reserved_name TEXT, reserved_kind INTEGER,"
    " reserved_ranks INTEGER, reserved_account INTEGER, from_ns INTEGER, until_ns INTEGER,"
    " every_ns INTEGER, busy_ns INTEGER, text TEXT,"
    " PRIMARY KEY (session, sequence)) STRICT, WITHOUT ROWID;"
    "CREATE TABLE action (session INTEGER NOT NULL, sequence INTEGER NOT NULL,"
    " position INTEGER NOT NULL, text TEXT NOT NULL, PRIMARY KEY (session, sequence, position),"
    " FOREIGN KEY (session, sequence) REFERENCES event) STRICT, WITHOUT ROWID;"
    "PRAGMA application_id = " APPLICATION_ID ";"
    "PRAGMA user_version = " FORMAT ";";

static const struct {
    int sqlite;
    int code;
    const char *hint;
} errors[] = {
    {SQLITE_NOMEM, QD_ENOMEM, ""},
    {SQLITE_CORRUPT, QD_EDATA, " (damaged or cut short)"},
    {SQLITE_NOTADB, QD_EDATA, ", so it cannot be a journal of quadrille"},
    {SQLITE_BUSY, QD_EIO, "; another process held it for more than 5 s"},
};

int qd_journal_file_error(sqlite3 *db, const char *path, const char *attempt) {
    const char *text = db ? sqlite3_errmsg(db) : "out of memory";
    int sqlite = db ? sqlite3_errcode(db) & 0xff : SQLITE_NOMEM;
    int system_errno = db ? sqlite3_system_errno(db) : 0;
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++)
        if (errors[i].sqlite == sqlite)
            return qd_error_set(errors[i].code, "%s: %s: %s%s", path, attempt, text,
                                errors[i].hint);
    if (system_errno)
        return qd_error_set_errno(QD_EIO, system_errno, "%s: %s: %s", path, attempt, text);
    return qd_error_set(QD_EIO, "%s: %s: %s", path, attempt, text);
}

int qd_journal_file_prepare(sqlite3 *db, const char *path, const char *sql,
                            sqlite3_stmt **statement) {
    if (sqlite3_prepare_v2(db, sql, -1, statement, NULL) != SQLITE_OK)
        return qd_journal_file_error(db, path, "prepare");
    return 0;
}

int qd_journal_file_number(sqlite3 *db, const char *path, const char *sql, int64_t *value) {
    sqlite3_stmt *statement = NULL;
    int rc = qd_journal_file_prepare(db, path, sql, &statement);
    if (rc)
        return rc;
    int step = sqlite3_step(statement);
    if (step == SQLITE_ROW)
        *value = sqlite3_column_int64(statement, 0);
    else if (step != SQLITE_DONE)
        rc = qd_journal_file_error(db, path, "read");
    sqlite3_finalize(statement);
    return rc;
}

static int run(sqlite3 *db, const char *path, const char *sql) {
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
        return qd_journal_file_error(db, path, "write");
    return 0;
}

/* Whether the file is a journal that we can read; *empty when it holds nothing at all yet. Reads
 * only: a file of somebody else's stays as it is. Within a transaction. */
static int check_format(sqlite3 *db, const char *path, bool *empty) {
    int64_t id = 0, version = 0, tables = 0;
    int rc = qd_journal_file_number(db, path, "PRAGMA application_id", &id);
    if (!rc)
        rc = qd_journal_file_number(db, path, "PRAGMA user_version", &version);
    if (!rc)
        rc = qd_journal_file_number(db, path, "SELECT count(*) FROM sqlite_master", &tables);
    if (rc)
        return rc;
    *empty = id == 0 && version == 0 && tables == 0;
    if (*empty)
        return 0;
    if (id != application_id)
        return qd_error_set(QD_EDATA,
                            "%s: an SQLite file of another program (application id %lld), no "
                            "journal of quadrille",
                            path, (long long)id);
    if (version != format)
        return qd_error_set(QD_EDATA,
                            "%s: a journal of format %lld; this quadrille knows format %d", path,
                            (long long)version, format);
    return 0;
}

/* check_format as one look at the file, which another process may just be filling. */
static int check_format_at_once(sqlite3 *db, const char *path, bool *empty) {
    int rc = run(db, path, "BEGIN");
    if (rc)
        return rc;
    rc = check_format(db, path, empty);
    sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
    return rc;
}

/*
 * Asks for a journal mode. *taken tells whether the file system could give it. SQLite does not wait
 * by itself when another process is just changing the mode, so that is done here.
 */
static int set_mode(sqlite3 *db, const char *path, const char *mode, bool *taken) {
    char sql[64];
    sqlite3_snprintf(sizeof sql, sql, "PRAGMA journal_mode=%s", mode);
    qd_deadline deadline = qd_deadline_in(busy_deadline_s);
    qd_backoff backoff = {0};
    for (;;) {
        sqlite3_stmt *statement = NULL;
        int rc = qd_journal_file_prepare(db, path, sql, &statement);
        if (rc)
            return rc;
        int step = sqlite3_step(statement);
        *taken = step == SQLITE_ROW &&
                 sqlite3_stricmp((const char *)sqlite3_column_text(statement, 0), mode) == 0;
        if (step != SQLITE_ROW)
            rc = qd_journal_file_error(db, path, "set the journal mode");
        sqlite3_finalize(statement);
        if (step != SQLITE_BUSY || qd_deadline_passed(deadline))
            return rc;
        qd_backoff_pause(&backoff, BUSY_SLEEP_US);
    }
}

/* WAL lets others read while we write; some network file systems cannot do it. */
static int set_modes(sqlite3 *db, const char *path) {
    bool taken = false;
    int rc = set_mode(db, path, "wal", &taken);
    if (!rc && !taken)
        rc = set_mode(db, path, "truncate", &taken);
    if (rc)
        return rc;
    return run(db, path, "PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON");
}

/* Makes the tables unless another process has done so in the meantime. */
static int make_tables(sqlite3 *db, const char *path) {
    bool empty = false;
    int rc = run(db, path, "BEGIN IMMEDIATE");
    if (rc)
        return rc;
    rc = check_format(db, path, &empty);
    if (!rc && empty)
        rc = run(db, path, create_tables);
    if (!rc)
        rc = run(db, path, "COMMIT");
    if (rc)
        sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
    return rc;
}

/* Why a file cannot be opened for writing. SQLite tries again for reading only, and then tells why
 * that failed ("No such file" where a folder is read-only). */
static int explain_open(sqlite3 *db, const char *path) {
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0)
        return qd_error_set_errno(QD_EIO, errno, "%s: open", path);
    close(fd);
    return qd_journal_file_error(db, path, "open");
}

static int open_file(const char *path, int flags, sqlite3 **db) {
    int code = sqlite3_open_v2(path, db, flags, NULL);
    if (code == SQLITE_CANTOPEN && (flags & SQLITE_OPEN_CREATE))
        return explain_open(*db, path);
    if (code != SQLITE_OK)
        return qd_journal_file_error(*db, path, "open");
    sqlite3_busy_timeout(*db, (int)(busy_deadline_s * 1000));
    return 0;
}

int qd_journal_file_open(const char *path, sqlite3 **out) {
    sqlite3 *db = NULL;
    bool empty = false;
    int rc = open_file(path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, &db);
    if (!rc)
        rc = check_format_at_once(db, path, &empty);
    if (!rc)
        rc = set_modes(db, path);
    if (!rc && empty)
        rc = make_tables(db, path);
    if (rc) {
        sqlite3_close(db);
        return rc;
    }
    *out = db;
    return 0;
}

int qd_journal_file_open_for_reading(const char *path, sqlite3 **out) {
    sqlite3 *db = NULL;
    bool empty = false;
    int rc = open_file(path, SQLITE_OPEN_READONLY, &db);
    if (!rc)
        rc = check_format_at_once(db, path, &empty);
    if (!rc && empty)
        rc = qd_error_set(QD_EDATA, "%s: empty, no journal of quadrille", path);
    if (rc) {
        sqlite3_close(db);
        return rc;
    }
    *out = db;
    return 0;
}

void qd_journal_file_close(sqlite3 *db) {
    if (!db)
        return;
    /* Leaves one plain file, which can also be read in a folder that cannot be written. Not worth
     * waiting for: with others at work in the file it stays as it is. */
    if (!sqlite3_db_readonly(db, "main")) {
        sqlite3_busy_timeout(db, 0);
        sqlite3_exec(db, "PRAGMA journal_mode=TRUNCATE", NULL, NULL, NULL);
    }
    sqlite3_close(db);
}
