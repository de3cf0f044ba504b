#include "collectives/lanes.h"

#include <stdlib.h>

#include "collectives/group_state.h"
#include "collectives/requests.h"

static const char *const lane_words[QD_LANES] = {
    "sending to", "receiving from", "sending to", "receiving from", "sending to", "receiving from"};

struct qd_lanes {
    qd_requests *requests; /* [QD_WINDOWS][QD_LANES][members] */
    size_t *expected;      /* the same */
    int members;
    size_t bytes[QD_LANES]; /* of the longest message */
};

static size_t lanes_before(const qd_lanes *l, int lanes) {
    size_t sum = 0;
    for (int lane = 0; lane < lanes; lane++)
        sum += l->bytes[lane];
    return sum * (size_t)l->members;
}

int qd_lanes_create(const qd_group *group, qd_lanes **out) {
    int members = group->config.member_count;
    qd_lanes *l = calloc(1, sizeof *l);
    if (!l)
        return qd_error_set(QD_ENOMEM, "no memory for a group's messages");
    l->members = members;
    size_t place = qd_place_bytes(members), call = sizeof(qd_signature);
    l->bytes[QD_LANE_SEND_CALL] = l->bytes[QD_LANE_RECEIVE_CALL] = call;
    l->bytes[QD_LANE_SEND_PARTS] = l->bytes[QD_LANE_RECEIVE_PARTS] = call + place;
    l->bytes[QD_LANE_SEND_RESULT] = l->bytes[QD_LANE_RECEIVE_RESULT] = place;
    int slots = QD_WINDOWS * QD_LANES * members;
    l->expected = calloc((size_t)slots, sizeof *l->expected);
    int rc = l->expected ? 0 : qd_error_set(QD_ENOMEM, "no memory for a group's messages");
    if (!rc)
        rc = qd_requests_create(group->config.world, slots, QD_WINDOWS * lanes_before(l, QD_LANES),
                                &l->requests);
    if (rc) {
        qd_lanes_destroy(l);
        return rc;
    }
    *out = l;
    return 0;
}

void qd_lanes_destroy(qd_lanes *l) {
    if (!l)
        return;
    qd_requests_destroy(l->requests);
    free(l->expected);
    free(l);
}

static int slot_of(const qd_lanes *l, int window, qd_lane lane, int member) {
    return (window * QD_LANES + (int)lane) * l->members + member;
}

unsigned char *qd_lanes_place(const qd_lanes *l, int window, qd_lane lane, int member) {
    size_t at = (size_t)window * lanes_before(l, QD_LANES) + lanes_before(l, (int)lane) +
                (size_t)member * l->bytes[lane];
    return qd_requests_buffer(l->requests) + at;
}

static int tag_of(const qd_group *group, qd_lane lane) {
    static const qd_tag_kind kinds[QD_LANES] = {QD_TAG_CALL,  QD_TAG_CALL,   QD_TAG_PARTS,
                                                QD_TAG_PARTS, QD_TAG_RESULT, QD_TAG_RESULT};
    return qd_group_tag(group, kinds[lane]);
}

int qd_lanes_send(qd_group *group, int window, qd_lane lane, int member, const void *at,
                  size_t bytes) {
    qd_lanes *l = group->lanes;
    return qd_requests_send(l->requests, slot_of(l, window, lane, member), at, bytes,
                            qd_group_rank(group, member), tag_of(group, lane));
}

int qd_lanes_receive(qd_group *group, int window, qd_lane lane, int member, size_t expected) {
    qd_lanes *l = group->lanes;
    int slot = slot_of(l, window, lane, member);
    l->expected[slot] = expected;
    return qd_requests_receive(l->requests, slot, qd_lanes_place(l, window, lane, member),
                               l->bytes[lane], qd_group_rank(group, member), tag_of(group, lane));
}

int qd_lanes_quiet(qd_group *group, int window, qd_lane lane,
                   int (*arrived)(qd_group *group, int window, qd_lane lane, int member,
                                  size_t bytes)) {
    qd_lanes *l = group->lanes;
    int first = slot_of(l, window, lane, 0);
    while (qd_requests_busy(l->requests, first, l->members)) {
        int slot;
        size_t bytes;
        int rc = qd_requests_take(l->requests, first, l->members, &slot, &bytes);
        if (rc < 0 && slot >= 0)
            return qd_error_context(rc, "group %u: %s rank %d", group->config.id, lane_words[lane],
                                    qd_group_rank(group, slot - first));
        if (rc <= 0)
            return rc;
        rc = arrived ? arrived(group, window, lane, slot - first, bytes) : 0;
        if (rc)
            return rc;
    }
    return 1;
}

bool qd_lanes_busy(const qd_lanes *l, int window, qd_lane lane, int member) {
    return qd_requests_busy(l->requests, slot_of(l, window, lane, member), 1);
}

size_t qd_lanes_expected(const qd_lanes *l, int window, qd_lane lane, int member) {
    return l->expected[slot_of(l, window, lane, member)];
}
