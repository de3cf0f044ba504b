/*
 * random.h: counter-based random numbers (Philox4x32-10; Salmon et al., "Parallel random numbers:
 * as easy as 1, 2, 3", SC'11). A number is a pure function of what it is for, never of a rank or
 * of how many were drawn before, so that every grid draws the same ones (DESIGN, "same loss on
 * any grid").
 */
#ifndef QD_RUNTIME_RANDOM_H
#define QD_RUNTIME_RANDOM_H

#include <stdint.h>

/* What a number is drawn for. Two uses of one seed must not share a site. */
typedef struct qd_random_key {
    uint64_t seed;
    uint32_t site; /* a qd_random_site() or a QD_SITE_ constant */
} qd_random_key;

enum { QD_SITE_SHUFFLE = 1 }; /* named sites below 16; hashed ones have the top bit set */

/* The site of a named thing (a parameter tensor, an operator): a hash of its name. */
uint32_t qd_random_site(const char *name);

/* Four 32-bit numbers for (key, step, index). */
void qd_random_block(qd_random_key key, uint32_t step, uint64_t index, uint32_t out[4]);

/* Uniform in [0, 1) with 24 bits; element index of the stream (key, step). */
float qd_random_uniform(qd_random_key key, uint32_t step, uint64_t index);

/* Normal, mean 0 and variance 1 (Box-Muller on the block of index). */
float qd_random_normal(qd_random_key key, uint32_t step, uint64_t index);

/*
 * The image of index under a random permutation of 0 .. count-1 that belongs to (key, step):
 * a Feistel network over the next even power of two with cycle walking (Black and Rogaway,
 * "Ciphers with arbitrary finite domains", 2002). No memory, any index at once.
 * 0 <= index < count.
 */
uint64_t qd_random_permute(qd_random_key key, uint32_t step, uint64_t count, uint64_t index);

#endif
