#include "models/plateau.h"

#include <math.h>

void qd_plateau_begin(qd_plateau *plateau) {
    *plateau = (qd_plateau){.best = INFINITY};
}

void qd_plateau_note(qd_plateau *plateau, const qd_schedule_spec *spec, int64_t step, double loss) {
    if (step <= spec->warmup)
        return;
    if ((double)(float)loss < (double)plateau->best * (1 - spec->threshold)) {
        plateau->best = (float)loss;
        plateau->since = 0;
    } else if (++plateau->since > spec->patience) {
        plateau->falls++;
        plateau->since = 0;
    }
}

double qd_plateau_factor(const qd_plateau *plateau, const qd_schedule_spec *spec) {
    if (spec->kind != QD_SCHEDULE_PLATEAU)
        return 1;
    return fmax(pow(spec->gamma, (double)plateau->falls), spec->final);
}
