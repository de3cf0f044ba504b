/*
 * The journal: what was recorded is replayed to the very same state, at every point and after a
 * crash; what is no journal, or cannot be written, is refused with words that help.
 */
#include <errno.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core_kit.h"
#include "core_trial.h"
#include "runtime/clock.h"
#include "runtime/file.h"
#include "scheduler/journal.h"

static char root[256], folder[300], path[400];

/* Unchecked fixtures: they run in the parent, so that all goes even when a test fails or crashes.
 */
static void make_root(void) {
    /* Where somebody else than root can come, too: the build folder may lie in a home. */
    snprintf(root, sizeof root, "/tmp/quadrille-journal-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(root));
    ck_assert_int_eq(chmod(root, 0755), 0);
}

static void remove_root(void) {
    qd_file_remove_tree(root);
}

static void make_folder(void) {
    snprintf(folder, sizeof folder, "%s/XXXXXX", root);
    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/journal.sqlite", folder);
}

static void assert_message_has(const char *words) {
    ck_assert_msg(strstr(qd_error_message(), words) != NULL, "'%s' is not in: %s", words,
                  qd_error_message());
}

/* Runs SQL on the file, as a stranger with the sqlite3 shell would. */
static void meddle(const char *sql) {
    sqlite3 *db;
    char *message = NULL;
    ck_assert_int_eq(sqlite3_open(path, &db), SQLITE_OK);
    ck_assert_msg(sqlite3_exec(db, sql, NULL, NULL, &message) == SQLITE_OK, "%s", message);
    sqlite3_close(db);
}

/* The first column of the first row, as text; "" for none. */
static const char *ask(const char *sql) {
    static char answer[512];
    sqlite3 *db;
    sqlite3_stmt *statement;
    answer[0] = '\0';
    ck_assert_int_eq(sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
    ck_assert_int_eq(sqlite3_prepare_v2(db, sql, -1, &statement, NULL), SQLITE_OK);
    if (sqlite3_step(statement) == SQLITE_ROW && sqlite3_column_text(statement, 0))
        snprintf(answer, sizeof answer, "%s", (const char *)sqlite3_column_text(statement, 0));
    sqlite3_finalize(statement);
    sqlite3_close(db);
    return answer;
}

static uint64_t replayed_digest(int64_t session) {
    qd_core *core = NULL;
    int rc = qd_journal_replay(path, session, &core);
    ck_assert_msg(rc == 0, "%s", qd_error_message());
    uint64_t digest = qd_core_digest(core);
    qd_core_destroy(core);
    return digest;
}

static void record(qd_journal *journal, qd_core *core, qd_event event) {
    qd_action_list actions;
    ck_assert_int_eq(qd_core_handle(core, &event, &actions), 0);
    ck_assert_msg(qd_journal_record(journal, &event, &actions) == 0, "%s", qd_error_message());
}

/* One worker, one job, ended: three events. Returns the digest; the session is closed. */
static uint64_t record_small_session(void) {
    qd_journal *journal;
    qd_core *core;
    ck_assert_msg(qd_journal_open(path, 1, scheduling_of("fifo"), &journal) == 0, "%s",
                  qd_error_message());
    ck_assert_int_eq(qd_core_create(1, scheduling_of("fifo"), &core), 0);
    record(journal, core, ready(1));
    record(journal, core, submit(1, 1, 1));
    record(journal, core, failed(1, 1, QD_EIO, "disk full"));
    uint64_t digest = qd_core_digest(core);
    qd_core_destroy(core);
    qd_journal_close(journal);
    return digest;
}

static void assert_replay_fails(int64_t session, int code, const char *words) {
    qd_core *core = NULL;
    ck_assert_int_eq(qd_journal_replay(path, session, &core), code);
    ck_assert_ptr_null(core);
    assert_message_has(path);
    assert_message_has(words);
}

static void assert_open_fails(int code, const char *words) {
    qd_journal *journal = NULL;
    ck_assert_int_eq(qd_journal_open(path, 1, scheduling_of("fifo"), &journal), code);
    ck_assert_ptr_null(journal);
    assert_message_has(path);
    assert_message_has(words);
}

/* ---- replay ---- */

/* A random history is recorded; after each event, a reader beside the writer replays what is there.
 */
START_TEST(replay_equals_the_live_state_at_every_prefix) {
    for (uint64_t history = 0; history < 5; history++) {
        trial t;
        uint64_t seed = 100 * (uint64_t)_i + history;
        qd_journal *journal;
        ck_assert(trial_begin(&t, (trial_source){trial_draw_splitmix, &seed}));
        ck_assert_msg(qd_journal_open(path, t.witness.worker_ranks, &t.scheduling, &journal) == 0,
                      "%s", qd_error_message());
        for (int i = 0; i < 60; i++) {
            qd_event event = trial_draw_event(&t);
            ck_assert_msg(trial_step(&t, &event), "%s", t.broken);
            if (!t.taken)
                continue;
            ck_assert_int_eq(qd_journal_record(journal, &event, &t.actions), 0);
            ck_assert_uint_eq(replayed_digest(0), qd_core_digest(t.core));
        }
        qd_journal_close(journal);
        ck_assert_uint_eq(replayed_digest(0), qd_core_digest(t.core));
        trial_end(&t);
    }
}
END_TEST

START_TEST(an_empty_session_replays_to_a_fresh_core) {
    qd_journal *journal;
    ck_assert_int_eq(qd_journal_open(path, 3, scheduling_of("fifo"), &journal), 0);
    kit_open(3);
    ck_assert_uint_eq(replayed_digest(0), qd_core_digest(kit.core));
    kit_close();
    qd_journal_close(journal);
}
END_TEST

START_TEST(two_sessions_share_a_file) {
    uint64_t first = record_small_session();
    qd_journal *journal;
    qd_core *core;
    ck_assert_int_eq(qd_journal_open(path, 2, scheduling_of("fifo"), &journal), 0);
    ck_assert_int_eq(qd_core_create(2, scheduling_of("fifo"), &core), 0);
    record(journal, core, ready(2));
    ck_assert_uint_eq(replayed_digest(1), first);
    ck_assert_uint_eq(replayed_digest(2), qd_core_digest(core));
    ck_assert_uint_eq(replayed_digest(0), qd_core_digest(core));
    assert_replay_fails(3, QD_EDATA, "no session 3; they are 1 to 2");
    assert_replay_fails(-1, QD_EDATA, "no session -1; they are 1 to 2");
    qd_core_destroy(core);
    qd_journal_close(journal);
}
END_TEST

START_TEST(the_first_action_that_differs_is_named) {
    record_small_session();
    meddle("UPDATE action SET text = 'START job 1 attempt 1 epoch 1 ranks 2'"
           " WHERE text LIKE 'START%'");
    assert_replay_fails(0, QD_EDATA,
                        "session 1, event 2: action 3 was recorded as 'START job 1 attempt 1 epoch "
                        "1 ranks 2', and is now 'START job 1 attempt 1 epoch 1 ranks 1: its turn'");
}
END_TEST

START_TEST(a_missing_or_spare_action_is_named) {
    record_small_session();
    meddle("DELETE FROM action WHERE sequence = 3");
    assert_replay_fails(0, QD_EDATA,
                        "event 3: action 1 was recorded as 'none', and is now 'JOB_STATE job 1 "
                        "attempt 1 FAILED code -4: disk full'");
    meddle("DELETE FROM action; INSERT INTO action VALUES (1, 1, 1, 'SHUTDOWN')");
    assert_replay_fails(0, QD_EDATA,
                        "event 1: action 1 was recorded as 'SHUTDOWN', and is now 'none'");
}
END_TEST

START_TEST(an_event_the_core_refuses_is_named) {
    record_small_session();
    meddle("UPDATE event SET rank = 5 WHERE sequence = 1");
    assert_replay_fails(0, QD_EDATA, "session 1, event 1: WORKER_READY: there is no worker rank 5");
}
END_TEST

START_TEST(events_that_are_none_are_named) {
    record_small_session();
    meddle("UPDATE event SET kind = 'FORGET' WHERE sequence = 2");
    assert_replay_fails(0, QD_EDATA, "event 2: column kind: no event is called 'FORGET'");
    meddle("UPDATE event SET kind = 'SUBMIT', ranks_max = 5000000000, estimate_ns = 0, deadline_ns "
           "= 0,"
           " importance = 0, nice = 0, account = 0 WHERE sequence = 2");
    assert_replay_fails(0, QD_EDATA, "event 2: column ranks_max: missing, or no 32-bit number");
    meddle("UPDATE event SET ranks_max = 1, name = NULL WHERE sequence = 2");
    assert_replay_fails(0, QD_EDATA, "event 2: column name: missing, or longer than 63 bytes");
    meddle("UPDATE event SET name = 'a', job = NULL WHERE sequence = 2");
    assert_replay_fails(0, QD_EDATA, "event 2: column job: missing");
    meddle("UPDATE event SET job = 1 WHERE sequence = 2;"
           "UPDATE event SET outcome = 'LOST' WHERE sequence = 3");
    assert_replay_fails(0, QD_EDATA, "event 3: column outcome: missing, or no outcome");
}
END_TEST

START_TEST(a_session_of_an_unknown_policy_or_size_is_refused) {
    record_small_session();
    meddle("UPDATE session SET policy = 'lottery'");
    assert_replay_fails(0, QD_EDATA,
                        "session 1: no scheduling policy 'lottery'; there are: fifo, sjf, easy, "
                        "conservative, multifactor, attained");
    meddle("UPDATE session SET policy = 'fifo', worker_ranks = 0");
    assert_replay_fails(0, QD_EDATA, "session 1 of 0 worker ranks");
}
END_TEST

/* ---- what the file holds ---- */

START_TEST(a_shell_reads_events_and_actions_as_text) {
    record_small_session();
    ck_assert_str_eq(ask("SELECT kind || ' ' || rank FROM event WHERE sequence = 1"),
                     "WORKER_READY 1");
    ck_assert_str_eq(ask("SELECT name || ' ' || ranks_min FROM event WHERE kind = 'SUBMIT'"),
                     "job-1 1");
    ck_assert_str_eq(ask("SELECT outcome || ' ' || exit_code || ' ' || text FROM event"
                         " WHERE sequence = 3"),
                     "FAILED -4 disk full");
    ck_assert_str_eq(ask("SELECT text FROM action WHERE sequence = 2 AND position = 3"),
                     "START job 1 attempt 1 epoch 1 ranks 1: its turn");
    ck_assert_str_eq(ask("SELECT count(*) FROM session WHERE ended_utc >= began_utc"), "1");
}
END_TEST

START_TEST(columns_of_other_kinds_stay_empty) {
    record_small_session();
    ck_assert_str_eq(ask("SELECT count(*) FROM event WHERE kind = 'WORKER_READY' AND job IS NULL"
                         " AND outcome IS NULL AND text IS NULL AND ranks_min IS NULL"),
                     "1");
    ck_assert_str_eq(ask("SELECT count(*) FROM event WHERE kind = 'SUBMIT' AND rank IS NULL"), "1");
}
END_TEST

START_TEST(the_text_of_a_job_is_kept_beside_its_events) {
    qd_journal *journal;
    ck_assert_int_eq(qd_journal_open(path, 1, scheduling_of("fifo"), &journal), 0);
    ck_assert_int_eq(qd_journal_record_job(journal, 7, "name: seven\nseed: 1\n"), 0);
    ck_assert_str_eq(ask("SELECT text FROM job WHERE session = 1 AND job = 7"),
                     "name: seven\nseed: 1\n");
    ck_assert_int_eq(qd_journal_record_job(journal, 7, "again"), QD_EIO);
    assert_message_has("UNIQUE constraint failed");
    qd_journal_close(journal);
}
END_TEST

START_TEST(a_closed_journal_is_one_plain_file) {
    record_small_session();
    ck_assert_str_ne(ask("PRAGMA journal_mode"), "wal");
    char beside[700];
    snprintf(beside, sizeof beside, "%s-wal", path);
    ck_assert(!qd_file_exists(beside));
}
END_TEST

START_TEST(destroying_nothing_is_fine) {
    qd_journal_close(NULL);
}
END_TEST

/* ---- crashes ---- */

/* In a child: records ever new jobs, and says so with one byte each, until it is killed. */
static void record_for_ever(int tell) {
    qd_journal *journal;
    qd_core *core;
    qd_action_list actions;
    if (qd_journal_open(path, 1, scheduling_of("fifo"), &journal) ||
        qd_core_create(1, scheduling_of("fifo"), &core))
        _exit(1);
    for (int64_t i = 0;; i++) {
        qd_event event = i == 0 ? ready(1) : submit(i, 1, 1);
        event.time_ns = i;
        if (qd_core_handle(core, &event, &actions) ||
            qd_journal_record(journal, &event, &actions) || write(tell, "x", 1) != 1)
            _exit(1);
    }
}

static void assert_ended_by(pid_t child, int signal_number) {
    int status;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == signal_number);
}

START_TEST(a_journal_cut_short_by_a_kill_is_a_valid_shorter_journal) {
    int told[2];
    char bytes[64];
    ssize_t events = 0, got;
    ck_assert_int_eq(pipe(told), 0);
    pid_t child = fork();
    if (child == 0)
        record_for_ever(told[1]);
    close(told[1]);
    while (events < 20 + 13 * _i && (got = read(told[0], bytes, 1)) > 0)
        events += got;
    kill(child, SIGKILL);
    while ((got = read(told[0], bytes, sizeof bytes)) > 0)
        events += got;
    close(told[0]);
    assert_ended_by(child, SIGKILL);

    qd_core *core = NULL;
    ck_assert_msg(qd_journal_replay(path, 0, &core) == 0, "%s", qd_error_message());
    int jobs = qd_core_job_count(core);
    /* All that was acknowledged; perhaps one more, whose byte was not sent. */
    ck_assert_int_ge(jobs, (int)events - 1);
    ck_assert_int_le(jobs, (int)events);
    qd_core_destroy(core);
    ck_assert_str_eq(ask("SELECT count(*) FROM session WHERE ended_utc IS NULL"), "1");
    /* And life goes on in the same file. */
    uint64_t digest = record_small_session();
    ck_assert_uint_eq(replayed_digest(2), digest);
}
END_TEST

/* ---- what cannot be opened or written ---- */

static void write_file(const void *bytes, size_t length) {
    ck_assert_int_eq(qd_file_replace(path, bytes, length), 0);
}

START_TEST(a_file_that_is_no_database_is_refused_and_left_alone) {
    const char text[] = "name: fashion-mlp\nseed: 1\n# no database, however long the text may be\n";
    write_file(text, sizeof text - 1);
    assert_open_fails(QD_EDATA, "file is not a database, so it cannot be a journal of quadrille");
    assert_replay_fails(0, QD_EDATA, "file is not a database");
    char *bytes;
    size_t length;
    ck_assert_int_eq(qd_file_read(path, 4096, &bytes, &length), 0);
    ck_assert_str_eq(bytes, text);
    free(bytes);
}
END_TEST

START_TEST(a_database_of_another_program_is_refused_and_left_alone) {
    meddle("CREATE TABLE recipes (name TEXT)");
    assert_open_fails(QD_EDATA, "an SQLite file of another program (application id 0)");
    assert_replay_fails(0, QD_EDATA, "an SQLite file of another program");
    meddle("PRAGMA application_id = 42");
    assert_open_fails(QD_EDATA, "(application id 42), no journal of quadrille");
    ck_assert_str_eq(ask("SELECT count(*) FROM sqlite_master"), "1");
    ck_assert_str_eq(ask("PRAGMA journal_mode"), "delete");
}
END_TEST

START_TEST(a_journal_of_a_newer_format_is_refused) {
    record_small_session();
    meddle("PRAGMA user_version = 7");
    assert_open_fails(QD_EDATA, "a journal of format 7; this quadrille knows format 6");
    assert_replay_fails(0, QD_EDATA, "a journal of format 7; this quadrille knows format 6");
}
END_TEST

START_TEST(an_empty_file_becomes_a_journal_but_is_none_to_replay) {
    write_file("", 0);
    assert_replay_fails(0, QD_EDATA, "empty, no journal of quadrille");
    uint64_t digest = record_small_session();
    ck_assert_uint_eq(replayed_digest(0), digest);
}
END_TEST

/* Of a file that lacks less than a page SQLite takes the rest for zeros; the replay still sees that
 * something is not as it was recorded. */
START_TEST(a_truncated_file_is_refused) {
    record_small_session();
    struct stat st;
    ck_assert_int_eq(stat(path, &st), 0);
    const off_t lengths[] = {st.st_size - 4096, st.st_size / 2, 4096, 1000, 100, 10};
    ck_assert_int_eq(truncate(path, st.st_size - 1), 0);
    assert_replay_fails(0, QD_EDATA, "");
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        ck_assert_int_eq(truncate(path, lengths[i]), 0);
        const char *words =
            lengths[i] < 100 ? "file is not a database" : "malformed (damaged or cut short)";
        assert_replay_fails(0, QD_EDATA, words);
        assert_open_fails(QD_EDATA, words);
    }
}
END_TEST

