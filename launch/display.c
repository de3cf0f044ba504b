#include "launch/display.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/clock.h"
#include "runtime/error.h"
#include "runtime/text.h"

enum { MOST_BARS = 4, BAR_CELLS = 24 };

/* One running job of the bar. */
typedef struct bar {
    const qd_job *job; /* NULL: free */
    int64_t step, total;
    float loss;
    double samples_per_s;
} bar;

struct qd_display {
    qd_observer observer;
    bool lines; /* progress as plain lines */
    bool bars;  /* progress as a bar */
    bool bar_shown;
    int workers, ready;
    void (*on_all_ready)(void);
    bar bar[MOST_BARS];
};

/* ---- the bar ---- */

static void clear_bar(qd_display *d) {
    if (!d->bar_shown)
        return;
    fputs("\r\033[K", stderr);
    fflush(stderr);
    d->bar_shown = false;
}

static void add_bar(const bar *b, qd_text *text) {
    int full = b->total > 0 ? (int)(b->step * BAR_CELLS / b->total) : 0;
    double left_s = b->samples_per_s > 0
                        ? (double)((b->total - b->step) * b->job->train.batch) / b->samples_per_s
                        : 0;
    qd_text_add(text, "%s [", b->job->name);
    for (int i = 0; i < BAR_CELLS; i++)
        qd_text_add(text, "%s", i < full ? "#" : ".");
    qd_text_add(text, "] %lld/%lld loss %.4f %.0f/s %.0f s left  ", (long long)b->step,
                (long long)b->total, (double)b->loss, b->samples_per_s, left_s);
}

static void draw_bar(qd_display *d) {
    qd_text text = {0};
    for (int i = 0; d->bars && i < MOST_BARS; i++)
        if (d->bar[i].job && d->bar[i].total > 0)
            add_bar(&d->bar[i], &text);
    if (text.length > 0 && !text.failed) {
        fprintf(stderr, "\r\033[K%s", text.bytes);
        fflush(stderr);
        d->bar_shown = true;
    }
    qd_text_fini(&text);
}

static bar *bar_of(qd_display *d, const qd_job *job) {
    for (int i = 0; i < MOST_BARS; i++)
        if (d->bar[i].job == job)
            return &d->bar[i];
    return NULL;
}

/* ---- the observer ---- */

static void show_worker(void *context, int rank, const Quadrille__Hello *hello) {
    qd_display *d = context;
    d->ready++;
    printf("worker rank %d on %s: %s, %s, processing units %s\n", rank, hello->host,
           hello->processor, hello->isa, hello->binding);
    fflush(stdout);
    if (d->ready == d->workers && d->on_all_ready)
        d->on_all_ready();
}

static void show_started(void *context, const qd_job *job, const qd_action *start,
                         const char *run_folder) {
    qd_display *d = context;
    clear_bar(d);
    printf("%s: started on rank%s", job->name, start->rank_count > 1 ? "s" : "");
    for (int i = 0; i < start->rank_count; i++)
        printf("%s%d", i ? "," : " ", start->ranks[i]);
    printf(" (dp %d", start->rank_count / (int)qd_job_copy_ranks(job));
    if (job->layout_pp > 1)
        printf(", pp %lld", (long long)job->layout_pp);
    if (job->layout_tp > 1)
        printf(", tp %lld", (long long)job->layout_tp);
    printf(", %lld data slots), run folder %s\n", (long long)job->slots_data, run_folder);
    fflush(stdout);
    bar *b = bar_of(d, job); /* it has one, if it goes on */
    b = b ? b : bar_of(d, NULL);
    if (b)
        *b = (bar){.job = job};
}

static void show_state(void *context, const qd_job *job, qd_job_state state, const char *reason) {
    qd_display *d = context;
    bool ended = qd_job_has_ended(state);
    bar *b = bar_of(d, job);
    clear_bar(d);
    if (ended && b)
        *b = (bar){0};
    if (!ended && state != QD_STATE_RESIZING)
        return;
    printf("%s: %s%s%s\n", job->name, qd_job_state_names[state], reason && *reason ? ": " : "",
           reason ? reason : "");
    fflush(stdout);
}

static void show_progress(void *context, const qd_job *job, const Quadrille__Progress *p) {
    qd_display *d = context;
    bar *b = bar_of(d, job);
    if (b)
        *b = (bar){.job = job,
                   .step = p->step,
                   .total = p->total_steps,
                   .loss = p->loss,
                   .samples_per_s = p->samples_per_s};
    if (!d->lines || !p->line)
        return;
    /* Nine digits tell every float from its neighbours. */
    printf("%s: step %lld/%lld loss %.9g %.0f samples/s\n", job->name, (long long)p->step,
           (long long)p->total_steps, (double)p->loss, p->samples_per_s);
    fflush(stdout);
}

static void show_evaluation(void *context, const qd_job *job, const Quadrille__Evaluation *e) {
    clear_bar(context);
    printf("%s: step %lld %s ", job->name, (long long)e->step, e->split);
    if (!isnan(e->accuracy)) /* there is none where numbers are predicted */
        printf("accuracy %.4f ", e->accuracy);
    printf("loss %.9g (%lld samples)\n", e->loss, (long long)e->samples);
    fflush(stdout);
}

static void show_saved(void *context, const qd_job *job, const Quadrille__Saved *s) {
    clear_bar(context);
    printf("%s: checkpoint of step %lld\n", job->name, (long long)s->step);
    fflush(stdout);
}

static void show_tick(void *context) {
    draw_bar(context);
}

int qd_display_create(qd_show show, int workers, void (*on_all_ready)(void), qd_display **out) {
    qd_display *d = calloc(1, sizeof *d);
    if (!d)
        return qd_error_set(QD_ENOMEM, "no memory for the display");
    d->workers = workers;
    d->on_all_ready = on_all_ready;
    d->bars = show == QD_SHOW_BAR;
    d->lines = show == QD_SHOW_LINES || show == QD_SHOW_AUTO;
    d->observer = (qd_observer){
        .context = d,
        .worker_ready = show_worker,
        .job_started = show_started,
        .job_state = show_state,
        .progress = show_progress,
        .evaluation = show_evaluation,
        .saved = show_saved,
        .tick = show_tick,
    };
    *out = d;
    return 0;
}

void qd_display_destroy(qd_display *d) {
    if (!d)
        return;
    clear_bar(d);
    free(d);
}

const qd_observer *qd_display_observer(const qd_display *d) {
    return &d->observer;
}
