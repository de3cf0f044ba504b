#include "scheduler/pace.h"

#include "scheduler/core_internal.h"

enum { REPORTS = 3 };

void qd_pace_begin(qd_core *core, const qd_job_record *job) {
    for (int i = 0; i < job->gang.size; i++) {
        core->paces[job->ranks[i]].busy_ns = 0;
        core->paces[job->ranks[i]].against = 0;
    }
}

/* Whether so much is more than ratio times what at least half of the gang takes. False while some
 * of them have not told. */
static bool is_above(const qd_core *core, const qd_job_record *job, int64_t busy_ns, double ratio) {
    int faster = 0;
    for (int i = 0; i < job->gang.size; i++) {
        int64_t other_ns = core->paces[job->ranks[i]].busy_ns;
        if (other_ns == 0)
            return false;
        faster += (double)busy_ns > ratio * (double)other_ns;
    }
    return 2 * faster >= job->gang.size;
}

void qd_pace_note(qd_core *core, const qd_job_record *job, int rank, int64_t busy_ns) {
    qd_pace *pace = &core->paces[rank];
    double ratio = core->scheduling.swap_ratio;
    pace->busy_ns = busy_ns;
    if (job->gang.size < 2)
        return;
    bool slow = is_above(core, job, busy_ns, pace->slow ? 1 + (ratio - 1) / 2 : ratio);
    pace->against = slow == pace->slow ? 0 : pace->against + 1;
    if (pace->against < REPORTS)
        return;
    pace->slow = slow;
    pace->against = 0;
}
