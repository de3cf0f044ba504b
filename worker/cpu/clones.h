/*
 * clones.h: QD_CLONES before a function compiles it for several instruction sets and picks one at
 * start-up by cpuid, so that one package runs fast on every node (DESIGN 3.8). For plain loops;
 * since multiply-adds are never fused and sums keep their order, every clone gives the same bits.
 */
#ifndef QD_WORKER_CPU_CLONES_H
#define QD_WORKER_CPU_CLONES_H

/* A sanitizer's run time is not up yet when the loader asks which clone to take. */
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) &&                             \
    !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define QD_CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define QD_CLONES
#endif

#endif
