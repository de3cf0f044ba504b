/*
 * tensor_slots.h: a layer computed slot by slot of tensor parallelism, each with the shapes that it
 * would have alone, and their partial results added in the tree of collectives/tree.h: the same
 * bits whether one rank holds all slots or each its own (DESIGN 3.4).
 */
#ifndef QD_WORKER_CPU_KERNELS_TENSOR_SLOTS_H
#define QD_WORKER_CPU_KERNELS_TENSOR_SLOTS_H

#include "models/op.h"
#include "worker/cpu/kernels/isa.h"

/* Computes the partial result of one slot, which owns [first, end) of what is cut, into part. */
typedef int qd_slot_run(const void *context, int64_t first, int64_t end, float *part);

/*
 * sum[count] of the partial results of all slots over `extent` (of units that are not cut); the
 * scratch holds qd_cut_scratch_parts(slots) vectors of count floats (models/op.h). QD_E of run.
 */
int QD_CPU(sum_slots)(int slots, int64_t extent, int64_t unit, qd_slot_run *run,
                      const void *context, float *sum, int64_t count, bool adds, float *scratch);

#endif
