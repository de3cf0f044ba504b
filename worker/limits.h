/*
 * limits.h: what this machine can do at most, measured: the peak of multiply-adds and the rate at
 * which memory streams. Benchmarks quote fractions of them, taken in the same run; `quadrille
 * calibrate` writes them down.
 */
#ifndef QD_WORKER_LIMITS_H
#define QD_WORKER_LIMITS_H

/* Multiply-adds of floats on `threads` threads, in 1e9 FLOPs a second (a multiply-add is 2), with
 * the widest instructions that the processor has. */
double qd_limits_fp32_gflops(int threads);

/* The same of bf16 into floats: vdpbf16ps, 0 where the processor does not know it. Not tiles (AMX)
 * yet. */
double qd_limits_bf16_gflops(int threads);

/* a[i] = b[i] + s c[i] over arrays that no cache holds, in 1e9 bytes a second; 12 bytes an
 * element, as McCalpin's STREAM counts. */
double qd_limits_triad_gbps(int threads);

#endif
