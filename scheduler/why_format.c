#include "scheduler/profile.h"
#include "scheduler/why.h"

static double seconds(int64_t from_ns, int64_t to_ns) {
    return (double)(to_ns - from_ns) * 1e-9;
}

/* " LABEL in 95.0 s", " LABEL unknown" */
static void add_instant(const qd_why *why, const char *label, int64_t at_ns, qd_text *out) {
    if (at_ns == QD_NEVER)
        qd_text_add(out, " %s at an unknown time", label);
    else
        qd_text_add(out, " %s in %.1f s", label, seconds(why->now_ns, at_ns));
}

static void add_blockers(const qd_why *why, const qd_why_reason *reason, qd_text *out) {
    int shown = reason->blocker_count < QD_WHY_BLOCKERS ? reason->blocker_count : QD_WHY_BLOCKERS;
    bool ends = reason->reason != QD_REASON_PRIORITY;
    for (int i = 0; i < shown; i++) {
        const qd_blocker *blocker = &reason->blockers[i];
        const char *before = i > 0 ? ", " : shown > 1 ? "; jobs " : "; job ";
        qd_text_add(out, "%s%lld", before, (long long)blocker->job);
        if (ends && blocker->until_ns == QD_NEVER)
            qd_text_add(out, " (end unknown)");
        else if (ends)
            qd_text_add(out, " (ends in %.1f s%s)", seconds(why->now_ns, blocker->until_ns),
                        blocker->overdue ? ", overdue" : "");
    }
    if (reason->blocker_count > shown)
        qd_text_add(out, " and %d more", reason->blocker_count - shown);
}

static void add_reason(const qd_why *why, const qd_why_reason *reason, qd_text *out) {
    qd_text_add(out, "  %s for %.1f s", qd_reason_names[reason->reason],
                seconds(reason->since_ns, why->now_ns));
    if (reason->reason == QD_REASON_NODES)
        qd_text_add(out, "; needs %d rank%s, drained or not come yet: %d", why->ranks,
                    qd_plural(why->ranks), reason->ranks);
    else if (reason->reason == QD_REASON_CLEANING)
        qd_text_add(out, "; members that have not answered: %d", reason->ranks);
    else if (reason->reason == QD_REASON_RESERVATION || reason->reason == QD_REASON_MAINTENANCE)
        qd_text_add(out, "; reservation %s", reason->reservation);
    else if (reason->reason == QD_REASON_QUOTA)
        qd_text_add(out, "; needs %d rank%s, now %s may have %d more", why->ranks,
                    qd_plural(why->ranks), reason->team, reason->ranks);
    else if (reason->team[0])
        qd_text_add(out, "; of %s", reason->team);
    else if (reason->reason == QD_REASON_RESOURCES)
        qd_text_add(out, "; needs %d rank%s, free: %d", why->ranks, qd_plural(why->ranks),
                    reason->ranks);
    else if (reason->reason == QD_REASON_PLACE)
        qd_text_add(out, "; %s; free together: %d; with those that may make room: %d", why->demand,
                    reason->ranks, reason->most);
    if (reason->until_ns != QD_NEVER)
        qd_text_add(out, "; for another %.1f s, as predicted",
                    seconds(why->now_ns, reason->until_ns));
    add_blockers(why, reason, out);
    qd_text_add(out, "\n");
}

void qd_why_format(const qd_why *why, qd_text *out) {
    qd_text_add(out, "job %lld %s for %.1f s: %s\n", (long long)why->job,
                qd_job_state_names[why->state], seconds(why->since_ns, why->now_ns), why->text);
    if (why->state == QD_STATE_PENDING) {
        qd_text_add(out, "  waited %.1f s, predicted to", (double)why->age_ns * 1e-9);
        add_instant(why, "start", why->start_ns, out);
        qd_text_add(out, "\n");
    } else if (why->state == QD_STATE_RUNNING || why->state == QD_STATE_RESIZING) {
        qd_text_add(out, "  on %d rank%s, predicted to", why->ranks, qd_plural(why->ranks));
        add_instant(why, "end", why->end_ns, out);
        qd_text_add(out, "\n");
    }
    for (int i = 0; i < why->count; i++)
        add_reason(why, &why->reasons[i], out);
}
