#include "launch/why_report.h"

#include <jansson.h>
#include <stdio.h>

#include "runtime/error.h"

int qd_why_print_text(const qd_why *why, const char *name) {
    qd_text text = {0};
    qd_why_format(why, &text);
    if (text.failed)
        return qd_error_set(QD_ENOMEM, "no memory for why job %lld waits", (long long)why->job);
    printf("%s: %s", name, text.bytes);
    qd_text_fini(&text);
    return 0;
}

static json_t *instant(const qd_why *why, int64_t at_ns) {
    return at_ns == INT64_MAX ? json_null() : json_real((double)(at_ns - why->now_ns) * 1e-9);
}

static json_t *reason_json(const qd_why *why, const qd_why_reason *reason) {
    json_t *jobs = json_array();
    for (int i = 0; i < reason->blocker_count && i < QD_WHY_BLOCKERS; i++) {
        const qd_blocker *b = &reason->blockers[i];
        json_array_append_new(jobs,
                              json_pack("{s:I, s:o, s:b}", "job", (json_int_t)b->job, "until_s",
                                        instant(why, b->until_ns), "overdue", b->overdue));
    }
    return json_pack("{s:s, s:o, s:o, s:i, s:i, s:o}", "reason", qd_reason_names[reason->reason],
                     "since_s", instant(why, reason->since_ns), "until_s",
                     instant(why, reason->until_ns), "ranks", reason->ranks, "blocking",
                     reason->blocker_count, "jobs", jobs);
}

int qd_why_print_json(const qd_why *why, const char *name) {
    json_t *reasons = json_array();
    for (int i = 0; i < why->count; i++)
        json_array_append_new(reasons, reason_json(why, &why->reasons[i]));
    json_t *root =
        json_pack("{s:I, s:s, s:s, s:s, s:o, s:i, s:f, s:o, s:o, s:o}", "job", (json_int_t)why->job,
                  "name", name, "state", qd_job_state_names[why->state], "text", why->text,
                  "since_s", instant(why, why->since_ns), "ranks", why->ranks, "waited_s",
                  (double)why->age_ns * 1e-9, "start_s", instant(why, why->start_ns), "end_s",
                  instant(why, why->end_ns), "reasons", reasons);
    if (!root)
        return qd_error_set(QD_ENOMEM, "no memory for why job %lld waits", (long long)why->job);
    json_dumpf(root, stdout, JSON_COMPACT);
    putchar('\n');
    json_decref(root);
    return 0;
}
