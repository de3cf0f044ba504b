#include "models/ops/window.h"

#include <inttypes.h>

#include "runtime/error.h"

int qd_window_shape(const qd_node *node, const qd_shape *x, const int64_t window[2],
                    const int64_t stride[2], const int64_t padding[2], qd_shape *output) {
    *output = (qd_shape){.dims = 4, .dim = {x->dim[0]}};
    for (int i = 0; i < 2; i++) {
        int64_t room = x->dim[1 + i] + 2 * padding[i] - window[i];
        if (window[i] < 1 || stride[i] < 1 || padding[i] < 0 || padding[i] >= window[i] || room < 0)
            return qd_error_set(
                QD_ECONFIG,
                "%s: a window of %" PRId64 " with stride %" PRId64 " and padding %" PRId64
                " does not fit an image of %" PRId64
                "; stride is at least 1, padding 0 or more and less than the window, and the "
                "window at most the padded image",
                node->name, window[i], stride[i], padding[i], x->dim[1 + i]);
        output->dim[1 + i] = room / stride[i] + 1;
    }
    return 0;
}
