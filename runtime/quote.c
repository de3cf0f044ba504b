#include "runtime/quote.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

size_t qd_printable(const char *at) {
    const unsigned char *c = (const unsigned char *)at;
    if (c[0] < 0x80)
        return c[0] >= 0x20 && c[0] != 0x7f;
    if (c[0] < 0xc2 || c[0] > 0xf4)
        return 0;
    size_t bytes = c[0] < 0xe0 ? 2 : c[0] < 0xf0 ? 3 : 4;
    uint32_t code = c[0] & (0x7fu >> bytes);
    for (size_t i = 1; i < bytes; i++) {
        if ((c[i] & 0xc0) != 0x80)
            return 0;
        code = code << 6 | (c[i] & 0x3fu);
    }
    if (code < 0xa0 || code == 0x2028 || code == 0x2029 || code == 0xfeff || code == 0xfffe ||
        code == 0xffff)
        return 0;
    return bytes;
}

const char *qd_quote(const char *text, char out[QD_QUOTE_BYTES]) {
    size_t used = 0;
    out[used++] = '"';
    while (*text) {
        char piece[8];
        size_t bytes = qd_printable(text);
        size_t length = bytes ? bytes : 4;
        if (bytes)
            memcpy(piece, text, bytes);
        else
            snprintf(piece, sizeof piece, "\\x%02x", (unsigned char)*text);
        /* Room must remain for `..."` and the NUL. */
        if (used + length + 5 > QD_QUOTE_BYTES) {
            memcpy(out + used, "...", 3);
            used += 3;
            break;
        }
        memcpy(out + used, piece, length);
        used += length;
        text += bytes ? bytes : 1;
    }
    out[used++] = '"';
    out[used] = '\0';
    return out;
}
