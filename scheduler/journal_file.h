/*
 * journal_file.h: the SQLite file under a journal: opening it, its tables, what marks it as ours,
 * and SQLite's errors as ours. What is written into the tables is journal.c's business, what is
 * read from them journal_replay.c's.
 */
#ifndef QD_SCHEDULER_JOURNAL_FILE_H
#define QD_SCHEDULER_JOURNAL_FILE_H

#include <sqlite3.h>
#include <stdint.h>

/* Opens path for writing: created if it is not there, tables made if it is empty. QD_EIO,
 * QD_ENOMEM; QD_EDATA when it is no journal of ours, damaged, or of a newer format. */
int qd_journal_file_open(const char *path, sqlite3 **db);

/* Opens an existing journal for reading; it may be in use by a live session. Errors as above. */
int qd_journal_file_open_for_reading(const char *path, sqlite3 **db);

/* Closes; NULL is accepted. All statements have been finalized. */
void qd_journal_file_close(sqlite3 *db);

/* Records SQLite's last error of db as ours, with what was attempted; returns the code. */
int qd_journal_file_error(sqlite3 *db, const char *path, const char *attempt);

/* Compiles a statement (sqlite3_finalize). Errors as above. */
int qd_journal_file_prepare(sqlite3 *db, const char *path, const char *sql,
                            sqlite3_stmt **statement);

/* Runs a statement that yields one integer; *value stays when it yields no row. */
int qd_journal_file_number(sqlite3 *db, const char *path, const char *sql, int64_t *value);

#endif
