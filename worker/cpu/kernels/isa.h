/*
 * isa.h: every file in worker/cpu/kernels is compiled once for each instruction set, with QD_ISA
 * naming it, and QD_CPU gives its symbols a name of their own: QD_CPU(linear) is
 * qd_cpu_linear_avx2 in one and qd_cpu_linear_avx512 in the other. Which set runs is chosen when a
 * context is created (backend_cpu.c), so that one package runs fast on every node (DESIGN 3.8).
 *
 * Since multiply-adds are fused only where the source says so and sums keep their order, our own
 * loops give the same bits in each.
 */
#ifndef QD_WORKER_CPU_KERNELS_ISA_H
#define QD_WORKER_CPU_KERNELS_ISA_H

#define QD_CPU_PASTE_(name, isa) qd_cpu_##name##_##isa
#define QD_CPU_PASTE(name, isa) QD_CPU_PASTE_(name, isa)
#define QD_CPU(name) QD_CPU_PASTE(name, QD_ISA)

#endif
