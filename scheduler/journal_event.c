#include "scheduler/journal_event.h"

#include <limits.h>
#include <stdbool.h>
#include <string.h>

#include "runtime/error.h"
#include "scheduler/gang.h"

/* Offsets from the first column; the order of QD_JOURNAL_EVENT_COLUMNS. */
enum {
    TIME_NS,
    KIND,
    MORE,
    JOB,
    ATTEMPT,
    RANK,
    OUTCOME,
    EXIT_CODE,
    NAME,
    RANKS_MIN,
    RANKS_MAX,
    RANKS_STEP,
    ESTIMATE_NS,
    LIMIT_NS,
    DEADLINE_NS,
    IMPORTANCE,
    NICE,
    ACCOUNT,
    HELD,
    BEGIN_NS,
    AFTER,
    ARRAY,
    ARRAY_MOST,
    KEEPS_RANKS,
    TELLS,
    WITHIN,
    DEMAND_BYTES,
    PEERS,
    HOST,
    ISLAND,
    MEMORY_BYTES,
    STEP,
    SAVED,
    STEPS,
    RESERVATION,
    RESERVED,
    RESERVED_NAME,
    RESERVED_KIND,
    RESERVED_RANKS,
    RESERVED_ACCOUNT,
    FROM_NS,
    UNTIL_NS,
    EVERY_NS,
    BUSY_NS,
    TEXT
};

#define BIT(column) (UINT64_C(1) << (column))
static const uint64_t columns_of[QD_EVENTS] = {
    [QD_EVENT_WORKER_READY] = BIT(RANK) | BIT(HOST) | BIT(ISLAND) | BIT(MEMORY_BYTES),
    [QD_EVENT_WORKER_LOST] = BIT(RANK) | BIT(TEXT),
    [QD_EVENT_SUBMIT] = BIT(JOB) | BIT(NAME) | BIT(RANKS_MIN) | BIT(RANKS_MAX) | BIT(RANKS_STEP) |
                        BIT(ESTIMATE_NS) | BIT(LIMIT_NS) | BIT(DEADLINE_NS) | BIT(IMPORTANCE) |
                        BIT(NICE) | BIT(ACCOUNT) | BIT(HELD) | BIT(BEGIN_NS) | BIT(AFTER) |
                        BIT(ARRAY) | BIT(ARRAY_MOST) | BIT(KEEPS_RANKS) | BIT(TELLS) | BIT(WITHIN) |
                        BIT(DEMAND_BYTES) | BIT(PEERS) | BIT(RESERVATION),
    [QD_EVENT_CLOSED] = 0,
    [QD_EVENT_MEMBER_ENDED] =
        BIT(JOB) | BIT(ATTEMPT) | BIT(RANK) | BIT(OUTCOME) | BIT(EXIT_CODE) | BIT(TEXT),
    [QD_EVENT_DRAIN] = BIT(TEXT),
    [QD_EVENT_CANCEL] = BIT(JOB) | BIT(TEXT),
    [QD_EVENT_HOLD] = BIT(JOB),
    [QD_EVENT_RELEASE] = BIT(JOB),
    [QD_EVENT_LIMIT] = BIT(JOB) | BIT(LIMIT_NS),
    [QD_EVENT_PRIORITY] = BIT(JOB) | BIT(IMPORTANCE),
    [QD_EVENT_RESIZE] = BIT(JOB) | BIT(RANKS_MIN) | BIT(TEXT),
    [QD_EVENT_RANK_DRAIN] = BIT(RANK) | BIT(TEXT),
    [QD_EVENT_RANK_RESUME] = BIT(RANK),
    [QD_EVENT_PROGRESS] = BIT(JOB) | BIT(ATTEMPT) | BIT(STEP) | BIT(SAVED) | BIT(STEPS),
    [QD_EVENT_RESERVE] = BIT(RESERVED) | BIT(RESERVED_NAME) | BIT(RESERVED_KIND) |
                         BIT(RESERVED_RANKS) | BIT(RESERVED_ACCOUNT) | BIT(FROM_NS) |
                         BIT(UNTIL_NS) | BIT(EVERY_NS),
    [QD_EVENT_UNRESERVE] = BIT(RESERVED),
    [QD_EVENT_RANK_TIME] = BIT(JOB) | BIT(ATTEMPT) | BIT(RANK) | BIT(BUSY_NS),
    [QD_EVENT_TIME] = 0,
};

/* Where in an event a column is kept. */
typedef struct field {
    const char *name;
    size_t offset;
    size_t text_bytes; /* 0: a number */
    bool is_long;      /* an int64_t, not an int */
} field;

