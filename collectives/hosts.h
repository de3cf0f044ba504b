/*
 * hosts.h: which members of a group share memory, and who stands for whom between hosts. A
 * "host" here is a set of members with one shared segment: all of a machine's, or a single member
 * where memory is not shared.
 *
 * Every vector is cut into one piece a member, its owner. On the other hosts a piece has a relay,
 * the member in the owner's place there: it sends what its host holds of the piece to the owner,
 * and receives the sum. So every member talks to about one on each other host, and what crosses
 * between hosts is divided by the members on each (the hierarchical all-reduce of MPI libraries
 * and NCCL, without a leader that all must pass).
 */
#ifndef QD_COLLECTIVES_HOSTS_H
#define QD_COLLECTIVES_HOSTS_H

typedef struct qd_hosts {
    int members, count; /* of hosts */
    int *of;            /* [members] each one's host; hosts are numbered by their first member */
    int *first;         /* [count + 1] host h's members: member[first[h]] .. member[first[h+1]-1] */
    int *member;        /* [members] ascending on each host */
    int *position;      /* [members] on its host */
    int mine;           /* this member's host */
    int *responsible; /* [members] for each piece the member of this host that adds or relays it */
} qd_hosts;

/* label: [members] equal for those that share memory. QD_ENOMEM. */
int qd_hosts_create(int members, const int *label, int me, qd_hosts *hosts);
void qd_hosts_destroy(qd_hosts *hosts);

/* The member of host h that relays `owner`'s piece; h is not the owner's host. */
int qd_hosts_relay(const qd_hosts *hosts, int h, int owner);

static inline int qd_hosts_size(const qd_hosts *hosts, int h) {
    return hosts->first[h + 1] - hosts->first[h];
}

#endif
