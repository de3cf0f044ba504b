#include "models/job_rules.h"

#include <inttypes.h>
#include <stdio.h>

#include "models/job_rules_internal.h"
#include "models/layer_list.h"
#include "runtime/error.h"

void qd_job_list_divisors(int64_t batch, int64_t value, char *out, size_t size) {
    int64_t found[6], high = batch < QD_JOB_MAX_SLOTS ? batch : QD_JOB_MAX_SLOTS;
    int below = 0, count;
    for (int64_t d = value - 1 < high ? value - 1 : high; d >= 1 && below < 3; d--)
        if (batch % d == 0)
            found[2 - below++] = d;
    count = 3;
    for (int64_t d = value + 1; d <= high && count < 6; d++)
        if (batch % d == 0)
            found[count++] = d;
    size_t used = 0;
    out[0] = '\0';
    for (int i = 3 - below; i < count && used < size; i++) {
        const char *before = i == 3 - below ? "" : i == count - 1 ? " or " : ", ";
        used += (size_t)snprintf(out + used, size - used, "%s%" PRId64, before, found[i]);
    }
}

/* The least divisor of batch that is value or more; 0 when slots can't be that many. */
static int64_t divisor_from(int64_t batch, int64_t value) {
    for (int64_t d = value; d <= batch && d <= QD_JOB_MAX_SLOTS; d++)
        if (batch % d == 0)
            return d;
    return 0;
}

int qd_job_add_slots_remedy(int rc, const qd_job *job, int64_t ranks) {
    int64_t enough = divisor_from(job->train.batch, ranks);
    char before[QD_ERROR_BYTES];
    snprintf(before, sizeof before, "%s", qd_error_message());
    if (!enough)
        return rc;
    return qd_error_set(rc, "%s, or set slots.data to %" PRId64, before, enough);
}

int qd_job_resolve(const char *file, const qd_schema_lines *lines, qd_job *job) {
    qd_job_rules r = {file, lines, NULL};
    int rc;
    if ((rc = qd_job_resolve_model(&r, job)) || (rc = qd_job_resolve_train(&r, job)) ||
        (rc = qd_job_check_schedule(&r, job)))
        return rc;
    if (job->layout_grid == QD_GRID_AUTO)
        return qd_job_leave_to_planner(&r, job);
    if ((rc = qd_job_resolve_slots(&r, job)) || (rc = qd_job_resolve_ranks(&r, job)) ||
        (rc = qd_layer_list_check(file, lines, job)))
        return rc;
    rc = qd_job_check_parts(&r, job);
    return rc ? rc : qd_job_check_pipeline(file, lines, job);
}
