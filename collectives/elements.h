/*
 * elements.h: the loops over vectors that reductions are made of: sums, and rounding to the type
 * that travels. Compiled for AVX2, the floor; they run at the speed of the cache.
 *
 * bf16 on the wire: every value is rounded to the nearest bf16, ties to even, at every node of
 * the tree, also where it does not travel; sums are of fp32. NaN stays NaN.
 */
#ifndef QD_COLLECTIVES_ELEMENTS_H
#define QD_COLLECTIVES_ELEMENTS_H

#include <stddef.h>
#include <stdint.h>

typedef enum { QD_WIRE_FP32, QD_WIRE_BF16 } qd_wire_type;

/* Bytes of an element. */
static inline size_t qd_wire_width(qd_wire_type type) {
    return type == QD_WIRE_BF16 ? 2 : 4;
}

/* into[i] = left[i] + right[i], rounded as the wire has it. into may be left or right. */
void qd_elements_add(qd_wire_type type, float *into, const float *left, const float *right,
                     size_t n);

/* Rounds a vector in place; nothing for fp32. A rank that adds its own slots before a reduction
 * calls this on each slot's vector, and qd_elements_add for each of its own nodes. */
void qd_elements_round(qd_wire_type type, float *values, size_t n);

/* To the wire's type, and back. pack rounds. */
void qd_elements_pack(qd_wire_type type, void *wire, const float *values, size_t n);
void qd_elements_unpack(qd_wire_type type, float *values, const void *wire, size_t n);

#endif
