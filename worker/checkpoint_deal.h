/*
 * checkpoint_deal.h: which part of the tensors each writer of a checkpoint writes. Pure: a
 * function of what each member holds, so that no member has to ask another.
 */
#ifndef QD_WORKER_CHECKPOINT_DEAL_H
#define QD_WORKER_CHECKPOINT_DEAL_H

#include "worker/slice.h"
#include "worker/state.h"

/* The part of tensor number `tensor` that a writer writes. */
typedef struct qd_checkpoint_piece {
    int tensor;
    qd_slice slice;
} qd_checkpoint_piece;

/*
 * The pieces of writer `index` of `writers`, to pieces [count]; returns how many (at most one of
 * each tensor; 0 is possible). What is held of the tensors of equal `replicas` is taken as one row
 * of elements and cut into that many equal lengths, each cut moved to the nearest boundary between
 * two indices of dimension 0. So a writer's share differs from the mean by less than one such
 * index's elements, and a large tensor is shared by several. The members that hold a tensor must
 * hold the same slices of all tensors of the same `replicas`, in the same order.
 */
int qd_checkpoint_deal(const qd_state_tensor *tensors, int count, int index, int writers,
                       qd_checkpoint_piece *pieces);

#endif
