#include "collectives/hosts.h"

#include <stdlib.h>

#include "runtime/error.h"

/* Numbers the labels in the order of their first members. */
static void number_hosts(qd_hosts *h, const int *label) {
    for (int i = 0; i < h->members; i++) {
        int like = 0;
        while (label[like] != label[i])
            like++;
        h->of[i] = like < i ? h->of[like] : h->count++;
    }
}

static void list_members(qd_hosts *h) {
    int at = 0;
    for (int host = 0; host < h->count; host++) {
        h->first[host] = at;
        for (int i = 0; i < h->members; i++)
            if (h->of[i] == host) {
                h->position[i] = at - h->first[host];
                h->member[at++] = i;
            }
    }
    h->first[h->count] = at;
}

int qd_hosts_create(int members, const int *label, int me, qd_hosts *hosts) {
    size_t n = (size_t)members;
    qd_hosts h = {.members = members};
    h.of = calloc(n, sizeof(int));
    h.first = calloc(n + 1, sizeof(int));
    h.member = calloc(n, sizeof(int));
    h.position = calloc(n, sizeof(int));
    h.responsible = calloc(n, sizeof(int));
    if (!h.of || !h.first || !h.member || !h.position || !h.responsible) {
        qd_hosts_destroy(&h);
        return qd_error_set(QD_ENOMEM, "no memory for a group of %d", members);
    }
    number_hosts(&h, label);
    list_members(&h);
    h.mine = h.of[me];
    for (int f = 0; f < members; f++)
        h.responsible[f] = h.of[f] == h.mine ? f : qd_hosts_relay(&h, h.mine, f);
    *hosts = h;
    return 0;
}

void qd_hosts_destroy(qd_hosts *h) {
    free(h->of);
    free(h->first);
    free(h->member);
    free(h->position);
    free(h->responsible);
    *h = (qd_hosts){0};
}

int qd_hosts_relay(const qd_hosts *h, int host, int owner) {
    return h->member[h->first[host] + h->position[owner] % qd_hosts_size(h, host)];
}
