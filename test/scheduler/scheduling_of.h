/* scheduling_of.h: the default settings of a policy, for tests. */
#ifndef QD_TEST_SCHEDULER_SCHEDULING_OF_H
#define QD_TEST_SCHEDULER_SCHEDULING_OF_H

#include <stdlib.h>

#include "scheduler/scheduling.h"

/* Valid until the next call. */
static inline const qd_scheduling *scheduling_of(const char *policy) {
    static qd_scheduling scheduling;
    if (qd_scheduling_of(policy, &scheduling))
        abort();
    return &scheduling;
}

#endif
