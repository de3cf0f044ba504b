#include "runtime/isa.h"

#include <cpuid.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/error.h"
#include "runtime/quote.h"

const char *const qd_isa_names[QD_ISA_KINDS] = {
    [QD_ISA_AVX2] = "avx2",
    [QD_ISA_AVX512] = "avx512",
    [QD_ISA_AVX512_BF16] = "avx512-bf16",
    [QD_ISA_AMX_BF16] = "amx-bf16",
};

static bool has_avx2(void) {
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
           __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2");
}

static bool has_avx512(void) {
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vl");
}

/* Intel SDM, CPUID leaf 7: EDX bit 22 AMX-BF16, bit 24 AMX-TILE. */
static bool has_amx(void) {
    unsigned a, b, c, d;
    const unsigned bits = 1u << 22 | 1u << 24;
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (d & bits) == bits;
}

/* -1: not even the least. */
static int best(void) {
    __builtin_cpu_init();
    if (!has_avx2())
        return -1;
    if (!has_avx512())
        return QD_ISA_AVX2;
    if (!__builtin_cpu_supports("avx512bf16"))
        return QD_ISA_AVX512;
    return has_amx() ? QD_ISA_AMX_BF16 : QD_ISA_AVX512_BF16;
}

static int find(const char *name) {
    for (int i = 0; i < QD_ISA_KINDS; i++)
        if (strcmp(qd_isa_names[i], name) == 0)
            return i;
    return -1;
}

int qd_isa_in_use(qd_isa *isa) {
    const char *held = getenv(QD_ISA_VARIABLE);
    char shown[QD_QUOTE_BYTES];
    int most = best();
    if (most < 0)
        return qd_error_set(QD_ECONFIG, "this processor has no AVX2, which computing on it needs");
    if (!held || *held == '\0') {
        *isa = (qd_isa)most;
        return 0;
    }
    int asked = find(held);
    if (asked < 0)
        return qd_error_set(QD_ECONFIG,
                            "QD_ISA=%s is not known; accepted: avx2, avx512, avx512-bf16, amx-bf16",
                            qd_quote(held, shown));
    if (asked > most)
        return qd_error_set(QD_ECONFIG, "QD_ISA=%s: this processor has %s at most", held,
                            qd_isa_names[most]);
    *isa = (qd_isa)asked;
    return 0;
}

const char *qd_isa_in_use_name(void) {
    qd_isa isa = QD_ISA_AVX2;
    return qd_isa_in_use(&isa) ? "none" : qd_isa_names[isa];
}