#define FIELD(member) offsetof(qd_event, member)
static const field plain_columns[] = {
    [ATTEMPT] = {"attempt", FIELD(attempt), 0, false},
    [RANK] = {"rank", FIELD(rank), 0, false},
    [EXIT_CODE] = {"exit_code", FIELD(exit_code), 0, false},
    [NAME] = {"name", FIELD(submit.name), QD_JOB_NAME_BYTES, false},
    [RANKS_MIN] = {"ranks_min", FIELD(submit.ranks_min), 0, false},
    [RANKS_MAX] = {"ranks_max", FIELD(submit.ranks_max), 0, false},
    [RANKS_STEP] = {"ranks_step", FIELD(submit.ranks_step), 0, false},
    [ESTIMATE_NS] = {"estimate_ns", FIELD(submit.estimate_ns), 0, true},
    [LIMIT_NS] = {"limit_ns", FIELD(submit.limit_ns), 0, true},
    [DEADLINE_NS] = {"deadline_ns", FIELD(submit.deadline_ns), 0, true},
    [IMPORTANCE] = {"importance", FIELD(submit.importance), 0, false},
    [NICE] = {"nice", FIELD(submit.nice), 0, false},
    [ACCOUNT] = {"account", FIELD(submit.account), 0, false},
    [HELD] = {"held", FIELD(submit.held), 0, false},
    [BEGIN_NS] = {"begin_ns", FIELD(submit.begin_ns), 0, true},
    [AFTER] = {"after", FIELD(submit.after), QD_AFTER_BYTES, false},
    [ARRAY] = {"array", FIELD(submit.array), 0, true},
    [ARRAY_MOST] = {"array_most", FIELD(submit.array_most), 0, false},
    [KEEPS_RANKS] = {"keeps_ranks", FIELD(submit.keeps_ranks), 0, false},
    [TELLS] = {"tells", FIELD(submit.tells), 0, false},
    [WITHIN] = {"within", FIELD(submit.demand.within), 0, false},
    [DEMAND_BYTES] = {"demand_bytes", FIELD(submit.demand.memory_bytes), 0, true},
    [PEERS] = {"peers", FIELD(submit.demand.peers), 0, false},
    [HOST] = {"host", FIELD(place.host), 0, false},
    [ISLAND] = {"island", FIELD(place.island), 0, false},
    [MEMORY_BYTES] = {"memory_bytes", FIELD(place.memory_bytes), 0, true},
    [STEP] = {"step", FIELD(step), 0, true},
    [SAVED] = {"saved", FIELD(saved), 0, true},
    [STEPS] = {"steps", FIELD(steps), 0, true},
    [RESERVATION] = {"reservation", FIELD(submit.reservation), 0, true},
    [RESERVED] = {"reserved", FIELD(reserve.number), 0, true},
    [RESERVED_NAME] = {"reserved_name", FIELD(reserve.name), QD_RESERVATION_NAME_BYTES, false},
    [RESERVED_KIND] = {"reserved_kind", FIELD(reserve.kind), 0, false},
    [RESERVED_RANKS] = {"reserved_ranks", FIELD(reserve.ranks), 0, false},
    [RESERVED_ACCOUNT] = {"reserved_account", FIELD(reserve.account), 0, false},
    [FROM_NS] = {"from_ns", FIELD(reserve.from_ns), 0, true},
    [UNTIL_NS] = {"until_ns", FIELD(reserve.until_ns), 0, true},
    [EVERY_NS] = {"every_ns", FIELD(reserve.every_ns), 0, true},
    [BUSY_NS] = {"busy_ns", FIELD(busy_ns), 0, true},
    [TEXT] = {"text", FIELD(text), QD_EVENT_TEXT_BYTES, false},
};
enum { PLAIN_COLUMNS = sizeof plain_columns / sizeof plain_columns[0] };

static int bind_plain(sqlite3_stmt *statement, int parameter, const field *f,
                      const qd_event *event) {
    const char *at = (const char *)event + f->offset;
    if (f->text_bytes > 0)
        return sqlite3_bind_text(statement, parameter, at, -1, SQLITE_STATIC);
    if (f->is_long) {
        int64_t number;
        memcpy(&number, at, sizeof number);
        return sqlite3_bind_int64(statement, parameter, number);
    }
    int value;
    memcpy(&value, at, sizeof value);
    return sqlite3_bind_int(statement, parameter, value);
}