START_TEST(a_file_that_is_not_there_cannot_be_replayed) {
    assert_replay_fails(0, QD_EIO, "unable to open database file: No such file or directory");
    ck_assert(!qd_file_exists(path));
}
END_TEST

START_TEST(a_folder_that_is_not_there_is_named) {
    snprintf(path, sizeof path, "%s/missing/journal.sqlite", folder);
    assert_open_fails(QD_EIO, "open: No such file or directory");
}
END_TEST

enum { NOBODY = 65534 };

/* Root may write everywhere, so this is done in a child as somebody else. */
START_TEST(a_read_only_folder_is_refused_for_writing_and_fine_for_replay) {
    uint64_t digest = record_small_session();
    char other[700];
    snprintf(other, sizeof other, "%s/other.sqlite", folder);
    ck_assert_int_eq(chmod(path, 0444), 0);
    ck_assert_int_eq(chmod(folder, 0555), 0);
    pid_t child = fork();
    if (child == 0) {
        if (geteuid() == 0 && seteuid(NOBODY) != 0)
            _exit(2);
        qd_core *core = NULL;
        if (qd_journal_replay(path, 0, &core) || qd_core_digest(core) != digest)
            _exit(3);
        qd_core_destroy(core);
        qd_journal *journal = NULL;
        if (qd_journal_open(path, 1, scheduling_of("fifo"), &journal) != QD_EIO ||
            !strstr(qd_error_message(), "readonly database"))
            _exit(4);
        if (qd_journal_open(other, 1, scheduling_of("fifo"), &journal) != QD_EIO ||
            !strstr(qd_error_message(), "open: Permission denied"))
            _exit(5);
        _exit(0);
    }
    int status;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    chmod(folder, 0755);
    ck_assert(WIFEXITED(status));
    ck_assert_int_eq(WEXITSTATUS(status), 0);
}
END_TEST

