#include "scheduler/policy.h"

#include <string.h>

#include "runtime/error.h"
#include "runtime/text.h"

static const qd_policy *const policies[] = {
    &qd_policy_fifo,
};

const char *const qd_policy_names[] = {"fifo", NULL};

const qd_policy *qd_policy_by_name(const char *name) {
    for (size_t i = 0; i < sizeof policies / sizeof policies[0]; i++)
        if (strcmp(policies[i]->name, name) == 0)
            return policies[i];
    qd_text names = {0};
    for (int i = 0; qd_policy_names[i]; i++)
        qd_text_add(&names, "%s%s", i > 0 ? ", " : "", qd_policy_names[i]);
    qd_error_set(QD_ECONFIG, "no scheduling policy '%s'; there are: %s", name,
                 names.failed ? qd_policy_names[0] : names.bytes);
    qd_text_fini(&names);
    return NULL;
}
