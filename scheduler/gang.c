#include "scheduler/gang.h"

#include <stddef.h>

const char *const qd_outcome_names[QD_OUTCOMES] = {
    [QD_OUTCOME_DONE] = "DONE",
    [QD_OUTCOME_SAVED] = "SAVED",
    [QD_OUTCOME_FAILED] = "FAILED",
    [QD_OUTCOME_ABORTED] = "ABORTED",
};

/* The worst first. */
static const struct {
    qd_outcome outcome;
    qd_job_state state;
} verdicts[] = {
    {QD_OUTCOME_FAILED, QD_STATE_FAILED},
    {QD_OUTCOME_ABORTED, QD_STATE_CANCELLED},
    {QD_OUTCOME_SAVED, QD_STATE_PREEMPTED},
};

void qd_gang_member_ended(qd_gang *gang, qd_outcome outcome) {
    gang->live--;
    gang->ended[outcome]++;
}

qd_job_state qd_gang_verdict(const qd_gang *gang) {
    if (gang->ended[QD_OUTCOME_DONE] == gang->size)
        return QD_STATE_COMPLETED;
    if (gang->called_off)
        return QD_STATE_CANCELLED;
    for (size_t i = 0; i < sizeof verdicts / sizeof verdicts[0]; i++)
        if (gang->ended[verdicts[i].outcome] > 0)
            return verdicts[i].state;
    return QD_STATE_COMPLETED;
}
