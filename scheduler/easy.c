#include <stdio.h>

#include "scheduler/core_internal.h"
#include "scheduler/policy.h"
#include "scheduler/room.h"
#include "scheduler/together.h"

static void start(qd_core *core, const qd_queue_entry *entry, const char *why) {
    qd_job_start(core, qd_job_of_entry(entry), entry->ranks, why);
}

/* What the head is promised; sign -1: takes it off again. */
static void promise(qd_core *core, const qd_queue_entry *head, int64_t shadow, int sign) {
    qd_profile *profile = &core->timetable.profile;
    qd_profile_add(profile, shadow, -sign * head->ranks);
    qd_profile_add(profile, qd_time_after(shadow, head->run_ns), sign * head->ranks);
}

/* A start may have put the head out of the queue (singleton.h), and changes what teams may have. */
static bool goes_on(qd_core *core, const qd_queue_entry *head) {
    if (core->quotas)
        core->policy->set_room(core);
    return qd_job_of_entry(head)->gate == QD_GATE_OPEN;
}

/* As below, where free ranks come and go again: in several gaps, found anew after each start. */
static bool backfill_beside_reservations(qd_core *core, const qd_queue_entry *head,
                                         int64_t now_free, int64_t shadow, const char *why) {
    const qd_queue_entry *last = head, *next, promised = *head;
    qd_queue_entry place; /* of the last one that was looked at */
    qd_gap gaps[QD_GAPS];
    bool goes = true;
    promise(core, &promised, shadow, 1);
    while (goes && (next = qd_queue_fitting_any(&core->queue, last, gaps,
                                                qd_room_gaps(core, now_free, gaps)))) {
        place = *next;
        last = &place;
        if (!qd_fits_now(core, qd_job_of_entry(next), next->ranks))
            continue;
        now_free -= next->ranks;
        start(core, next, why);
        goes = goes_on(core, head);
    }
    promise(core, &promised, shadow, -1);
    return goes;
}

bool qd_backfill(qd_core *core, const qd_queue_entry *head, int64_t now_free) {
    if (qd_is_choosy(qd_job_of_entry(head)))
        return qd_backfill_around(core, head, now_free);
    qd_profile *profile = &core->timetable.profile;
    int64_t shadow = core->book.count > 0
                         ? qd_room_earliest_ns(core, profile, head, core->now_ns)
                         : qd_profile_first_with(profile, core->now_ns, head->ranks);
    if (shadow == QD_NEVER)
        return true;
    char why[QD_REASON_WORDS_BYTES];
    snprintf(why, sizeof why, "does not delay job %lld", (long long)head->job);
    if (core->book.count > 0)
        return backfill_beside_reservations(core, head, now_free, shadow, why);
    int64_t spare = qd_profile_free_at(profile, shadow) - head->ranks;
    const qd_queue_entry *last = head;
    qd_queue_entry place; /* of the last one that was looked at */
    for (;;) {
        qd_gap gap = {.ranks = now_free,
                      .beyond = spare < now_free ? spare : now_free,
                      .window_ns = shadow - core->now_ns};
        qd_queue_entry *next = qd_queue_fitting(&core->queue, last, &gap);
        if (!next)
            return true;
        place = *next;
        last = &place;
        if (!qd_fits_now(core, qd_job_of_entry(next), next->ranks))
            continue; /* enough ranks, but not together */
        if (next->run_ns > gap.window_ns)
            spare -= next->ranks;
        now_free -= next->ranks;
        start(core, next, why);
        if (!goes_on(core, head))
            return false;
    }
}

void qd_decide_easy(qd_core *core) {
    for (;;) {
        const qd_queue_entry *head = qd_queue_first(&core->queue);
        if (!head)
            return;
        if (head->ranks <= core->timetable.profile.now_free &&
            qd_fits_now(core, qd_job_of_entry(head), head->ranks))
            start(core, head, "its turn");
        else if (qd_backfill(core, head, core->timetable.profile.now_free))
            return;
    }
}

int64_t qd_wake_overdue_ns(const qd_core *core) {
    const qd_job_record *job = qd_timetable_first_end(&core->timetable);
    return job ? job->due_ns : QD_NEVER;
}
