/*
 * ranks.h: the rank table: what the scheduler knows of each worker rank and which attempt of which
 * job holds it. Only bookkeeping: who gets a rank is decided by a policy (policy.h) and the
 * placement (placement.h).
 */
#ifndef QD_SCHEDULER_RANKS_H
#define QD_SCHEDULER_RANKS_H

#include <stdbool.h>
#include <stdint.h>

#include "scheduler/places.h"

typedef enum {
    QD_RANK_ABSENT,   /* has not spoken yet */
    QD_RANK_FREE,     /* ready, serves nobody */
    QD_RANK_CLAIMED,  /* ready, serves nobody, and is for a job that waits */
    QD_RANK_DRAINED,  /* ready, serves nobody, and is given to nobody */
    QD_RANK_RESERVED, /* ready, serves nobody, and is a reservation's that runs */
    QD_RANK_HELD,     /* member of (job, attempt) that has not acknowledged its end */
    QD_RANK_KEPT,     /* ready, serves nobody, and is for a job that is resized */
    QD_RANK_LOST,     /* fenced: nothing it says counts any more */
    QD_RANK_STATES
} qd_rank_state;

typedef struct qd_rank {
    qd_rank_state state;
    bool drained;        /* of any state but LOST: is given to nobody once it is free */
    bool kept;           /* HELD: becomes KEPT once it has acknowledged its end; KEPT */
    int attempt;         /* HELD */
    int64_t job;         /* HELD, KEPT */
    int64_t reservation; /* RESERVED, HELD: number of the one that has it; 0: none */
    int64_t claimed_by;  /* a job that waits, which gets it once it is free; 0: nobody. Nobody's if
                            drained, kept or reserved */
} qd_rank;

/* Readable by all of scheduler/, changed by the functions below only. */
typedef struct qd_rank_table {
    int count;                    /* worker ranks are 1 .. count */
    int in_state[QD_RANK_STATES]; /* number of ranks in each state; sums to count */
    int drained;                  /* ranks that are, whatever they do meanwhile */
    qd_rank *rank;   /* [count + 1], by world rank; entry 0 (the scheduler) is unused */
    qd_place *place; /* the same; zeros as long as a rank is absent */
    qd_places
        places; /* known once nobody is absent any more; its free ranks: those in state FREE */
} qd_rank_table;

/* All ranks absent. QD_ENOMEM; fini accepts a table of zeros. */
int qd_ranks_init(qd_rank_table *table, int count);
void qd_ranks_fini(qd_rank_table *table);

/* Ranks that are not lost, absent ones included. */
int qd_ranks_alive(const qd_rank_table *table);

/* Of them, those that are not drained. */
int qd_ranks_in_service(const qd_rank_table *table);

/* Of those that serve nobody, such as are for jobs outside reservations: FREE and CLAIMED. */
int qd_ranks_idle(const qd_rank_table *table);

/* Whether a rank serves this attempt, its end not acknowledged. 1 <= rank <= count. */
bool qd_ranks_held_by(const qd_rank_table *table, int rank, int64_t job, int attempt);

/* ABSENT to FREE; any other state stays, so that a fenced worker cannot come back. */
void qd_ranks_ready(qd_rank_table *table, int rank, qd_place place);

/* FREE, KEPT or RESERVED to HELD, and back when the member has acknowledged its end. */
void qd_ranks_hold(qd_rank_table *table, int rank, int64_t job, int attempt);
void qd_ranks_release(qd_rank_table *table, int rank);

/* A HELD rank stays its job's after its end, a FREE one becomes this job's; none is drained. */
void qd_ranks_keep(qd_rank_table *table, int rank, int64_t job);

/* It is the job's for no longer than any other: a KEPT one is FREE. */
void qd_ranks_unkeep(qd_rank_table *table, int rank);

/* From now on it is given to nobody, or may be given again. Not of a LOST one. */
void qd_ranks_drain(qd_rank_table *table, int rank, bool drained);

/* A FREE or HELD rank is for a job that waits, or (0) for nobody in particular any more. */
void qd_ranks_claim(qd_rank_table *table, int rank, int64_t job);

/* From now on a reservation has it (0: none any more). Of a FREE, RESERVED or HELD one. */
void qd_ranks_reserve(qd_rank_table *table, int rank, int64_t reservation);

/* Any state to LOST. */
void qd_ranks_lose(qd_rank_table *table, int rank);

#endif