/* Stands in for a full disk: the file may not grow further. */
START_TEST(a_record_that_finds_no_room_is_an_error_and_leaves_the_journal_whole) {
    qd_journal *journal;
    qd_core *core;
    qd_action_list actions;
    struct rlimit before, limit;
    int rc = 0;
    ck_assert_int_eq(qd_journal_open(path, 1, scheduling_of("fifo"), &journal), 0);
    ck_assert_int_eq(qd_core_create(1, scheduling_of("fifo"), &core), 0);
    record(journal, core, ready(1));
    signal(SIGXFSZ, SIG_IGN);
    ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &before), 0);
    limit = before;
    limit.rlim_cur = 256 * 1024;
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    uint64_t recorded = 0;
    for (int64_t job = 1; !rc && job < 10000; job++) {
        qd_event event = submit(job, 1, 1);
        recorded = qd_core_digest(core);
        ck_assert_int_eq(qd_core_handle(core, &event, &actions), 0);
        rc = qd_journal_record(journal, &event, &actions);
    }
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &before), 0);
    ck_assert_int_eq(rc, QD_EIO);
    assert_message_has(path);
    ck_assert_uint_eq(replayed_digest(0), recorded);
    qd_core_destroy(core);
    qd_journal_close(journal);
}
END_TEST

