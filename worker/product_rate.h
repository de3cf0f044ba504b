/* product_rate.h: how fast this machine's backend multiplies matrices: one linear layer of a size,
 * forward and backward, over and over, as training does it. For `quadrille calibrate`. */
#ifndef QD_WORKER_PRODUCT_RATE_H
#define QD_WORKER_PRODUCT_RATE_H

#include <stdint.h>

#include "models/graph.h"

/* Seconds of one product on one thread, the mean of the three of a layer y = x W^T (y, dx, dW) with
 * x[rows, size] and W[size, size], in the median round. As in training, what lies in memory for
 * each sample is in no cache. QD_ENOMEM, QD_EINTERNAL. */
int qd_product_seconds(int64_t rows, int64_t size, qd_precision precision, double *seconds);

#endif
