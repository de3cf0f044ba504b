#include "runtime/nearest.h"

#include <ctype.h>
#include <stdint.h>
#include <string.h>

static size_t least(size_t a, size_t b) {
    return a < b ? a : b;
}

static int letter(const char *word, size_t at) {
    return tolower((unsigned char)word[at]);
}

size_t qd_edit_distance(const char *a, const char *b) {
    size_t a_length = strlen(a), b_length = strlen(b);
    if (a_length > QD_NEAREST_MAX_BYTES || b_length > QD_NEAREST_MAX_BYTES)
        return SIZE_MAX;

    /* Row i % 3 holds the distances of the first i letters of a from every beginning of b; a swap
     * looks two rows back. */
    size_t row[3][QD_NEAREST_MAX_BYTES + 1];
    for (size_t j = 0; j <= b_length; j++)
        row[0][j] = j;
    for (size_t i = 1; i <= a_length; i++) {
        size_t *now = row[i % 3];
        const size_t *above = row[(i + 2) % 3], *above2 = row[(i + 1) % 3];
        now[0] = i;
        for (size_t j = 1; j <= b_length; j++) {
            size_t replace = letter(a, i - 1) != letter(b, j - 1);
            now[j] = least(above[j - 1] + replace, least(above[j], now[j - 1]) + 1);
            if (i > 1 && j > 1 && letter(a, i - 1) == letter(b, j - 2) &&
                letter(a, i - 2) == letter(b, j - 1))
                now[j] = least(now[j], above2[j - 2] + 1);
        }
    }
    return row[a_length % 3][b_length];
}

const char *qd_nearest(const char *word, const char *const *candidates, size_t count) {
    const char *nearest = NULL;
    size_t nearest_distance = SIZE_MAX;
    for (size_t i = 0; i < count; i++) {
        if (!candidates[i])
            continue;
        size_t distance = qd_edit_distance(word, candidates[i]);
        size_t longer = strlen(word), other = strlen(candidates[i]);
        longer = longer > other ? longer : other;
        if (distance <= longer / 3 && distance < nearest_distance) {
            nearest = candidates[i];
            nearest_distance = distance;
        }
    }
    return nearest;
}
