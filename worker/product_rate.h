/* product_rate.h: how fast this machine's backend multiplies matrices: one linear layer of a size,
 * forward, over and over. For `quadrille calibrate`. */
#ifndef QD_WORKER_PRODUCT_RATE_H
#define QD_WORKER_PRODUCT_RATE_H

#include <stdint.h>

#include "models/graph.h"

/* Seconds, in the round least disturbed, of x[size, size] W[size, size]^T on one thread. QD_ENOMEM,
 * QD_EINTERNAL. */
int qd_product_seconds(int64_t size, qd_precision precision, double *seconds);

#endif
