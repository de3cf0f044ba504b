/*
 * tensor_group.h: the exchange of a tensor group (worker/tensor_exchange.h) over a group of ranks
 * (collectives/group.h), of which member i holds the tensor slots that models/op.h says. Calls come
 * from the thread that computes.
 */
#ifndef QD_WORKER_TENSOR_GROUP_H
#define QD_WORKER_TENSOR_GROUP_H

#include "collectives/group.h"
#include "runtime/span.h"
#include "worker/tensor_exchange.h"

typedef struct qd_tensor_group qd_tensor_group;

/* slots: of tensors, at least one a member. spans: where the time goes; NULL: nowhere. The group is
 * not its own, and must outlive it. Owner: the caller (qd_tensor_group_destroy). QD_ENOMEM. */
int qd_tensor_group_create(qd_group *group, int slots, qd_span_clock *spans,
                           qd_tensor_group **tensor_group);
void qd_tensor_group_destroy(qd_tensor_group *tensor_group);

/* Its functions; they live as long as it does. */
const qd_tensor_exchange *qd_tensor_group_exchange(const qd_tensor_group *tensor_group);

#endif
