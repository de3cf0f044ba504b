/* recurrence.h: what the recurrent layers (lstm, gru) have in common; for models/ops/ only. */
#ifndef QD_MODELS_OPS_RECURRENCE_H
#define QD_MODELS_OPS_RECURRENCE_H

#include "models/op.h"

typedef struct qd_recurrence_sizes {
    int64_t samples, length, in, width; /* width: of the hidden state */
} qd_recurrence_sizes;

qd_recurrence_sizes qd_recurrence_sizes_of(const qd_graph *graph, const qd_node *node);

/* Elements of the hidden states of all samples and steps. */
int64_t qd_recurrence_states(const qd_graph *graph, const qd_node *node);

/* Shape of a layer whose weights hold `gates` blocks of rows; QD_ECONFIG. */
int qd_recurrence_infer(const qd_graph *graph, const qd_node *node, int64_t gates,
                        qd_value *output);

/* The products' share of the FLOPs. */
double qd_recurrence_forward_flops(const qd_graph *graph, const qd_node *node, int64_t gates);
double qd_recurrence_backward_flops(const qd_graph *graph, const qd_node *node, int64_t gates);

#endif
