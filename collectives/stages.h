/*
 * stages.h: what a chunk of a collective call does at each stage of the pipeline.
 *
 * On one host: each member copies what others are to add into its staging (PUT), adds its own
 * piece straight from the others' staging and its own vectors, into its vector and its staging
 * (SUM), and copies the other pieces out (GET): one copy through shared memory, no temporary.
 * Between hosts: a piece's relay adds what its host holds and sends that to the owner (RELAY),
 * which adds it to its own host's (SUM) and sends the sum back to the relays, which lay it out for
 * their host (PASS).
 *
 * A window of staging is written again only when all members of the host are done with its last
 * ticket; that also guards the signature beside it.
 */
#ifndef QD_COLLECTIVES_STAGES_H
#define QD_COLLECTIVES_STAGES_H

#include <stdbool.h>

#include "collectives/pipeline.h"

typedef struct qd_stage_row {
    int (*ready)(struct qd_group *group, const qd_ticket *ticket); /* 1, 0 or an error */
    int (*run)(struct qd_group *group, const qd_ticket *ticket);
    void (*find_late)(struct qd_group *group, const qd_ticket *ticket);
} qd_stage_row;

extern const qd_stage_row qd_stages[QD_STAGES];

#endif
