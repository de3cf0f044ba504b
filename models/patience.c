#include "models/patience.h"

#include <math.h>

void qd_patience_begin(qd_patience *patience) {
    *patience = (qd_patience){.best = INFINITY};
}

void qd_patience_note(qd_patience *patience, double loss) {
    bool better = (float)loss < patience->best;
    patience->best = better ? (float)loss : patience->best;
    patience->since = better ? 0 : patience->since + 1;
}

bool qd_patience_counts(const qd_job *job, int64_t step) {
    int64_t every = job->train.evaluate_every;
    return every > 0 && step > 0 && step % every == 0;
}

bool qd_patience_is_over(const qd_patience *patience, const qd_job *job) {
    return job->train.stop_after > 0 && patience->since >= job->train.stop_after;
}
