#include "worker/backend.h"

/* Best first; the CPU, which every machine has, is the last. */
static const qd_backend *const backends[] = {
    &qd_backend_cpu,
};

const qd_backend *qd_backend_of_this_machine(void) {
    size_t i = 0;
    while (backends[i]->present && !backends[i]->present())
        i++;
    return backends[i];
}
