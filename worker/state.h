/* state.h: the tensors that make up the state of a training run, as a checkpoint names them. */
#ifndef QD_WORKER_STATE_H
#define QD_WORKER_STATE_H

#include "models/graph.h"

/* "model/NAME" for a parameter, "optimizer/STATE/NAME" for what an optimizer keeps of it. */
typedef struct qd_state_tensor {
    char name[3 * QD_MAX_NAME];
    qd_shape shape;
    float *data; /* qd_shape_elements(&shape) floats, owned by whoever made this list */
} qd_state_tensor;

#endif
