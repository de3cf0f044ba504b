#include <string.h>

#include "collectives/group_state.h"

static int self_open(const qd_group *group, void **state) {
    (void)group;
    *state = NULL;
    return 0;
}

static void self_close(void *state) {
    (void)state;
}

static int self_barrier(qd_group *group, const qd_signature *signature) {
    (void)group;
    (void)signature;
    return 0;
}

/* Who holds all leaves holds one node, the root: the sum itself. */
static int self_allreduce(qd_group *group, const qd_allreduce_call *call) {
    (void)group;
    if (call->result != call->parts[0] && call->count > 0)
        memcpy(call->result, call->parts[0], (size_t)call->count * sizeof(float));
    return 0;
}

const qd_transport qd_transport_self = {
    .name = "self",
    .open = self_open,
    .close = self_close,
    .barrier = self_barrier,
    .allreduce = self_allreduce,
};