/* ---- several processes ---- */

START_TEST(a_writer_held_off_by_another_process_errs_after_the_busy_deadline) {
    record_small_session();
    sqlite3 *other;
    ck_assert_int_eq(sqlite3_open(path, &other), SQLITE_OK);
    ck_assert_int_eq(sqlite3_exec(other, "BEGIN EXCLUSIVE", NULL, NULL, NULL), SQLITE_OK);
    int64_t start = qd_clock_now_ns();
    assert_open_fails(QD_EIO, "another process held it for more than 5 s");
    double waited_s = (double)(qd_clock_now_ns() - start) * 1e-9;
    ck_assert_double_ge(waited_s, 4.5);
    ck_assert_double_le(waited_s, 20);
    sqlite3_close(other);
}
END_TEST

START_TEST(a_writer_waits_while_another_process_writes) {
    record_small_session();
    int told[2];
    char byte;
    ck_assert_int_eq(pipe(told), 0);
    pid_t child = fork();
    if (child == 0) {
        sqlite3 *other;
        if (sqlite3_open(path, &other) ||
            sqlite3_exec(other, "BEGIN EXCLUSIVE", NULL, NULL, NULL) || write(told[1], "x", 1) != 1)
            _exit(1);
        usleep(500 * 1000);
        sqlite3_exec(other, "ROLLBACK", NULL, NULL, NULL);
        sqlite3_close(other);
        _exit(0);
    }
    close(told[1]);
    ck_assert_int_eq(read(told[0], &byte, 1), 1);
    close(told[0]);
    uint64_t digest = record_small_session();
    ck_assert_uint_eq(replayed_digest(2), digest);
    int status;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
}
END_TEST

