#include "launch/simulate_plot.h"

#include <math.h>
#include <stdlib.h>

#include "runtime/error.h"
#include "runtime/file.h"
#include "runtime/text.h"

enum { WIDTH = 1000, LEFT = 70, RIGHT = 20, TOP = 40, GANTT = 240, CURVES = 200, GAP = 60 };
enum { COLUMNS = WIDTH - LEFT - RIGHT, TICKS = 5 };

/* Okabe and Ito's colours, which those who see few of them can tell apart. */
static const char *const colours[] = {"#0072b2", "#e69f00", "#009e73", "#d55e00",
                                      "#56b4e9", "#cc79a7", "#999999", "#f0e442"};
enum { COLOURS = sizeof colours / sizeof colours[0] };

typedef struct panel {
    double top, height;
    double x_min, x_max, y_max; /* seconds, or their logarithm; whatever y is */
} panel;

typedef struct drawing {
    const qd_trace *trace;
    int ranks, count;
    const qd_plot_series *series;
    qd_text svg;
    double begin_s, end_s;
} drawing;

static double seconds(int64_t ns) {
    return (double)ns / 1e9;
}

static double x_of(const panel *p, double x) {
    return LEFT + COLUMNS * (x - p->x_min) / (p->x_max - p->x_min);
}

static double y_of(const panel *p, double y) {
    return p->top + p->height * (1 - y / p->y_max);
}

/* Title, frame, and what the y axis ends at. */
static void draw_frame(drawing *plot, const panel *p, const char *title, const char *unit) {
    qd_text_add(&plot->svg,
                "<text x='%d' y='%.0f' font-weight='bold'>%s</text>\n"
                "<rect x='%d' y='%.0f' width='%d' height='%.0f' fill='none' stroke='#888'/>\n"
                "<text x='%d' y='%.0f' text-anchor='end'>%.10g</text>\n"
                "<text x='%d' y='%.0f' text-anchor='end'>0</text>\n",
                LEFT, p->top - 8, title, LEFT, p->top, COLUMNS, p->height, LEFT - 6, p->top + 10,
                p->y_max, LEFT - 6, p->top + p->height);
    qd_text_add(&plot->svg, "<text x='%d' y='%.0f' text-anchor='end'>%s</text>\n", LEFT - 6,
                p->top + p->height / 2, unit);
}

static void draw_tick(drawing *plot, const panel *p, double x, double value, const char *unit) {
    qd_text_add(&plot->svg, "<text x='%.0f' y='%.0f' text-anchor='middle'>%.3g %s</text>\n",
                x_of(p, x), p->top + p->height + 16, value, unit);
}

static void draw_time_axis(drawing *plot, const panel *p) {
    for (int i = 0; i <= TICKS; i++) {
        double x = p->x_min + (p->x_max - p->x_min) * i / TICKS;
        draw_tick(plot, p, x, (x - plot->begin_s) / 3600, "h");
    }
}

/* All segments of a colour in one path: a rectangle for each. */
static void draw_gantt(drawing *plot, const panel *p, const qd_simulation *simulation) {
    double rank_height = p->height / plot->ranks;
    for (int colour = 0; colour < COLOURS; colour++) {
        qd_text_add(&plot->svg, "<path fill='%s' d='", colours[colour]);
        for (size_t i = 0; i < simulation->segment_count; i++) {
            const qd_simulated_segment *s = &simulation->segments[i];
            if (s->job % COLOURS != colour)
                continue;
            double x = x_of(p, seconds(s->from_ns)), width = x_of(p, seconds(s->to_ns)) - x;
            double height = rank_height * s->rank_count;
            qd_text_add(&plot->svg, "M%.1f %.1fh%.2fv%.1fh%.2fz", x,
                        p->top + rank_height * (s->first_rank - 1), width, height, -width);
        }
        qd_text_add(&plot->svg, "'/>\n");
    }
}

static void begin_curve(drawing *plot, int series) {
    qd_text_add(&plot->svg, "<polyline fill='none' stroke-width='1.5' stroke='%s' points='",
                colours[series % COLOURS]);
}

static void add_point(drawing *plot, const panel *p, double x, double y) {
    qd_text_add(&plot->svg, "%.1f,%.1f ", x_of(p, x), y_of(p, y));
}

static void end_curve(drawing *plot) {
    qd_text_add(&plot->svg, "'/>\n");
}

static void draw_legend(drawing *plot, const panel *p) {
    for (int i = 0; i < plot->count; i++)
        qd_text_add(&plot->svg, "<text x='%d' y='%.0f' fill='%s'>%s</text>\n", LEFT + 8,
                    p->top + 16 + 14 * i, colours[i % COLOURS], plot->series[i].policy);
}

static int longest_queue(const drawing *plot) {
    int longest = 1;
    for (int k = 0; k < plot->count; k++)
        for (size_t i = 0; i < plot->series[k].simulation->queue_count; i++)
            if (plot->series[k].simulation->queue[i].length > longest)
                longest = plot->series[k].simulation->queue[i].length;
    return longest;
}

