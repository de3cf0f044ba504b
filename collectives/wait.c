#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "collectives/group_state.h"

/* Polls before the clock is looked at; a peer that is at work needs fewer. */
enum { BLIND_POLLS = 64, LONGEST_SLEEP_US = 200, POLL_EVERY_NS = 1000000, SPINS = 2000 };

static int listen_to_owner(qd_group *group, int64_t now) {
    const qd_group_config *config = &group->config;
    if (!config->poll || now < group->next_poll_ns)
        return 0;
    group->next_poll_ns = now + POLL_EVERY_NS;
    if (config->poll(config->poll_context))
        return qd_error_set(QD_ECANCELLED, "group %u: called off while waiting for others",
                            config->id);
    return 0;
}

int qd_wait_check(qd_group *group, qd_wait *wait, bool listen) {
    int64_t now = qd_clock_now_ns();
    if (wait->deadline == 0)
        wait->deadline = qd_deadline_in(group->config.deadline_s);
    int rc = listen ? listen_to_owner(group, now) : 0;
    if (rc || now < wait->deadline)
        return rc;
    /* This process may have been the late one (stopped, swapped out): look once more first. */
    if (wait->expired)
        return QD_ETIMEDOUT;
    wait->expired = true;
    return 0;
}

/* A peer that is at work on a chunk is ready within some ten microseconds; to give the core away
 * for that costs more, where there is one for each rank of the host and a look is a load. A look at
 * the network is microseconds: there to give the core away in between costs little. */
static bool spin(const qd_group *group, qd_wait *wait) {
    if (wait->spins >= group->spins)
        return false;
    wait->spins++;
    __builtin_ia32_pause();
    return true;
}

int qd_wait_spins(int locals) {
    return locals <= sysconf(_SC_NPROCESSORS_ONLN) ? SPINS : 0;
}

int qd_wait_pause(qd_group *group, qd_wait *wait) {
    if (spin(group, wait))
        return 0;
    qd_backoff_pause(&wait->backoff, LONGEST_SLEEP_US);
    return wait->backoff.polls < BLIND_POLLS ? 0 : qd_wait_check(group, wait, true);
}

int qd_wait_until(qd_group *group, int64_t until_ns) {
    int64_t now = qd_clock_now_ns(), left = until_ns - now;
    if (left > POLL_EVERY_NS)
        left = POLL_EVERY_NS;
    struct timespec t = {.tv_nsec = left > 0 ? (long)left : 0};
    nanosleep(&t, NULL);
    return listen_to_owner(group, now);
}

int qd_wait_late(const qd_group *group, const char *what) {
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
