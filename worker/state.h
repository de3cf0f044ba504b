/*
 * state.h: the tensors that make up the state of a training run, as a checkpoint names them, and
 * which part of each a member of a gang holds.
 */
#ifndef QD_WORKER_STATE_H
#define QD_WORKER_STATE_H

#include "worker/slice.h"

enum { QD_STATE_NAME_BYTES = 3 * QD_MAX_NAME };

/*
 * "model/NAME" for a parameter, "optimizer/STATE/NAME" for what an optimizer keeps of it. Members
 * that hold the very same slice of a tensor share the work of writing it: this one is number
 * `replica` of `replicas`. replicas 0: every writer of the checkpoint holds it, so the writer's own
 * place among them counts. replicas -1: somebody else writes it.
 */
typedef struct qd_state_tensor {
    char name[QD_STATE_NAME_BYTES];
    qd_slice slice; /* what is held; slice.whole is the tensor's shape on any grid */
    float *data;    /* the slice's elements, row-major, owned by whoever made this list */
    int replica, replicas;
} qd_state_tensor;

#endif
