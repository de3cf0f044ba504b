/*
 * resident.h: how much of this process lies in memory, as the system counts it: its own pages, and
 * those of files and of shared memory that it has touched. Linux's /proc; 0 where there is none.
 */
#ifndef QD_RUNTIME_RESIDENT_H
#define QD_RUNTIME_RESIDENT_H

#include <stdint.h>

/* Bytes that are resident now. */
int64_t qd_resident_bytes(void);

/* The most that were resident at once since the last qd_resident_forget_peak, or the beginning. */
int64_t qd_resident_peak_bytes(void);

/* The peak begins anew, at what is resident now; where the system does not allow that, it stays. */
void qd_resident_forget_peak(void);

#endif
