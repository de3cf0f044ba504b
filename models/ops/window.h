/* window.h: the shape that sliding a window over an image gives; for models/ops/ only. */
#ifndef QD_MODELS_OPS_WINDOW_H
#define QD_MODELS_OPS_WINDOW_H

#include "models/graph.h"

/* x [n, h, w, c] with a window of [2], moved by stride, over an image padded on all sides: the n
 * and the two sizes of the output; its channels are left to the caller. QD_ECONFIG naming the node
 * where the window does not fit, or pads as much as it spans. */
int qd_window_shape(const qd_node *node, const qd_shape *x, const int64_t window[2],
                    const int64_t stride[2], const int64_t padding[2], qd_shape *output);

#endif
