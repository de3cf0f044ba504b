/*
 * meeting.h: how the members of a new group find each other and settle whether they share memory,
 * by small messages among themselves. It moves no data; that is the transports' work.
 */
#ifndef QD_COLLECTIVES_MEETING_H
#define QD_COLLECTIVES_MEETING_H

struct qd_group;

/*
 * Exchanges hellos, all to all, then, where members share a host, whether each could map its
 * segment. Sets group->hosts, and group->segment if all of this host could. Errors: see
 * qd_group_create.
 */
int qd_group_meet(struct qd_group *group);

#endif