START_TEST(processes_that_open_a_fresh_file_at_once_each_get_a_session) {
    enum { PROCESSES = 6 };
    for (int i = 0; i < PROCESSES; i++)
        if (fork() == 0) {
            record_small_session();
            _exit(0);
        }
    for (int i = 0; i < PROCESSES; i++) {
        int status;
        ck_assert_int_gt(wait(&status), 0);
        ck_assert(WIFEXITED(status));
        ck_assert_int_eq(WEXITSTATUS(status), 0);
    }
    ck_assert_str_eq(ask("SELECT count(*) FROM session"), "6");
    for (int64_t session = 2; session <= PROCESSES; session++)
        ck_assert_uint_eq(replayed_digest(session), replayed_digest(1));
}
END_TEST

static void add_replay(TCase *tc) {
    tcase_add_loop_test(tc, replay_equals_the_live_state_at_every_prefix, 0, 4);
    tcase_add_test(tc, an_empty_session_replays_to_a_fresh_core);
    tcase_add_test(tc, two_sessions_share_a_file);
    tcase_add_test(tc, the_first_action_that_differs_is_named);
    tcase_add_test(tc, a_missing_or_spare_action_is_named);
    tcase_add_test(tc, an_event_the_core_refuses_is_named);
    tcase_add_test(tc, events_that_are_none_are_named);
    tcase_add_test(tc, a_session_of_an_unknown_policy_or_size_is_refused);
    tcase_add_test(tc, a_shell_reads_events_and_actions_as_text);
    tcase_add_test(tc, columns_of_other_kinds_stay_empty);
    tcase_add_test(tc, the_text_of_a_job_is_kept_beside_its_events);
    tcase_add_test(tc, a_closed_journal_is_one_plain_file);
    tcase_add_test(tc, destroying_nothing_is_fine);
}

