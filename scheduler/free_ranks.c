#include "scheduler/free_ranks.h"

#include <stdbool.h>
#include <stdlib.h>

#include "runtime/error.h"

enum { WORD = 64 };

int qd_free_ranks_init(qd_free_ranks *set, int last) {
    int words = 1;
    while (words <= last / WORD)
        words *= 2;
    size_t n = (size_t)words;
    *set = (qd_free_ranks){.words = words,
                           .bits = calloc(n, sizeof *set->bits),
                           .runs = calloc(2 * n, sizeof *set->runs),
                           .changed = calloc(n, sizeof *set->changed),
                           .is_changed = calloc(n, sizeof *set->is_changed)};
    if (set->bits && set->runs && set->changed && set->is_changed)
        return 0;
    qd_free_ranks_fini(set);
    return qd_error_set(QD_ENOMEM, "no memory for a set of %d ranks", last);
}

void qd_free_ranks_fini(qd_free_ranks *set) {
    free(set->bits);
    free(set->runs);
    free(set->changed);
    free(set->is_changed);
    *set = (qd_free_ranks){0};
}

static void note_change(qd_free_ranks *set, int word) {
    if (set->is_changed[word])
        return;
    set->is_changed[word] = 1;
    set->changed[set->changed_count++] = word;
}

void qd_free_ranks_add(qd_free_ranks *set, int rank) {
    set->bits[rank / WORD] |= UINT64_C(1) << rank % WORD;
    note_change(set, rank / WORD);
}

void qd_free_ranks_remove(qd_free_ranks *set, int rank) {
    set->bits[rank / WORD] &= ~(UINT64_C(1) << rank % WORD);
    note_change(set, rank / WORD);
}

static qd_runs runs_of_word(uint64_t bits) {
    if (bits == ~UINT64_C(0))
        return (qd_runs){WORD, WORD, WORD};
    int longest = 0;
    for (uint64_t left = bits; left; left &= left << 1)
        longest++;
    return (qd_runs){
        .at_start = __builtin_ctzll(~bits), .at_end = __builtin_clzll(~bits), .longest = longest};
}

static qd_runs join(qd_runs a, qd_runs b, int half) {
    int across = a.at_end + b.at_start;
    int longest = a.longest > b.longest ? a.longest : b.longest;
    return (qd_runs){.at_start = a.at_start == half ? half + b.at_start : a.at_start,
                     .at_end = b.at_end == half ? half + a.at_end : b.at_end,
                     .longest = across > longest ? across : longest};
}

static void bring_up_to_date(qd_free_ranks *set) {
    for (int i = 0; i < set->changed_count; i++) {
        int word = set->changed[i];
        set->is_changed[word] = 0;
        set->runs[set->words + word] = runs_of_word(set->bits[word]);
        int half = WORD;
        for (int at = (set->words + word) / 2; at >= 1; at /= 2, half *= 2)
            set->runs[at] = join(set->runs[2 * at], set->runs[2 * at + 1], half);
    }
    set->changed_count = 0;
}

static int lowest_run_in_word(uint64_t bits, int count) {
    for (int i = 1; i < count; i++)
        bits &= bits >> 1;
    return __builtin_ctzll(bits);
}

int qd_free_ranks_lowest_run(qd_free_ranks *set, int count) {
    bring_up_to_date(set);
    if (set->runs[1].longest < count)
        return -1;
    int at = 1, first = 0, length = set->words * WORD;
    while (at < set->words) {
        const qd_runs *a = &set->runs[2 * at], *b = a + 1;
        length /= 2;
        if (a->longest >= count) {
            at = 2 * at;
        } else if (a->at_end + b->at_start >= count) {
            return first + length - a->at_end;
        } else {
            at = 2 * at + 1;
            first += length;
        }
    }
    return first + lowest_run_in_word(set->bits[at - set->words], count);
}

int qd_free_ranks_next(const qd_free_ranks *set, int from) {
    for (int word = from / WORD; word < set->words; word++, from = word * WORD) {
        uint64_t bits = set->bits[word] & (~UINT64_C(0) << from % WORD);
        if (bits)
            return word * WORD + __builtin_ctzll(bits);
    }
    return -1;
}

int qd_free_ranks_run_in(const qd_free_ranks *set, int from, int end, int count) {
    int length = 0;
    for (int rank = from; rank < end; rank++) {
        bool is_free = set->bits[rank / WORD] >> rank % WORD & 1;
        length = is_free ? length + 1 : 0;
        if (length == count)
            return rank - count + 1;
    }
    return -1;
}
