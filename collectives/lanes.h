/*
 * lanes.h: the MPI messages of a group's collective calls between hosts: in every window six
 * lanes, with a place for a message to or from each member. It moves bytes; stages.c says what
 * they are.
 */
#ifndef QD_COLLECTIVES_LANES_H
#define QD_COLLECTIVES_LANES_H

#include <stdbool.h>
#include <stddef.h>

struct qd_group;

typedef struct qd_lanes qd_lanes;

/* CALL is a signature alone; PARTS begin with one. */
typedef enum {
    QD_LANE_SEND_CALL,
    QD_LANE_RECEIVE_CALL,
    QD_LANE_SEND_PARTS,
    QD_LANE_RECEIVE_PARTS,
    QD_LANE_SEND_RESULT,
    QD_LANE_RECEIVE_RESULT,
    QD_LANES
} qd_lane;

int qd_lanes_create(const struct qd_group *group, qd_lanes **lanes);
void qd_lanes_destroy(qd_lanes *lanes);

/* Where the message to or from a member lies. */
unsigned char *qd_lanes_place(const qd_lanes *lanes, int window, qd_lane lane, int member);

int qd_lanes_send(struct qd_group *group, int window, qd_lane lane, int member, const void *at,
                  size_t bytes);
/* expected: bytes of the message if the member calls what this one does. */
int qd_lanes_receive(struct qd_group *group, int window, qd_lane lane, int member, size_t expected);

/* 1 when nothing is under way on a lane, 0 when something is; an error of one that ended badly.
 * arrived, if not NULL, is called for each message that came. */
int qd_lanes_quiet(struct qd_group *group, int window, qd_lane lane,
                   int (*arrived)(struct qd_group *group, int window, qd_lane lane, int member,
                                  size_t bytes));

/* Whether a message to or from a member is under way. */
bool qd_lanes_busy(const qd_lanes *lanes, int window, qd_lane lane, int member);

/* Bytes that the member's message should have. */
size_t qd_lanes_expected(const qd_lanes *lanes, int window, qd_lane lane, int member);

#endif
