#include "collectives/signature.h"

#include <stdio.h>
#include <string.h>

#include "collectives/group_state.h"
#include "runtime/error.h"

const char *const qd_call_words[QD_CALL_KINDS] = {
    [QD_CALL_NONE] = "nothing",          [QD_CALL_BARRIER] = "barrier",
    [QD_CALL_ALLREDUCE] = "all-reduce",  [QD_CALL_REDUCE_SCATTER] = "reduce-scatter",
    [QD_CALL_ALL_GATHER] = "all-gather", [QD_CALL_BROADCAST] = "broadcast",
    [QD_CALL_ALL_TO_ALL] = "all-to-all", [QD_CALL_SEND] = "send",
    [QD_CALL_RECEIVE] = "receive",
};

static void describe(const qd_signature *s, char *text, size_t size) {
    const char *word = s->kind < QD_CALL_KINDS ? qd_call_words[s->kind] : "?";
    unsigned long long call = s->call;
    long long count = s->count;
    if (s->kind == QD_CALL_BARRIER || s->kind == QD_CALL_ALL_TO_ALL)
        snprintf(text, size, "%s %s (call %llu)", s->kind == QD_CALL_BARRIER ? "a" : "an", word,
                 call);
    else if (s->kind == QD_CALL_ALLREDUCE || s->kind == QD_CALL_REDUCE_SCATTER)
        snprintf(text, size, "%s %s of %lld floats over %u slots (call %llu)",
                 s->kind == QD_CALL_ALLREDUCE ? "an" : "a", word, count, s->leaves, call);
    else if (s->kind == QD_CALL_ALL_GATHER)
        snprintf(text, size, "an all-gather of %lld bytes (call %llu)", count, call);
    else if (s->kind == QD_CALL_BROADCAST)
        snprintf(text, size, "a broadcast of %lld bytes from member %u (call %llu)", count, s->root,
                 call);
    else
        snprintf(text, size, "an unknown call of kind %u of group %u", s->kind, s->group);
}

static uint32_t rank_of(const qd_group *group, uint32_t member) {
    bool known = member < (uint32_t)group->config.member_count;
    return known ? (uint32_t)qd_group_rank(group, (int)member) : UINT32_MAX;
}

int qd_signature_check(const qd_group *group, const qd_signature *theirs,
                       const qd_signature *mine) {
    qd_signature same = *mine;
    same.member = theirs->member;
    if (memcmp(theirs, &same, sizeof same) == 0)
        return 0;
    char there[128], here[128];
    describe(theirs, there, sizeof there);
    describe(mine, here, sizeof here);
    const char *ranges = strcmp(there, here) == 0 ? ", given out differently" : "";
    return qd_error_set(QD_EPROTO, "group %u: rank %u calls %s, this rank %s%s", group->config.id,
                        rank_of(group, theirs->member), there, here, ranges);
}
