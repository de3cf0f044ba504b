/*
 * vector_math.h: exponentials and their relatives for one float, free of branches and calls, so
 * that a loop over them is vectorised. Multiply-adds are not fused: every instruction set gives the
 * same bits. Errors are held to two units in the last place by test_vector_math, but where said.
 */
#ifndef QD_WORKER_CPU_KERNELS_VECTOR_MATH_H
#define QD_WORKER_CPU_KERNELS_VECTOR_MATH_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#define QD_MATH_INLINE static inline __attribute__((always_inline))

/* 2^n for -126 <= n <= 127 */
QD_MATH_INLINE float qd_power_of_two(int32_t n) {
    int32_t bits = (int32_t)((uint32_t)(n + 127) << 23);
    float power;
    memcpy(&power, &bits, sizeof power);
    return power;
}

/*
 * e^x: x = n ln 2 + r, |r| <= ln 2 / 2; e^r by its Taylor series, whose first term left out is
 * r^8 / 8! < 6e-9. Zero below -87.33, where a float would be denormal; infinite above 88.72.
 */
QD_MATH_INLINE float qd_expf(float x) {
    const float to_integer = 12582912.0f; /* 1.5 2^23: adding it rounds to a whole number */
    float clamped = x > 88.722835f ? 88.722835f : x;
    float n = (clamped * 1.442695041f + to_integer) - to_integer;
    float r = (clamped - n * 0.693359375f) + n * 2.12194440e-4f; /* ln 2 in two parts */
    float p = 1.0f / 5040;
    p = p * r + 1.0f / 720;
    p = p * r + 1.0f / 120;
    p = p * r + 1.0f / 24;
    p = p * r + 1.0f / 6;
    p = p * r + 0.5f;
    p = (p * r) * r + r + 1.0f;
    /* In two factors: 2^128 is no float. A NaN has any n, and p keeps it. */
    int32_t exponent = (int32_t)(x >= -87.33f ? n : 0.0f), half = exponent >> 1;
    float e = p * qd_power_of_two(half) * qd_power_of_two(exponent - half);
    e = x < -87.33f ? 0.0f : e;
    return x > 88.722835f ? (float)INFINITY : e;
}

/* 1 / (1 + e^-x), by the exponential of -|x|, which cannot overflow. */
QD_MATH_INLINE float qd_sigmoidf(float x) {
    float e = qd_expf(x < 0 ? x : -x), inverse = 1.0f / (1.0f + e);
    return x < 0 ? e * inverse : inverse;
}

/* Near zero by the odd series of Cephes' tanhf (S. L. Moshier), elsewhere by e^(-2 |x|). */
QD_MATH_INLINE float qd_tanhf(float x) {
    float a = fabsf(x), e = qd_expf(-2.0f * a), s = x * x;
    float p = -5.70498872745e-3f;
    p = p * s + 2.06390887954e-2f;
    p = p * s - 5.37397155531e-2f;
    p = p * s + 1.33314422036e-1f;
    p = p * s - 3.33332819422e-1f;
    float near = p * s * x + x;
    float far = copysignf((1.0f - e) / (1.0f + e), x);
    return a < 0.625f ? near : far;
}

/*
 * erf(x) by two polynomials of our own, interpolated at Chebyshev's points: near zero
 * erf(x) = x + x p(x^2), else erfc(|x|) = e^(-|x| + |x| q(|x|)). From 4 on erf is 1 as a float.
 */
QD_MATH_INLINE float qd_erff(float x) {
    float a = fabsf(x), s = x * x, t = a > 4.0f ? 4.0f : a;
    float p = -6.00873725e-4f;
    p = p * s + 4.99701174e-3f;
    p = p * s - 2.67694965e-2f;
    p = p * s + 1.12819046e-1f;
    p = p * s - 3.76125038e-1f;
    p = p * s + 1.28379151e-1f;
    float near = p * x + x;
    float q = -1.63743789e-5f;
    q = q * t + 3.70224327e-4f;
    q = q * t - 3.81218153e-3f;
    q = q * t + 2.40566675e-2f;
    q = q * t - 1.06485970e-1f;
    q = q * t - 6.35066628e-1f;
    q = q * t - 1.28651351e-1f;
    float far = copysignf(1.0f - qd_expf(q * t - t), x);
    return a < 0.921875f ? near : far;
}

/* 2 artanh(z) = log((1 + z) / (1 - z)) by its odd series, for |z| <= 1/3: the first term left out
 * is z^17 2 / 17, 3e-9 of the whole. */
QD_MATH_INLINE float qd_log_ratio(float z) {
    float w = z * z, p = 1.0f / 15;
    p = p * w + 1.0f / 13;
    p = p * w + 1.0f / 11;
    p = p * w + 1.0f / 9;
    p = p * w + 1.0f / 7;
    p = p * w + 1.0f / 5;
    p = p * w + 1.0f / 3;
    float twice = z + z;
    return twice + twice * (w * p);
}

/* log(1 + x) for 0 <= x <= 1. */
QD_MATH_INLINE float qd_log1pf(float x) {
    return qd_log_ratio(x / (2.0f + x));
}

/* log(x) of a normal, finite, positive x = m 2^n, m within sqrt(1/2) .. sqrt(2). */
QD_MATH_INLINE float qd_logf(float x) {
    const int32_t root_half = 0x3f3504f3; /* sqrt(1/2) as bits */
    int32_t bits;
    memcpy(&bits, &x, sizeof bits);
    int32_t n = (bits - root_half) >> 23;
    bits -= (int32_t)((uint32_t)n << 23);
    float m;
    memcpy(&m, &bits, sizeof m);
    float log_m = qd_log_ratio((m - 1.0f) / (m + 1.0f));
    return (float)n * 0.693359375f + ((float)n * -2.12194440e-4f + log_m); /* as in qd_expf */
}

#endif
