#include "worker/limits.h"

#include <immintrin.h>
#include <omp.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "runtime/clock.h"

enum { ROUNDS = 5, CHAINS = 16 };

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, int count) {
    qsort(values, (size_t)count, sizeof *values, by_value);
    return values[count / 2];
}

static double seconds(void) {
    return (double)qd_clock_now_ns() * 1e-9;
}

/* Sixteen chains of multiply-adds, more than latency times width of any processor so far. The
 * empty assembly keeps the compiler from doing them in advance. */
__attribute__((target("avx512f"))) static float multiply_add_512(long n) {
    __m512 c[CHAINS], a = _mm512_set1_ps(0.999f), b = _mm512_set1_ps(1e-6f);
    for (int i = 0; i < CHAINS; i++)
        c[i] = _mm512_set1_ps((float)i);
    for (long k = 0; k < n; k++) {
#pragma GCC unroll 16
        for (int i = 0; i < CHAINS; i++)
            c[i] = _mm512_fmadd_ps(c[i], a, b);
        __asm__ volatile("" : "+v"(a), "+v"(b));
    }
    float sum = 0;
    for (int i = 0; i < CHAINS; i++)
        sum += _mm512_reduce_add_ps(c[i]);
    return sum;
}

__attribute__((target("avx2,fma"))) static float multiply_add_256(long n) {
    __m256 c[CHAINS], a = _mm256_set1_ps(0.999f), b = _mm256_set1_ps(1e-6f);
    for (int i = 0; i < CHAINS; i++)
        c[i] = _mm256_set1_ps((float)i);
    for (long k = 0; k < n; k++) {
#pragma GCC unroll 16
        for (int i = 0; i < CHAINS; i++)
            c[i] = _mm256_fmadd_ps(c[i], a, b);
        __asm__ volatile("" : "+x"(a), "+x"(b));
    }
    float sum = 0;
    for (int i = 0; i < CHAINS; i++)
        sum += c[i][0];
    return sum;
}

__attribute__((target("avx512f,avx512bf16"))) static float multiply_add_bf16(long n) {
    __m512 c[CHAINS];
    __m512bh a = (__m512bh)_mm512_set1_epi32(0x3f803f80),
             b = (__m512bh)_mm512_set1_epi32(0x3a003a00);
    for (int i = 0; i < CHAINS; i++)
        c[i] = _mm512_set1_ps((float)i);
    for (long k = 0; k < n; k++) {
#pragma GCC unroll 16
        for (int i = 0; i < CHAINS; i++)
            c[i] = _mm512_dpbf16_ps(c[i], a, b);
        __asm__ volatile("" : "+v"(a), "+v"(b));
    }
    float sum = 0;
    for (int i = 0; i < CHAINS; i++)
        sum += _mm512_reduce_add_ps(c[i]);
    return sum;
}

/* Runs a loop of `flops` each n on all threads; 1e9 FLOPs a second. */
static double rate_of(float (*loop)(long), long n, double flops, int threads) {
    double rates[ROUNDS];
    float sum = 0; /* used, so that the work is done */
    for (int r = 0; r < ROUNDS; r++) {
        double from = seconds();
#pragma omp parallel num_threads(threads) reduction(+ : sum)
        sum += loop(n);
        rates[r] = sum != 0 ? (double)n * flops * threads / (seconds() - from) * 1e-9 : 0;
    }
    return median(rates, ROUNDS);
}

enum { ITERATIONS = 5000000 };

double qd_limits_fp32_gflops(int threads) {
    if (__builtin_cpu_supports("avx512f"))
        return rate_of(multiply_add_512, ITERATIONS, CHAINS * 16 * 2, threads);
    return rate_of(multiply_add_256, ITERATIONS, CHAINS * 8 * 2, threads);
}

/* Tiles are not measured yet. */
double qd_limits_bf16_gflops(int threads) {
    if (!__builtin_cpu_supports("avx512bf16"))
        return 0;
    return rate_of(multiply_add_bf16, ITERATIONS, CHAINS * 32 * 2, threads);
}

double qd_limits_triad_gbps(int threads) {
    const size_t count = (size_t)32 << 20;
    size_t bytes = 3 * count * sizeof(float);
    float *a = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (a == MAP_FAILED)
        return 0;
    madvise(a, bytes, MADV_HUGEPAGE);
    float *b = a + count, *c = b + count;
    for (size_t i = 0; i < 3 * count; i++)
        a[i] = 1;
    double rates[ROUNDS];
    for (int r = 0; r < ROUNDS; r++) {
        double from = seconds();
#pragma omp parallel for simd num_threads(threads) schedule(static)
        for (size_t i = 0; i < count; i++)
            a[i] = b[i] + 3.0f * c[i];
        rates[r] = (double)(12 * count) / (seconds() - from) * 1e-9;
    }
    munmap(a, bytes);
    return median(rates, ROUNDS);
}
