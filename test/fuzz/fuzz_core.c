/*
 * Any bytes as a history of a cluster: two scheduler cores in lock-step under the eyes of a witness
 * (test/scheduler/core_trial.h). No history breaks a rule, and every one can be brought to an end.
 */
#include <stdio.h>
#include <stdlib.h>

#include "../scheduler/core_trial.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

typedef struct byte_source {
    const uint8_t *bytes;
    size_t left;
} byte_source;

/* Zeros once the bytes are used up. */
static uint32_t draw_bytes(void *context, uint32_t n) {
    byte_source *source = context;
    if (source->left == 0)
        return 0;
    source->left--;
    return *source->bytes++ % n;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
    byte_source source = {bytes, length};
    trial t;
    if (!trial_begin(&t, (trial_source){draw_bytes, &source}))
        abort();
    bool by_drain = draw_bytes(&source, 2);
    bool fine = true;
    while (fine && source.left > 0) {
        qd_event event = trial_draw_event(&t);
        fine = trial_step(&t, &event);
    }
    if (!fine || !trial_finish(&t, by_drain)) {
        fprintf(stderr, "%s\n", t.broken);
        abort();
    }
    trial_end(&t);
    return 0;
}
