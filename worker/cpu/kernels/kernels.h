/* kernels.h: what the kernels of one instruction set share. Only for worker/cpu/kernels/. */
#ifndef QD_WORKER_CPU_KERNELS_KERNELS_H
#define QD_WORKER_CPU_KERNELS_KERNELS_H

#include "worker/cpu/cpu.h"
#include "worker/cpu/kernels/isa.h"

extern const qd_cpu_op QD_CPU(linear);
extern const qd_cpu_op QD_CPU(add);
extern const qd_cpu_op QD_CPU(layer_norm);
extern const qd_cpu_op QD_CPU(rms_norm);
extern const qd_cpu_op QD_CPU(batch_norm);
extern const qd_cpu_op QD_CPU(dropout);
extern const qd_cpu_op QD_CPU(embedding);
extern const qd_cpu_op QD_CPU(position);
extern const qd_cpu_op QD_CPU(rotary);
extern const qd_cpu_op QD_CPU(attention);
extern const qd_cpu_op QD_CPU(lstm);
extern const qd_cpu_op QD_CPU(gru);
extern const qd_cpu_op QD_CPU(convolution);
extern const qd_cpu_op QD_CPU(max_pool);
extern const qd_cpu_op QD_CPU(mean_pool);
extern const qd_cpu_op QD_CPU(activation);
extern const qd_cpu_op QD_CPU(softmax);
extern const qd_cpu_op QD_CPU(concat);
extern const qd_cpu_op QD_CPU(position_mean);
extern const qd_cpu_op QD_CPU(position_take);
extern const qd_cpu_op QD_CPU(token_lengths);
extern const qd_cpu_op QD_CPU(reshape);
extern const qd_cpu_op QD_CPU(cross_entropy);
extern const qd_cpu_op QD_CPU(elementwise_loss);
extern const qd_cpu_op QD_CPU(kl);

/* to[i] = from[i], to the nearest, ties to even. */
void QD_CPU(narrow)(qd_bf16 *restrict to, const float *restrict from, int64_t count);

/* QD_EDATA for one of the n lengths outside of 1 .. t; lengths may be NULL. */
int QD_CPU(check_lengths)(const int32_t *lengths, int64_t n, int64_t t);

/* into[i] += from[i] */
void QD_CPU(add_floats)(float *restrict into, const float *restrict from, int64_t count);

/* A gradient that an operator hands on as it is: written to dx, or added to it. */
void QD_CPU(hand_on)(float *restrict dx, const float *restrict dy, int64_t count, bool adds);

/* How one parameter is moved; contract as qd_backend's update. */
qd_cpu_update QD_CPU(update_sgd), QD_CPU(update_adam), QD_CPU(update_adamw), QD_CPU(update_lamb),
    QD_CPU(update_muon);

/* As qd_backend's begin_move, orthogonalize and end_move. */
int QD_CPU(begin_muon)(qd_backend_context *context, const qd_optimizer_spec *spec,
                       const qd_optimizer_scalars *scalars, const qd_optimizer_tensor *tensor,
                       float *to);
int QD_CPU(orthogonalize)(qd_backend_context *context, int64_t rows, int64_t columns,
                          float *scratch, float **orthogonal);
int QD_CPU(end_muon)(qd_backend_context *context, const qd_optimizer_spec *spec,
                     const qd_optimizer_scalars *scalars, const qd_optimizer_tensor *tensor,
                     const float *orthogonal);

/* As qd_backend's measure. */
int QD_CPU(measure_lamb)(const qd_optimizer_spec *spec, const qd_optimizer_scalars *scalars,
                         const qd_optimizer_tensor *tensor, double *weights, double *moves);

/* As qd_backend's functions of these names. */
double QD_CPU(norm_squared_of)(const float *x, int64_t rows, int64_t columns, int64_t stride);
double QD_CPU(norm_squared)(const float *x, int64_t count); /* of one row */
void QD_CPU(greatest)(const float *logits, int64_t n, int64_t classes, int64_t first,
                      float *greatest);
void QD_CPU(score)(const float *losses, const float *logits, const int32_t *targets,
                   const int32_t *ignored, int64_t n, int64_t classes, double *loss_sum,
                   int64_t *correct);

#endif
