#include "runtime/span.h"

#include <string.h>

#include "runtime/clock.h"

const char *const qd_span_names[QD_SPAN_KINDS] = {"compute", "communication", "pipeline",
                                                  "data",    "checkpoint",    "idle"};

void qd_span_start(qd_span_clock *clock, qd_span_kind kind) {
    *clock = (qd_span_clock){.kind = kind, .since_ns = qd_clock_now_ns()};
}

qd_span_kind qd_span_enter(qd_span_clock *clock, qd_span_kind kind) {
    qd_span_kind left = clock->kind;
    int64_t now = qd_clock_now_ns();
    clock->total_ns[left] += now - clock->since_ns;
    clock->since_ns = now;
    clock->kind = kind;
    return left;
}

void qd_span_take(qd_span_clock *clock, int64_t total_ns[QD_SPAN_KINDS]) {
    qd_span_enter(clock, clock->kind);
    memcpy(total_ns, clock->total_ns, sizeof clock->total_ns);
    memset(clock->total_ns, 0, sizeof clock->total_ns);
}
