/*
 * onednn_convolution.h: one convolution of fixed shape, forward and backward, by oneDNN. Images are
 * [n, height, width, channels] (oneDNN computes these without changing their layout), weights
 * [out, in / groups, kernel height, kernel width] as PyTorch keeps them: they are a fraction of
 * the images, and are brought into the layout that the library likes best in each call.
 */
#ifndef QD_WORKER_CPU_ONEDNN_CONVOLUTION_H
#define QD_WORKER_CPU_ONEDNN_CONVOLUTION_H

#include <stdbool.h>
#include <stddef.h>

#include "models/graph.h"

typedef struct qd_convolution qd_convolution;

/* What is multiplied is float, or bf16 where narrow is set (the processor must know it); what comes
 * out, and biases, are float in both. image: [n, h, w, in]; weight: [out, in / groups, kh, kw];
 * result: [n, h', w', out]. threads: to be used in each call. Takes up to some milliseconds.
 * QD_EINTERNAL, QD_ENOMEM. */
int qd_convolution_create(int threads, const qd_shape *image, const qd_shape *weight,
                          const qd_shape *result, bool biased, bool narrow,
                          qd_convolution_attributes attributes, qd_convolution **convolution);
void qd_convolution_destroy(qd_convolution *convolution);

/* Bytes, a multiple of 64, that every call below must be given as scratch, 64-byte aligned. */
size_t qd_convolution_scratch_bytes(const qd_convolution *convolution);

/* y = x * w + b; b and db are NULL where it is not biased. Everything is written, nothing added to.
 * QD_EINTERNAL. */
int qd_convolution_forward(qd_convolution *c, const void *x, const void *w, const float *b,
                           float *y, void *scratch);
int qd_convolution_backward_data(qd_convolution *c, const void *dy, const void *w, float *dx,
                                 void *scratch);
int qd_convolution_backward_weights(qd_convolution *c, const void *x, const void *dy, float *dw,
                                    float *db, void *scratch);

#endif