/* The longest it was within each column of pixels. */
static void draw_queue(drawing *plot, const panel *p, int k) {
    const qd_simulation *simulation = plot->series[k].simulation;
    int last = 0, length = 0;
    size_t i = 0;
    begin_curve(plot, k);
    for (int column = 0; column <= COLUMNS; column++) {
        double until = p->x_min + (p->x_max - p->x_min) * column / COLUMNS;
        length = last;
        for (; i < simulation->queue_count && seconds(simulation->queue[i].at_ns) <= until; i++) {
            last = simulation->queue[i].length;
            length = last > length ? last : length;
        }
        add_point(plot, p, until, length);
    }
    end_curve(plot);
}

static int compare(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Decimal logarithms of completion times in s, those below 1 s as 1 s, sorted. Returns how many. */
static int log_times(const drawing *plot, int k, double *times) {
    int n = 0;
    for (int i = 0; i < plot->trace->count; i++) {
        int64_t end_ns = plot->series[k].simulation->jobs[i].end_ns;
        if (end_ns >= 0)
            times[n++] = log10(fmax(1, seconds(end_ns - plot->trace->jobs[i].submit_ns)));
    }
    qsort(times, (size_t)n, sizeof *times, compare);
    return n;
}

static void draw_cdf(drawing *plot, const panel *p, int k, double *times) {
    int n = log_times(plot, k, times);
    begin_curve(plot, k);
    for (int column = 0, done = 0; column <= COLUMNS; column++) {
        double x = p->x_max * column / COLUMNS;
        while (done < n && times[done] <= x)
            done++;
        add_point(plot, p, x, n > 0 ? (double)done / n : 0);
    }
    end_curve(plot);
}

static void draw_all(drawing *plot, double *times) {
    panel p = {TOP, GANTT, plot->begin_s, plot->end_s, plot->ranks};
    for (int k = 0; k < plot->count; k++, p.top += GANTT + GAP) {
        draw_frame(plot, &p, plot->series[k].policy, "ranks");
        draw_gantt(plot, &p, plot->series[k].simulation);
        draw_time_axis(plot, &p);
    }
    p.height = CURVES;
    p.y_max = longest_queue(plot);
    draw_frame(plot, &p, "jobs that wait", "jobs");
    draw_time_axis(plot, &p);
    for (int k = 0; k < plot->count; k++)
        draw_queue(plot, &p, k);
    draw_legend(plot, &p);
    double longest = 1;
    for (int k = 0; k < plot->count; k++) {
        int n = log_times(plot, k, times);
        longest = n > 0 ? fmax(longest, ceil(times[n - 1])) : longest;
    }
    p = (panel){p.top + CURVES + GAP, CURVES, 0, longest, 1};
    draw_frame(plot, &p, "part of the jobs that were done within so long", "part");
    for (int decade = 0; decade <= (int)longest; decade++)
        draw_tick(plot, &p, decade, pow(10, decade), "s");
    for (int k = 0; k < plot->count; k++)
        draw_cdf(plot, &p, k, times);
    draw_legend(plot, &p);
}

static void find_span(drawing *plot) {
    int64_t end_ns = 0;
    for (int k = 0; k < plot->count; k++)
        for (int i = 0; i < plot->trace->count; i++)
            if (plot->series[k].simulation->jobs[i].end_ns > end_ns)
                end_ns = plot->series[k].simulation->jobs[i].end_ns;
    plot->begin_s = seconds(plot->trace->jobs[0].submit_ns);
    plot->end_s = fmax(seconds(end_ns), plot->begin_s + 1);
}

int qd_simulate_plot(const char *path, const qd_trace *trace, int ranks,
                     const qd_plot_series *series, int count) {
    drawing plot = {.trace = trace, .ranks = ranks, .series = series, .count = count};
    double *times = malloc((size_t)trace->count * sizeof *times);
    int height = TOP + count * (GANTT + GAP) + 2 * (CURVES + GAP);
    find_span(&plot);
    qd_text_add(&plot.svg,
                "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 %d %d' width='%d' "
                "font-family='sans-serif' font-size='11'>\n"
                "<rect width='100%%' height='100%%' fill='white'/>\n"
                "<text x='%d' y='16' font-size='13'>%s, %d jobs on %d ranks</text>\n",
                WIDTH, height, WIDTH, LEFT, trace->name, trace->count, ranks);
    if (times)
        draw_all(&plot, times);
    qd_text_add(&plot.svg, "</svg>\n");
    int rc = times && !plot.svg.failed
                 ? qd_file_replace(path, plot.svg.bytes, plot.svg.length)
                 : qd_error_set(QD_ENOMEM, "%s: no memory for the plot", path);
    qd_text_fini(&plot.svg);
    free(times);
    return rc;
}
