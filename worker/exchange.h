/*
 * exchange.h: what the engines of a gang exchange in a step, bucket by bucket (models/buckets.h),
 * while they compute: sums of gradients over all slots, gathers of parameters, numbers of blocks of
 * rows. Calls start an operation or wait for one; time spent waiting is entered as communication.
 *
 * All members make the same calls in the same order. A failure breaks the group; errors are those
 * of collectives/operation.h. Calls come from the thread that computes.
 */
#ifndef QD_WORKER_EXCHANGE_H
#define QD_WORKER_EXCHANGE_H

#include <stdint.h>

#include "collectives/allreduce.h"
#include "models/shards.h"
#include "runtime/span.h"

typedef struct qd_exchange qd_exchange;

/*
 * Over a group; ranges: its members' slots. shards: of its members, or of one, where nothing is
 * kept by shards and buckets are summed to all. All but the array of ranges is kept
 * by reference and must outlive it. spans may be NULL. QD_ENOMEM.
 */
int qd_exchange_create(qd_group *group, const qd_slot_ranges *ranges, const qd_buckets *buckets,
                       const qd_shards *shards, qd_span_clock *spans, qd_exchange **exchange);

/* Operations under way are the group's to end: destroy that first. NULL is fine. */
void qd_exchange_destroy(qd_exchange *exchange);

/*
 * Starts the sum of a bucket. parts: the bucket's elements of this member's node vectors, as in
 * qd_allreduce_start. To all: result is the whole bucket (may be parts[0]). To owners: each member
 * gets its piece (shards.h), and result is where that goes.
 */
int qd_exchange_sum_to_all(qd_exchange *exchange, int bucket, float *const *parts, int count,
                           float *result);
int qd_exchange_sum_to_owners(qd_exchange *exchange, int bucket, float *const *parts, int count,
                              float *result);
int qd_exchange_wait_sum(qd_exchange *exchange, int bucket);

/* The same for the totals behind the buckets, of `elements` floats, which all get. */
int qd_exchange_sum_totals(qd_exchange *exchange, float *const *parts, int count, float *result,
                           int64_t elements);
int qd_exchange_wait_totals(qd_exchange *exchange);

/* Starts to gather a bucket's parameters: this member's piece of it stands where it belongs. The
 * wait returns at once where no gather of the bucket is under way. */
int qd_exchange_gather(qd_exchange *exchange, int bucket, float *parameters);
int qd_exchange_wait_gather(qd_exchange *exchange, int bucket);

/*
 * Of some numbers of row blocks, those of block k being numbers[first[k]] .. numbers[first[k + 1] -
 * 1], each member has those of the blocks it holds; afterwards all have all. first: [row blocks +
 * 1], from 0; in all at most two for each cell (models/row_blocks.h). Waits.
 */
int qd_exchange_share(qd_exchange *exchange, double *numbers, const int64_t *first);

#endif
