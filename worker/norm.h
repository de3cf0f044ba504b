/* norm.h: lengths of vectors, in double and in an order of its own, so that neither instruction set
 * nor grid shows in them. */
#ifndef QD_WORKER_NORM_H
#define QD_WORKER_NORM_H

#include <stdint.h>

/* Sum of x[i]^2: sixteen partial sums in double, where no square of a float over- or underflows,
 * added up in one tree. */
double qd_norm_squared(const float *x, int64_t count);

#endif
