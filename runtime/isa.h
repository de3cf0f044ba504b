/*
 * isa.h: the vector instruction set that CPU code computes with: the best that the processor has,
 * or less where the environment variable QD_ISA holds it down (avx2, avx512, avx512-bf16,
 * amx-bf16), for tests and for results that are to be repeated on a lesser processor.
 */
#ifndef QD_RUNTIME_ISA_H
#define QD_RUNTIME_ISA_H

/* Each includes those before it. AVX2 stands for x86-64-v3, AVX-512 for x86-64-v4 (System V ABI,
 * AMD64 supplement, section 3.1.1). */
typedef enum {
    QD_ISA_AVX2,
    QD_ISA_AVX512,
    QD_ISA_AVX512_BF16, /* vdpbf16ps */
    QD_ISA_AMX_BF16,    /* tiles */
    QD_ISA_KINDS
} qd_isa;

#define QD_ISA_VARIABLE "QD_ISA"

/* "avx2" ... */
extern const char *const qd_isa_names[QD_ISA_KINDS];

/* QD_ECONFIG where QD_ISA is no such name or asks for more than the processor has, or where this
 * has not even AVX2. */
int qd_isa_in_use(qd_isa *isa);

/* The name of that, or "none" where there is an error. */
const char *qd_isa_in_use_name(void);

#endif
