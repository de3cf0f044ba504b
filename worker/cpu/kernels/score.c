#include <math.h>

#include "worker/cpu/kernels/kernels.h"

static int64_t first_greatest(const float *logits, int64_t classes) {
    int64_t best = 0;
    for (int64_t j = 1; j < classes; j++)
        if (logits[j] > logits[best])
            best = j;
    return best;
}

void QD_CPU(score)(const float *losses, const float *logits, const int32_t *targets,
                   const int32_t *ignored, int64_t n, int64_t classes, double *loss_sum,
                   int64_t *correct) {
    double sum = 0.0;
    int64_t right = 0;
    for (int64_t i = 0; i < n; i++) {
        sum += (double)losses[i];
        bool counts = targets && !(ignored && targets[i] == *ignored);
        right += counts && first_greatest(logits + i * classes, classes) == targets[i];
    }
    *loss_sum = sum;
    *correct = right;
}

/* A NaN is never the greatest, as in first_greatest, unless it is the very first class: then no
 * other is. */
void QD_CPU(greatest)(const float *logits, int64_t n, int64_t classes, int64_t first,
                      float *greatest) {
    enum { NOWHERE = 1 << 24 };
    for (int64_t i = 0; i < n; i++, logits += classes, greatest += 2) {
        float best = -INFINITY, at = NOWHERE;
        for (int64_t j = 0; j < classes; j++)
            if (logits[j] > best || (at == NOWHERE && logits[j] == best)) {
                best = logits[j];
                at = (float)(first + j);
            }
        bool blinds = first == 0 && isnan(logits[0]);
        greatest[0] = blinds ? INFINITY : best;
        greatest[1] = blinds ? 0 : at;
    }
}
