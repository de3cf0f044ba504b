#include <stdio.h>
#include <string.h>

#include "collectives/group_state.h"
#include "runtime/error.h"

static void describe(const qd_signature *s, char *text, size_t size) {
    if (s->kind == QD_CALL_BARRIER)
        snprintf(text, size, "a barrier (call %llu)", (unsigned long long)s->call);
    else if (s->kind == QD_CALL_ALLREDUCE)
        snprintf(text, size, "an all-reduce of %lld floats over %u slots (call %llu)",
                 (long long)s->count, s->leaves, (unsigned long long)s->call);
    else
        snprintf(text, size, "an unknown call of kind %u of group %u", s->kind, s->group);
}

int qd_signature_check(const qd_group *group, int member, const qd_signature *theirs,
                       const qd_signature *mine) {
    if (memcmp(theirs, mine, sizeof *mine) == 0)
        return 0;
    char there[128], here[128];
    describe(theirs, there, sizeof there);
    describe(mine, here, sizeof here);
    const char *ranges = strcmp(there, here) == 0 ? ", given out differently" : "";
    return qd_error_set(QD_EPROTO, "group %u: rank %d calls %s, this rank %s%s", group->config.id,
                        qd_group_rank(group, member), there, here, ranges);
}
