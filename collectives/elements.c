#include "collectives/elements.h"

#include <string.h>

/* Rounds the bits of a float to the upper 16; adding half a unit less one, and one more where the
 * kept part is odd. A NaN's payload could carry into its sign: it is made quiet instead. */
static inline uint32_t rounded_bits(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    uint32_t up = (bits + 0x7fff + (bits >> 16 & 1)) & 0xffff0000;
    uint32_t nan = (bits | 0x400000) & 0xffff0000;
    return (bits & 0x7fffffff) > 0x7f800000 ? nan : up;
}

static inline float rounded(float value) {
    uint32_t bits = rounded_bits(value);
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* into may be left or right itself. Without the pragma the compiler would test for that overlap
 * and then add one element at a time. */
static void add_fp32(float *into, const float *left, const float *right, size_t n) {
#pragma GCC ivdep
    for (size_t i = 0; i < n; i++)
        into[i] = left[i] + right[i];
}

static void add_bf16(float *into, const float *left, const float *right, size_t n) {
#pragma GCC ivdep
    for (size_t i = 0; i < n; i++)
        into[i] = rounded(left[i] + right[i]);
}

void qd_elements_add(qd_wire_type type, float *into, const float *left, const float *right,
                     size_t n) {
    (type == QD_WIRE_BF16 ? add_bf16 : add_fp32)(into, left, right, n);
}

void qd_elements_round(qd_wire_type type, float *values, size_t n) {
    if (type == QD_WIRE_FP32)
        return;
    for (size_t i = 0; i < n; i++)
        values[i] = rounded(values[i]);
}

void qd_elements_pack(qd_wire_type type, void *wire, const float *values, size_t n) {
    if (type == QD_WIRE_FP32) {
        memcpy(wire, values, n * sizeof *values);
        return;
    }
    uint16_t *restrict to = wire;
    const float *restrict from = values;
    for (size_t i = 0; i < n; i++)
        to[i] = (uint16_t)(rounded_bits(from[i]) >> 16);
}

void qd_elements_unpack(qd_wire_type type, float *values, const void *wire, size_t n) {
    if (type == QD_WIRE_FP32) {
        memcpy(values, wire, n * sizeof *values);
        return;
    }
    const uint16_t *restrict from = wire;
    float *restrict to = values;
    for (size_t i = 0; i < n; i++) {
        uint32_t bits = (uint32_t)from[i] << 16;
        memcpy(&to[i], &bits, sizeof bits);
    }
}
