#include "collectives/progress.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <time.h>

#include "collectives/group_state.h"
#include "collectives/progress_state.h"
#include "runtime/thread.h"

/* Fruitless looks before it sleeps, and how long: short enough for a chunk not to wait long, long
 * enough for the looks to cost the computing thread nothing to speak of. */
enum { EAGER_LOOKS = 8, SHORTEST_SLEEP_NS = 20000, LONGEST_SLEEP_NS = 200000 };

struct qd_progress {
    pthread_t thread;
    pthread_mutex_t list; /* guards groups; held while the thread goes through them */
    qd_group *groups;
    atomic_int pending; /* operations to see to */
    atomic_bool idle, stop;
    pthread_mutex_t sleep;
    pthread_cond_t wake;
};

/* 1 when something moved, or will within a moment. */
static int drive(qd_group *group) {
    int64_t until_ns;
    if (pthread_mutex_trylock(&group->lock) != 0)
        return 0; /* its owner drives it */
    int rc = group->failed ? 0 : qd_group_pass(group);
    if (rc == 1 || (rc == 0 && qd_group_held_back(group, &until_ns)))
        group->wait = (qd_wait){0};
    else if (rc == 0 && qd_group_has_work(group))
        rc = qd_wait_check(group, &group->wait, false);
    if (rc == QD_ETIMEDOUT) {
        qd_group_find_late(group);
        rc = qd_wait_late(group, group->late_what);
    }
    if (rc < 0)
        qd_group_fail(group, rc);
    pthread_mutex_unlock(&group->lock);
    return rc > 0;
}

static int drive_all(qd_progress *p) {
    int moved = 0;
    pthread_mutex_lock(&p->list);
    for (qd_group *g = p->groups; g; g = g->next)
        moved |= drive(g);
    pthread_mutex_unlock(&p->list);
    return moved;
}

static void sleep_until_needed(qd_progress *p) {
    pthread_mutex_lock(&p->sleep);
    atomic_store(&p->idle, true);
    while (atomic_load(&p->pending) == 0 && !atomic_load(&p->stop))
        pthread_cond_wait(&p->wake, &p->sleep);
    atomic_store(&p->idle, false);
    pthread_mutex_unlock(&p->sleep);
}

static void *run(void *argument) {
    qd_progress *p = argument;
    unsigned fruitless = 0;
    long sleep_ns = SHORTEST_SLEEP_NS;
    prctl(PR_SET_NAME, "qd-progress");
    prctl(PR_SET_TIMERSLACK, 1000UL);
    while (!atomic_load(&p->stop)) {
        if (atomic_load(&p->pending) == 0)
            sleep_until_needed(p);
        if (drive_all(p)) {
            fruitless = 0;
            sleep_ns = SHORTEST_SLEEP_NS;
        } else if (++fruitless > EAGER_LOOKS) {
            struct timespec t = {.tv_nsec = sleep_ns};
            nanosleep(&t, NULL);
            sleep_ns = sleep_ns < LONGEST_SLEEP_NS / 2 ? 2 * sleep_ns : LONGEST_SLEEP_NS;
        }
    }
    return NULL;
}

int qd_progress_create(qd_progress **out) {
    qd_progress *p = calloc(1, sizeof *p);
    if (!p)
        return qd_error_set(QD_ENOMEM, "no memory for the communication thread");
    pthread_mutex_init(&p->list, NULL);
    pthread_mutex_init(&p->sleep, NULL);
    pthread_cond_init(&p->wake, NULL);
    int rc = qd_thread_start(&p->thread, run, p);
    if (rc) {
        free(p);
        return qd_error_context(rc, "the communication thread");
    }
    *out = p;
    return 0;
}

static void wake(qd_progress *p) {
    pthread_mutex_lock(&p->sleep);
    pthread_cond_signal(&p->wake);
    pthread_mutex_unlock(&p->sleep);
}

void qd_progress_destroy(qd_progress *p) {
    if (!p)
        return;
    atomic_store(&p->stop, true);
    wake(p);
    pthread_join(p->thread, NULL);
    pthread_mutex_destroy(&p->list);
    pthread_mutex_destroy(&p->sleep);
    pthread_cond_destroy(&p->wake);
    free(p);
}

void qd_progress_join(qd_progress *p, qd_group *group) {
    if (!p)
        return;
    pthread_mutex_lock(&p->list);
    group->next = p->groups;
    p->groups = group;
    pthread_mutex_unlock(&p->list);
}

void qd_progress_leave(qd_progress *p, qd_group *group) {
    if (!p)
        return;
    pthread_mutex_lock(&p->list);
    qd_group **at = &p->groups;
    while (*at && *at != group)
        at = &(*at)->next;
    if (*at)
        *at = group->next;
    pthread_mutex_unlock(&p->list);
}

void qd_progress_more(qd_progress *p) {
    atomic_fetch_add(&p->pending, 1);
    /* The thread says that it is idle before it looks at pending: one of the two sees the other. */
    if (atomic_load(&p->idle))
        wake(p);
}

void qd_progress_less(qd_progress *p) {
    atomic_fetch_sub(&p->pending, 1);
}
