/*
 * nearest.h: the word someone most likely meant, for "did you mean" in messages. Only for words
 * of a few dozen letters; not a search.
 */
#ifndef QD_RUNTIME_NEAREST_H
#define QD_RUNTIME_NEAREST_H

#include <stddef.h>

/* Words of more bytes than this have no nearest one. */
#define QD_NEAREST_MAX_BYTES 64

/*
 * Least number of letters to insert, delete, replace or swap with their neighbour that turns a
 * into b, upper and lower case being the same, no letter being touched twice (optimal string
 * alignment; Damerau, "A technique for computer detection and correction of spelling errors",
 * 1964). SIZE_MAX when a or b is longer than QD_NEAREST_MAX_BYTES.
 */
size_t qd_edit_distance(const char *a, const char *b);

/*
 * The candidate with the least distance from word, the first of equals; NULL when none is near:
 * at most one letter in three may differ. Entries that are NULL are passed over.
 */
const char *qd_nearest(const char *word, const char *const *candidates, size_t count);

#endif
