#include "runtime/random.h"

#include <Random123/philox.h>
#include <math.h>
#include <string.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

enum { FEISTEL_ROUNDS = 8 };

uint32_t qd_random_site(const char *name) {
    return XXH32(name, strlen(name), 0) | UINT32_C(0x80000000);
}

void qd_random_block(qd_random_key key, uint32_t step, uint64_t index, uint32_t out[4]) {
    philox4x32_ctr_t counter = {{(uint32_t)index, (uint32_t)(index >> 32), step, key.site}};
    philox4x32_key_t k = {{(uint32_t)key.seed, (uint32_t)(key.seed >> 32)}};
    philox4x32_ctr_t r = philox4x32(counter, k);
    memcpy(out, r.v, sizeof r.v);
}

static float unit(uint32_t bits) {
    return (float)(bits >> 8) * 0x1p-24f;
}

float qd_random_uniform(qd_random_key key, uint32_t step, uint64_t index) {
    uint32_t block[4];
    qd_random_block(key, step, index, block);
    return unit(block[0]);
}

float qd_random_normal(qd_random_key key, uint32_t step, uint64_t index) {
    uint32_t block[4];
    qd_random_block(key, step, index, block);
    /* 1 - u lies in (0, 1], so the logarithm is finite. Double keeps libm's last bit out of it. */
    double u = 1.0 - (double)unit(block[0]);
    double v = (double)unit(block[1]);
    return (float)(sqrt(-2.0 * log(u)) * cos(2.0 * M_PI * v));
}

uint64_t qd_random_permute(qd_random_key key, uint32_t step, uint64_t count, uint64_t index) {
    unsigned half = 1;
    while (half < 32 && (UINT64_C(1) << (2 * half)) < count)
        half++;
    uint64_t mask = (UINT64_C(1) << half) - 1;
    do {
        uint64_t left = index >> half, right = index & mask;
        for (uint64_t round = 0; round < FEISTEL_ROUNDS; round++) {
            uint32_t block[4];
            qd_random_block(key, step, right | round << 56, block);
            uint64_t next = left ^ (block[0] & mask);
            left = right;
            right = next;
        }
        index = left << half | right;
    } while (index >= count); /* the domain is below 4 * count, so few rounds are walked */
    return index;
}
