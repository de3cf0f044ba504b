#include <stdio.h>

#include "collectives/group_state.h"
#include "runtime/error.h"

/* Polls before the clock is looked at; a peer that is at work needs fewer. */
enum { BLIND_POLLS = 64, LONGEST_SLEEP_US = 200, POLL_EVERY_NS = 1000000 };

int qd_wait_pause(qd_wait *wait) {
    qd_group *group = wait->group;
    const qd_group_config *config = &group->config;
    qd_backoff_pause(&wait->backoff, LONGEST_SLEEP_US);
    if (wait->backoff.polls < BLIND_POLLS)
        return 0;
    int64_t now = qd_clock_now_ns();
    if (wait->deadline == 0)
        wait->deadline = qd_deadline_in(config->deadline_s);
    if (config->poll && now >= group->next_poll_ns) {
        group->next_poll_ns = now + POLL_EVERY_NS;
        if (config->poll(config->poll_context))
            return qd_error_set(QD_ECANCELLED, "group %u: called off while waiting for others",
                                config->id);
    }
    if (now < wait->deadline)
        return 0;
    /* This process may have been the late one (stopped, swapped out): look once more first. */
    if (wait->expired)
        return QD_ETIMEDOUT;
    wait->expired = true;
    return 0;
}

int qd_wait_late(const qd_wait *wait, const char *what) {
    const qd_group *group = wait->group;
    char ranks[QD_ERROR_BYTES / 2];
    size_t used = 0;
    ranks[0] = '\0';
    for (int i = 0; i < group->config.member_count && used < sizeof ranks - 16; i++)
        if (group->late[i])
            used += (size_t)snprintf(ranks + used, sizeof ranks - used, "%s%d",
                                     used > 0 ? ", " : "", qd_group_rank(group, i));
    return qd_error_set(QD_ETIMEDOUT, "group %u: %s: waited %g s for rank %s", group->config.id,
                        what, group->config.deadline_s, ranks);
}
