/*
 * tensor_exchange.h: how an operator that tensor slots cut gets what the other members of its
 * tensor group have computed, as a table of functions that whoever knows the group fills in
 * (worker/trainer_grid.c). Operators never name a group.
 *
 * All members make the same calls with the same sizes, in the order of the graph's passes. Each
 * waits. Vectors are aligned to 64 bytes, messages need not be, and belong to the caller.
 */
#ifndef QD_WORKER_TENSOR_EXCHANGE_H
#define QD_WORKER_TENSOR_EXCHANGE_H

#include <stdbool.h>
#include <stdint.h>

/* Bytes that go to another member, or come from it. */
typedef struct qd_tensor_message {
    int peer; /* index in the group */
    bool sends;
    void *bytes;
    int64_t count;
} qd_tensor_message;

typedef struct qd_tensor_exchange {
    void *context;

    /* The sum over all tensor slots, in their tree. parts: the nodes of qd_tree_cover over this
     * member's slots, vectors of count floats that the call destroys. result may be parts[0]. */
    int (*sum)(void *context, float *const *parts, int part_count, float *result, int64_t count);

    /* In place: each element as the one member that has it gives it, where all others give -0.0,
     * which any number can be added to unchanged. */
    int (*unite)(void *context, float *values, int64_t count);

    /*
     * Of rows that the tensor slots deal out, [rows][width] on any grid, each member has those of
     * its slots (qd_cut_range): sum and unite, of which it gets its own rows; and in place all rows
     * of each member's, row_bytes each. parts and values are whole vectors that the call destroys;
     * result need not be aligned, and may be where the own rows lie in the first of them.
     */
    int (*sum_rows)(void *context, float *const *parts, int part_count, int64_t rows, int64_t width,
                    float *result);
    int (*unite_rows)(void *context, float *values, int64_t rows, int64_t width, float *result);
    int (*gather_rows)(void *context, void *all, int64_t rows, int64_t row_bytes);

    /* all[members][bytes]: each member's bytes, of which it has put in its own. */
    int (*gather)(void *context, void *all, int64_t bytes);

    /* Messages, at most one each way with each other member; what one sends the other expects. Of
     * those without any no call is made. */
    int (*trade)(void *context, const qd_tensor_message *messages, int count);
} qd_tensor_exchange;

#endif
