#include "worker/checksum.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

enum { DIGITS = QD_CHECKSUM_TEXT_BYTES - 1 };

uint64_t qd_checksum(const void *bytes, size_t length) {
    return XXH3_64bits(bytes, length);
}

void qd_checksum_text(uint64_t checksum, char text[QD_CHECKSUM_TEXT_BYTES]) {
    snprintf(text, QD_CHECKSUM_TEXT_BYTES, "%016" PRIx64, checksum);
}

bool qd_checksum_parse(const char *text, uint64_t *checksum) {
    static const char digits[] = "0123456789abcdef";
    uint64_t value = 0;
    if (strlen(text) != DIGITS)
        return false;
    for (const char *at = text; *at; at++) {
        const char *digit = strchr(digits, *at);
        if (!digit)
            return false;
        value = value << 4 | (uint64_t)(digit - digits);
    }
    *checksum = value;
    return true;
}
