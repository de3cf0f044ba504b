#include "scheduler/policy.h"

#include <string.h>

#include "runtime/error.h"
#include "runtime/text.h"

const qd_policy *const qd_policies[] = {
    &qd_policy_fifo,         &qd_policy_sjf,         &qd_policy_easy,
    &qd_policy_conservative, &qd_policy_multifactor, &qd_policy_attained,
};

const char *const qd_policy_names[] = {"fifo",        "sjf",      "easy", "conservative",
                                       "multifactor", "attained", NULL};

int qd_policy_find(const char *name) {
    for (int i = 0; qd_policy_names[i]; i++)
        if (strcmp(qd_policy_names[i], name) == 0)
            return i;
    qd_text names = {0};
    for (int i = 0; qd_policy_names[i]; i++)
        qd_text_add(&names, "%s%s", i > 0 ? ", " : "", qd_policy_names[i]);
    int rc = qd_error_set(QD_ECONFIG, "no scheduling policy '%s'; there are: %s", name,
                          names.failed ? qd_policy_names[0] : names.bytes);
    qd_text_fini(&names);
    return rc;
}
