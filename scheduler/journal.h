/*
 * journal.h: every event the core took and every action it led to, in an SQLite file, written
 * before the actions are carried out. Replaying the events through a fresh core rebuilds its
 * state exactly. One process writes a session; several may share a file.
 */
#ifndef QD_SCHEDULER_JOURNAL_H
#define QD_SCHEDULER_JOURNAL_H

#include "scheduler/core.h"

typedef struct qd_journal qd_journal;

/*
 * Opens or creates path and begins a session of worker_ranks workers with these settings.
 * QD_EIO with SQLite's text; QD_EDATA for a file that is no journal of ours or of a newer format.
 */
int qd_journal_open(const char *path, int worker_ranks, const qd_scheduling *scheduling,
                    qd_journal **journal);

/* Ends the session and closes the file. */
void qd_journal_close(qd_journal *journal);

/* Writes an event and its actions in one transaction. QD_EIO. */
int qd_journal_record(qd_journal *journal, const qd_event *event, const qd_action_list *actions);

/* Keeps the resolved text of a submitted job. QD_EIO. */
int qd_journal_record_job(qd_journal *journal, int64_t job, const char *job_text);

/*
 * Feeds all events of a session (0: the newest) to a fresh core of the session's size. Checks that
 * each event leads to the very actions that were recorded; QD_EDATA naming the first that does not.
 * *core belongs to the caller.
 */
int qd_journal_replay(const char *path, int64_t session, qd_core **core);

#endif
