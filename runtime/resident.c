#include "runtime/resident.h"

#include <stdio.h>

/* The number of KiB in a line "KEY:  N kB" of /proc/self/status. Not getrusage: its ru_maxrss
 * remembers the program that this process was before exec. */
static int64_t status_bytes(const char *format) {
    char line[128];
    long long kib = 0;
    FILE *file = fopen("/proc/self/status", "re");
    if (!file)
        return 0;
    while (fgets(line, sizeof line, file))
        if (sscanf(line, format, &kib) == 1)
            break;
    fclose(file);
    return kib * 1024;
}

int64_t qd_resident_bytes(void) {
    return status_bytes("VmRSS: %lld");
}

int64_t qd_resident_peak_bytes(void) {
    return status_bytes("VmHWM: %lld");
}

void qd_resident_forget_peak(void) {
    FILE *file = fopen("/proc/self/clear_refs", "we");
    if (!file)
        return;
    fputs("5", file); /* proc(5) */
    fclose(file);
}
