#include "models/segments.h"

#include <stdlib.h>

#include "runtime/error.h"

static bool begins_a_param(const qd_buckets *buckets, int b) {
    const qd_row_blocks *blocks = buckets->blocks;
    int block = buckets->bucket[b].first_block;
    return blocks->first[blocks->param[block]] == block;
}

static void join(qd_segments *s, const qd_buckets *buckets) {
    for (int b = 0; b < buckets->count; b++) {
        if (begins_a_param(buckets, b))
            s->segment[s->count++] =
                (qd_segment){.first_bucket = b, .begin = buckets->bucket[b].begin};
        s->segment[s->count - 1].end_bucket = b + 1;
        s->segment[s->count - 1].end = buckets->bucket[b].end;
    }
}

bool qd_segment_has_params_of(const qd_segment *s, const qd_graph *graph, int n) {
    const qd_node *node = &graph->nodes[n];
    for (int i = 0; i < node->param_count; i++) {
        int64_t offset = graph->params[node->params[i]].offset;
        if (offset >= s->begin && offset < s->end)
            return true;
    }
    return false;
}

static bool writes(const qd_graph *graph, qd_pass pass, const qd_segment *s) {
    return qd_pass_adds_weights(graph, pass) && qd_segment_has_params_of(s, graph, pass.node);
}

/* One that nobody writes is there all the time. */
static int first_write(const qd_graph *graph, const qd_timeline *timeline, const qd_segment *s) {
    for (int i = 0; i < timeline->count; i++)
        if (writes(graph, timeline->passes[i], s))
            return i;
    return 0;
}

/* The first pass behind `pass` that begins a segment; `none` where there is none. */
static int next_beginning(const qd_segments *s, int pass, int none) {
    int next = none;
    for (int i = 0; i < s->count; i++)
        if (s->segment[i].from > pass && s->segment[i].from < next)
            next = s->segment[i].from;
    return next;
}

static int last_ready(const qd_buckets *buckets, const qd_segment *s) {
    int ready = 0;
    for (int b = s->first_bucket; b < s->end_bucket; b++)
        ready = buckets->bucket[b].ready > ready ? buckets->bucket[b].ready : ready;
    return ready;
}

int qd_segments_create(const qd_graph *graph, const qd_timeline *timeline,
                       const qd_buckets *buckets, qd_segments **out) {
    qd_segments *s = calloc(1, sizeof *s);
    qd_segment *list = calloc((size_t)buckets->count + 1, sizeof *list);
    if (!s || !list) {
        free(s);
        free(list);
        return qd_error_set(QD_ENOMEM, "no memory for segments of %d buckets", buckets->count);
    }
    s->segment = list;
    join(s, buckets);
    for (int i = 0; i < s->count; i++)
        list[i].from = first_write(graph, timeline, &list[i]);
    for (int i = 0; i < s->count; i++) {
        int next = next_beginning(s, last_ready(buckets, &list[i]), timeline->count);
        list[i].until = next_beginning(s, next, timeline->count);
    }
    *out = s;
    return 0;
}

void qd_segments_destroy(qd_segments *segments) {
    if (!segments)
        return;
    free(segments->segment);
    free(segments);
}