int qd_journal_event_bind(sqlite3_stmt *statement, int first, const qd_event *event) {
    uint64_t columns = columns_of[event->kind];
    int64_t job = event->kind == QD_EVENT_SUBMIT ? event->submit.job : event->job;
    int rc = sqlite3_clear_bindings(statement);
    if (rc == SQLITE_OK)
        rc = sqlite3_bind_int64(statement, first + TIME_NS, event->time_ns);
    if (rc == SQLITE_OK)
        rc = sqlite3_bind_text(statement, first + KIND, qd_event_names[event->kind], -1,
                               SQLITE_STATIC);
    if (rc == SQLITE_OK)
        rc = sqlite3_bind_int(statement, first + MORE, event->more);
    if (rc == SQLITE_OK && (columns & BIT(JOB)))
        rc = sqlite3_bind_int64(statement, first + JOB, job);
    if (rc == SQLITE_OK && (columns & BIT(OUTCOME)))
        rc = sqlite3_bind_text(statement, first + OUTCOME, qd_outcome_names[event->outcome], -1,
                               SQLITE_STATIC);
    for (int i = 0; rc == SQLITE_OK && i < PLAIN_COLUMNS; i++)
        if (plain_columns[i].name && (columns & BIT(i)))
            rc = bind_plain(statement, first + i, &plain_columns[i], event);
    return rc;
}

/* The place of the column's word in names; -1 when it is none of them. */
static int word(sqlite3_stmt *statement, int column, const char *const *names, int count) {
    const char *text = (const char *)sqlite3_column_text(statement, column);
    for (int i = 0; text && i < count; i++)
        if (strcmp(text, names[i]) == 0)
            return i;
    return -1;
}

static int read_plain(sqlite3_stmt *statement, int index, const field *f, qd_event *event) {
    char *at = (char *)event + f->offset;
    if (f->text_bytes > 0) {
        const char *text = (const char *)sqlite3_column_text(statement, index);
        size_t bytes = (size_t)sqlite3_column_bytes(statement, index);
        if (!text || bytes >= f->text_bytes)
            return qd_error_set(QD_EDATA, "column %s: missing, or longer than %zu bytes", f->name,
                                f->text_bytes - 1);
        memcpy(at, text, bytes + 1);
        return 0;
    }
    int64_t value = sqlite3_column_int64(statement, index);
    bool is_number = sqlite3_column_type(statement, index) == SQLITE_INTEGER;
    if (is_number && f->is_long) {
        memcpy(at, &value, sizeof value);
        return 0;
    }
    if (!is_number || value < INT_MIN || value > INT_MAX)
        return qd_error_set(QD_EDATA, "column %s: missing, or no 32-bit number", f->name);
    int number = (int)value;
    memcpy(at, &number, sizeof number);
    return 0;
}

/* What is not a plain int or text: the kind, the job, the outcome. */
static int read_words(sqlite3_stmt *statement, int first, qd_event *event) {
    int kind = word(statement, first + KIND, qd_event_names, QD_EVENTS);
    if (kind < 0)
        return qd_error_set(QD_EDATA, "column kind: no event is called '%s'",
                            (const char *)sqlite3_column_text(statement, first + KIND));
    event->kind = (qd_event_kind)kind;
    if (columns_of[kind] & BIT(JOB)) {
        if (sqlite3_column_type(statement, first + JOB) != SQLITE_INTEGER)
            return qd_error_set(QD_EDATA, "column job: missing");
        *(kind == QD_EVENT_SUBMIT ? &event->submit.job : &event->job) =
            sqlite3_column_int64(statement, first + JOB);
    }
    if (columns_of[kind] & BIT(OUTCOME)) {
        int outcome = word(statement, first + OUTCOME, qd_outcome_names, QD_OUTCOMES);
        if (outcome < 0)
            return qd_error_set(QD_EDATA, "column outcome: missing, or no outcome of a member");
        event->outcome = (qd_outcome)outcome;
    }
    return 0;
}

int qd_journal_event_read(sqlite3_stmt *statement, int first, qd_event *event) {
    *event = (qd_event){.time_ns = sqlite3_column_int64(statement, first + TIME_NS),
                        .more = sqlite3_column_int64(statement, first + MORE) != 0};
    int rc = read_words(statement, first, event);
    for (int i = 0; !rc && i < PLAIN_COLUMNS; i++)
        if (plain_columns[i].name && (columns_of[event->kind] & BIT(i)))
            rc = read_plain(statement, first + i, &plain_columns[i], event);
    return rc;
}
