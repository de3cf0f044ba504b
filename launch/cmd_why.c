#include <argp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "launch/command.h"
#include "launch/why_report.h"
#include "runtime/error.h"
#include "scheduler/journal.h"

enum { KEY_JSON = 256, KEY_JOURNAL, KEY_SESSION, KEY_IF };

typedef struct why_options {
    const char *journal, *job; /* job: its number or name; NULL: all that have not ended */
    int64_t session;
    bool json, ask_if;
    qd_what_if what_if;
} why_options;

/* A whole number within bounds; false: it is none. */
static bool read_number(const char *word, int64_t least, int64_t most, int64_t *number) {
    char *end;
    long long n = strtoll(word, &end, 10);
    *number = n;
    return *word != '\0' && *end == '\0' && n >= least && n <= most;
}

/* "90", "90s", "15m", "1.5h", "2d" */
static bool read_time(const char *word, int64_t *time_ns) {
    static const struct {
        const char *unit;
        double seconds;
    } units[] = {{"", 1}, {"s", 1}, {"m", 60}, {"h", 3600}, {"d", 86400}};
    char *end;
    double time = strtod(word, &end);
    for (size_t i = 0; end != word && i < sizeof units / sizeof units[0]; i++) {
        double s = time * units[i].seconds;
        *time_ns = s > 0 && s <= 1e9 ? (int64_t)(s * 1e9) : 0;
        if (strcmp(end, units[i].unit) == 0)
            return *time_ns > 0;
    }
    return false;
}

static void parse_if(struct argp_state *state, const char *argument, why_options *options) {
    qd_what_if *w = &options->what_if;
    const char *value = strchr(argument, '=');
    size_t key = value ? (size_t)(value - argument) : 0;
    int64_t number;
    options->ask_if = true;
    if (key == 10 && memcmp(argument, "importance", key) == 0 &&
        read_number(value + 1, -100, 100, &number)) {
        w->importance_is_set = true;
        w->importance = (int)number;
    } else if (key == 5 && memcmp(argument, "ranks", key) == 0 &&
               read_number(value + 1, 1, 1 << 24, &number)) {
        w->ranks_is_set = true;
        w->ranks = (int)number;
    } else if (key == 4 && memcmp(argument, "time", key) == 0 &&
               read_time(value + 1, &w->time_ns)) {
        w->time_is_set = true;
    } else {
        argp_error(state,
                   "--if=%s: accepted: importance=-100 .. 100, ranks=N, time=SECONDS or with m, h "
                   "or d behind",
                   argument);
    }
}

static error_t parse_option(int key, char *argument, struct argp_state *state) {
    why_options *options = state->input;
    switch (key) {
    case KEY_JSON:
        options->json = true;
        return 0;
    case KEY_JOURNAL:
        options->journal = argument;
        return 0;
    case KEY_SESSION:
        if (!read_number(argument, 1, INT64_MAX, &options->session))
            argp_error(state, "--session=%s: accepted: a whole number from 1 on", argument);
        return 0;
    case KEY_IF:
        parse_if(state, argument, options);
        return 0;
    case ARGP_KEY_ARG:
        if (options->job)
            argp_error(state, "one job at a time");
        options->job = argument;
        return 0;
    case ARGP_KEY_END:
        if (options->ask_if && !options->job)
            argp_error(state, "--if asks about one job; name it");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static bool is_asked_for(const why_options *options, const qd_job_view *view) {
    char number[32];
    if (!options->job)
        return !qd_job_has_ended(view->state);
    snprintf(number, sizeof number, "%lld", (long long)view->job);
    return strcmp(options->job, number) == 0 || strcmp(options->job, view->name) == 0;
}

static int answer(const qd_core *core, const why_options *options) {
    int found = 0;
    for (int i = 0; i < qd_core_job_count(core); i++) {
        qd_job_view view;
        qd_why why;
        qd_core_job(core, i, &view);
        if (!is_asked_for(options, &view))
            continue;
        found++;
        int rc = options->ask_if ? qd_why_if(core, view.job, &options->what_if, &why)
                                 : qd_why_ask(core, view.job, &why);
        if (!rc)
            rc = options->json ? qd_why_print_json(&why, view.name)
                               : qd_why_print_text(&why, view.name);
        if (rc)
            return rc == QD_EPROTO ? QD_EUSAGE : rc;
    }
    if (options->job && found == 0)
        return qd_error_set(QD_EUSAGE, "%s: its newest session has no job \"%s\"; there are %d",
                            options->journal, options->job, qd_core_job_count(core));
    return 0;
}

int qd_command_why(int argc, char **argv) {
    static const struct argp_option option_table[] = {
        {"journal", KEY_JOURNAL, "FILE", 0, "journal of the runs (default: runs/journal.sqlite)",
         0},
        {"session", KEY_SESSION, "N", 0, "of its Nth session (default: the newest)", 0},
        {"if", KEY_IF, "KEY=VALUE", 0,
         "how it would stand with importance=N, ranks=N or time=T; may be repeated", 0},
        {"json", KEY_JSON, NULL, 0, "a line of JSON for each job", 0},
        {0},
    };
    static const struct argp parser = {
        .options = option_table,
        .parser = parse_option,
        .args_doc = "[JOB]",
        .doc = "Tells why a job stands as it does: all reasons, the strongest first, who stands in "
               "its way, since when and until when, and when it is predicted to start. Read from "
               "the journal, up to the last thing that happened; also while the session is on. "
               "JOB is a number or a name; default: all jobs that have not ended.",
    };
    why_options options = {.journal = "runs/journal.sqlite"};
    argp_parse(&parser, argc, argv, 0, NULL, &options);
    qd_core *core = NULL;
    int rc = qd_journal_replay(options.journal, options.session, &core);
    if (!rc)
        rc = answer(core, &options);
    qd_core_destroy(core);
    return rc ? qd_command_fail(rc) : EX_OK;
}