static void add_trouble(TCase *tc) {
    tcase_add_loop_test(tc, a_journal_cut_short_by_a_kill_is_a_valid_shorter_journal, 0, 5);
    tcase_add_test(tc, a_file_that_is_no_database_is_refused_and_left_alone);
    tcase_add_test(tc, a_database_of_another_program_is_refused_and_left_alone);
    tcase_add_test(tc, a_journal_of_a_newer_format_is_refused);
    tcase_add_test(tc, an_empty_file_becomes_a_journal_but_is_none_to_replay);
    tcase_add_test(tc, a_truncated_file_is_refused);
    tcase_add_test(tc, a_file_that_is_not_there_cannot_be_replayed);
    tcase_add_test(tc, a_folder_that_is_not_there_is_named);
    tcase_add_test(tc, a_read_only_folder_is_refused_for_writing_and_fine_for_replay);
    tcase_add_test(tc, a_record_that_finds_no_room_is_an_error_and_leaves_the_journal_whole);
    tcase_add_test(tc, a_writer_held_off_by_another_process_errs_after_the_busy_deadline);
    tcase_add_test(tc, a_writer_waits_while_another_process_writes);
    tcase_add_test(tc, processes_that_open_a_fresh_file_at_once_each_get_a_session);
}

int main(void) {
    Suite *suite = suite_create("journal");
    TCase *tc = tcase_create("journal");
    tcase_add_unchecked_fixture(tc, make_root, remove_root);
    tcase_add_checked_fixture(tc, make_folder, NULL);
    tcase_set_timeout(tc, 60);
    suite_add_tcase(suite, tc);
    add_replay(tc);
    add_trouble(tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int bad = srunner_ntests_failed(runner);
    srunner_free(runner);
    return bad != 0;
}
