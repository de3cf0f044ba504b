#include "models/windows.h"

#include <stdlib.h>

#include "models/op.h"
#include "runtime/error.h"

enum { MOST_STRETCHES = 3 };

static bool has_input_gradients(const qd_graph *graph, const qd_node *node) {
    for (int i = 0; i < node->input_count; i++)
        if (graph->values[node->inputs[i]].needs_grad)
            return true;
    return false;
}

/* Gradients of a separable operator's parameters follow from its inputs alone. */
bool qd_pass_reads_params(const qd_graph *graph, qd_pass pass) {
    if (pass.kind == QD_PASS_LOSS || graph->nodes[pass.node].param_count == 0)
        return false;
    const qd_node *node = &graph->nodes[pass.node];
    switch (pass.kind) {
    case QD_PASS_BACKWARD:
        return !node->op->separable || has_input_gradients(graph, node);
    case QD_PASS_BACKWARD_WEIGHT:
        return !node->op->separable;
    default:
        return true;
    }
}

static bool reads(const qd_graph *graph, qd_pass pass, const qd_segment *s) {
    return qd_pass_reads_params(graph, pass) && qd_segment_has_params_of(s, graph, pass.node);
}

static int by_use(const void *left, const void *right) {
    const qd_window *a = left, *b = right;
    return a->use != b->use ? (a->use > b->use) - (a->use < b->use)
                            : (a->segment > b->segment) - (a->segment < b->segment);
}

/* Windows of passes [first, end), appended; the next one's gather begins with the first use of the
 * one before. */
static void add_stretch(qd_windows *w, const qd_graph *graph, const qd_timeline *timeline,
                        int first, int end) {
    qd_window *own = w->window + w->count;
    int count = 0;
    for (int i = 0; i < w->segments->count; i++) {
        qd_window window = {.segment = i, .use = -1};
        for (int pass = first; pass < end; pass++) {
            if (!reads(graph, timeline->passes[pass], &w->segments->segment[i]))
                continue;
            window.until = pass;
            if (window.use < 0)
                window.use = pass;
        }
        if (window.use >= 0)
            own[count++] = window;
    }
    qsort(own, (size_t)count, sizeof *own, by_use);
    for (int i = 0; i < count; i++) {
        int before = i - 1;
        while (before >= 0 && own[before].use == own[i].use)
            before--;
        own[i].from = before < 0 ? first : own[before].use;
    }
    w->count += count;
}

int qd_windows_create(const qd_graph *graph, const qd_timeline *timeline, const qd_buckets *buckets,
                      qd_windows **windows) {
    qd_windows *w = calloc(1, sizeof *w);
    int rc = w ? qd_segments_create(graph, timeline, buckets, &w->segments)
               : qd_error_set(QD_ENOMEM, "no memory for windows of %d buckets", buckets->count);
    if (!rc) {
        w->window = calloc(MOST_STRETCHES * (size_t)w->segments->count + 1, sizeof *w->window);
        if (!w->window)
            rc = qd_error_set(QD_ENOMEM, "no memory for windows of %d buckets", buckets->count);
    }
    if (rc) {
        qd_windows_destroy(w);
        return rc;
    }
    add_stretch(w, graph, timeline, 0, timeline->loss);
    add_stretch(w, graph, timeline, timeline->loss + 1, timeline->weights);
    add_stretch(w, graph, timeline, timeline->weights, timeline->count);
    *windows = w;
    return 0;
}

void qd_windows_destroy(qd_windows *windows) {
    if (!windows)
        return;
    qd_segments_destroy(windows->segments);
    free(windows->window);
    free(windows);
}
