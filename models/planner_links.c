#include "models/planner_links.h"

qd_span_of_group qd_span_of(const qd_hardware *hardware, int members, int64_t stride) {
    int64_t fit = hardware->devices / stride;
    int64_t inside = fit < 1 ? 1 : fit < members ? fit : members;
    return (qd_span_of_group){members, (int)inside, (int)((members + inside - 1) / inside)};
}

static int doublings(int members) {
    int d = 0;
    for (int reach = 1; reach < members; reach *= 2)
        d++;
    return d;
}

/* Of `bytes` over n members. */
static double share_sent(double bytes, int n) {
    return bytes * (n - 1) / n;
}

qd_exchange_cost qd_cost_of_gather(const qd_hardware *hardware, qd_span_of_group span,
                                   double bytes) {
    qd_exchange_cost cost = {
        .inside_bytes = share_sent(bytes, span.inside),
        .between_bytes = share_sent(bytes / span.inside, span.nodes),
    };
    cost.seconds = cost.inside_bytes / qd_hardware_inside_rate(hardware) +
                   cost.between_bytes / qd_hardware_between_rate(hardware) +
                   doublings(span.inside) * hardware->inside.latency_s +
                   doublings(span.nodes) * hardware->between.latency_s;
    return cost;
}

qd_exchange_cost qd_cost_of_allreduce(const qd_hardware *hardware, qd_span_of_group span,
                                      double bytes) {
    qd_exchange_cost half = qd_cost_of_gather(hardware, span, bytes);
    return (qd_exchange_cost){2 * half.seconds, 2 * half.inside_bytes, 2 * half.between_bytes};
}

qd_exchange_cost qd_cost_of_send(const qd_hardware *hardware, bool between, double bytes) {
    const qd_link *link = between ? &hardware->between : &hardware->inside;
    double rate = between ? qd_hardware_between_rate(hardware) : qd_hardware_inside_rate(hardware);
    return (qd_exchange_cost){link->latency_s + bytes / rate, between ? 0 : bytes,
                              between ? bytes : 0};
}
