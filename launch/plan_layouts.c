#include "launch/plan_layouts.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "launch/choose_layout.h"
#include "models/family.h"
#include "models/pipeline.h"
#include "runtime/error.h"

/* ---- pins ---- */

static const struct {
    const char *key;
    size_t pin;
    int64_t least, most;
} pin_keys[] = {
    {"dp", offsetof(qd_plan_pins, dp), 1, 65536},
    {"pp", offsetof(qd_plan_pins, pp), 1, 65536},
    {"tp", offsetof(qd_plan_pins, tp), 1, 65536},
    {"zero", offsetof(qd_plan_pins, zero), 0, 3},
    {"slots", offsetof(qd_plan_pins, slots), 1, 65536},
    {"micro_batches", offsetof(qd_plan_pins, micro_batches), 1, 1 << 24},
    {"recompute", offsetof(qd_plan_pins, recompute), 0, 1000000},
};
enum { PIN_KEYS = sizeof pin_keys / sizeof *pin_keys };

static int parse_schedule(const char *word, qd_plan_pins *pins) {
    const qd_pipeline_kind *kind = qd_pipeline_by_name(word);
    if (!kind)
        return qd_error_context(QD_EUSAGE, "--layout");
    pins->schedule = qd_pipeline_place(kind);
    return 0;
}

static int parse_pin(const char *key, const char *value, qd_plan_pins *pins) {
    if (strcmp(key, "schedule") == 0)
        return parse_schedule(value, pins);
    for (int i = 0; i < PIN_KEYS; i++) {
        if (strcmp(pin_keys[i].key, key) != 0)
            continue;
        char *end;
        long long n = strtoll(value, &end, 10);
        if (*value == '\0' || *end != '\0' || n < pin_keys[i].least || n > pin_keys[i].most)
            return qd_error_set(
                QD_EUSAGE, "--layout: %s=%s: accepted: a whole number, %" PRId64 " .. %" PRId64,
                key, value, pin_keys[i].least, pin_keys[i].most);
        *(int64_t *)(void *)((char *)pins + pin_keys[i].pin) = n;
        return 0;
    }
    return qd_error_set(QD_EUSAGE,
                        "--layout: there is no key \"%s\"; there are dp, pp, tp, zero, schedule, "
                        "slots, micro_batches, recompute",
                        key);
}

int qd_layouts_parse_pins(const char *text, qd_plan_pins *pins) {
    char *copy = strdup(text), *rest = copy, *item;
    int rc = copy ? 0 : qd_error_set(QD_ENOMEM, "no memory for --layout");
    while (!rc && (item = strsep(&rest, ",")) != NULL) {
        char *value = strchr(item, '=');
        if (!value) {
            rc = qd_error_set(QD_EUSAGE, "--layout: \"%s\" is no KEY=VALUE, such as dp=4", item);
            break;
        }
        *value = '\0';
        rc = parse_pin(item, value + 1, pins);
    }
    free(copy);
    return rc;
}

/* ---- planning ---- */

typedef struct layouts {
    qd_job job;
    qd_hardware hardware;
    qd_plan_choice choice;
} layouts;

static int check_ranks(const layouts *l, int64_t ranks) {
    int64_t there = l->hardware.nodes * l->hardware.devices;
    if (l->hardware.nodes == 0 || ranks <= there)
        return 0;
    return qd_error_set(QD_EUSAGE, "--ranks=%" PRId64 ": %s has %" PRId64 " devices", ranks,
                        l->hardware.name, there);
}

static int choose(const qd_layouts_request *request, layouts *l) {
    int rc = qd_job_load(request->job_file, &l->job);
    if (!rc)
        rc = qd_hardware_load(request->cluster_file, &l->hardware);
    if (!rc)
        rc = check_ranks(l, request->ranks);
    if (rc)
        return rc;
    return qd_layout_choose(&l->job, &l->hardware, request->ranks, &request->pins, &l->choice);
}

/* ---- for people ---- */

static double gib(double bytes) {
    return bytes / (1 << 30);
}

static void print_traffic(FILE *out, const char *what, qd_plan_traffic t) {
    if (t.inside + t.between > 0)
        fprintf(out, "  %-10s %12.4g inside the node %12.4g between nodes\n", what, t.inside,
                t.between);
}

static void print_job_keys(FILE *out, const qd_plan_layout *l) {
    fprintf(out, "in the job file:\n  layout: {dp: %d, pp: %d, tp: %d, zero: %d", l->dp, l->pp,
            l->tp, l->zero);
    if (l->pp > 1)
        fprintf(out, ", schedule: %s", qd_pipeline_names[l->schedule]);
    if (l->chunks > 1)
        fprintf(out, ", chunks: %d", l->chunks);
    fprintf(out,
            "}\n  slots: {data: %" PRId64 ", tensor: %d}\n  train: {micro_batches: %" PRId64
            ", recompute: %d}\n",
            l->slots, l->tp, l->micro_batches, l->recompute);
}

static void print_best(FILE *out, const qd_layouts_view *v) {
    const qd_plan *best = &v->choice->best;
    qd_sample_spec sample = qd_family_sample_spec(v->job);
    int64_t used = (int64_t)best->layout.dp * best->layout.pp * best->layout.tp;
    char text[QD_PLAN_REASON_BYTES];
    fprintf(out,
            "job         %s\ncluster     %s, %" PRId64 " of %" PRId64 " ranks\nlayout      %s\n",
            v->job->name, v->hardware->name, used, v->ranks,
            qd_plan_layout_text(&best->layout, text, sizeof text));
    fprintf(out, "step        %.4g s, %.6g samples/s", best->step_s, best->samples_per_s);
    if (sample.next_token)
        fprintf(out, ", %.6g tokens/s", best->samples_per_s * (double)sample.inputs);
    fprintf(out, ", MFU %.1f %%\n", 100 * best->mfu);
    for (int t = 0; t < QD_PLAN_TIMES; t++)
        if (best->time[t] > 0)
            fprintf(out, "  %-22s %10.4g s %5.1f %%\n", qd_plan_time_names[t], best->time[t],
                    100 * best->time[t] / best->step_s);
    fprintf(out, "memory      %.2f of %.2f GiB on the fullest rank\n", gib(best->memory_bytes),
            gib(v->hardware->memory_bytes));
    for (int k = 0; k < QD_PLAN_MEMORIES; k++)
        if (best->memory[k] > 0)
            fprintf(out, "  %-22s %10.4f GiB\n", qd_plan_memory_names[k], gib(best->memory[k]));
    if (used > 1)
        fprintf(out, "bytes that a rank sends in a step:\n");
    print_traffic(out, "tensor", best->tensor);
    print_traffic(out, "pipeline", best->pipeline);
    print_traffic(out, "data", best->data);
    print_job_keys(out, &best->layout);
}

static void print_losers(FILE *out, const qd_layouts_view *v) {
    char text[QD_PLAN_REASON_BYTES];
    if (v->choice->loser_count > 0)
        fprintf(out, "other grids, of %" PRId64 " layouts tried:\n", v->choice->tried);
    for (int i = 0; i < v->choice->loser_count; i++) {
        const qd_plan_loser *loser = &v->choice->losers[i];
        fprintf(out, "  %10.4g s  %s\n                %s\n", loser->plan.step_s,
                qd_plan_layout_text(&loser->plan.layout, text, sizeof text), loser->reason);
    }
}

void qd_layouts_show(FILE *out, const qd_layouts_view *v) {
    print_best(out, v);
    print_losers(out, v);
}

/* ---- for programs ---- */

/* "pipeline bubble" as a key. */
static void set(json_t *object, const char *name, json_t *value) {
    char key[64];
    snprintf(key, sizeof key, "%s", name);
    for (char *c = key; *c; c++)
        *c = *c == ' ' ? '_' : *c;
    json_object_set_new(object, key, value);
}

static json_t *layout_json(const qd_plan_layout *l) {
    json_t *layout =
        json_pack("{s:i, s:i, s:i, s:i, s:i, s:I, s:I, s:i}", "dp", l->dp, "pp", l->pp, "tp", l->tp,
                  "zero", l->zero, "chunks", l->chunks, "slots", (json_int_t)l->slots,
                  "micro_batches", (json_int_t)l->micro_batches, "recompute", l->recompute);
    json_object_set_new(layout, "schedule",
                        l->pp > 1 ? json_string(qd_pipeline_names[l->schedule]) : json_null());
    return layout;
}

static json_t *traffic_json(qd_plan_traffic t) {
    return json_pack("{s:f, s:f}", "inside", t.inside, "between", t.between);
}

static json_t *plan_json(const qd_plan *p, double tokens) {
    json_t *times = json_object(), *memory = json_object();
    for (int t = 0; t < QD_PLAN_TIMES; t++)
        set(times, qd_plan_time_names[t], json_real(p->time[t]));
    for (int k = 0; k < QD_PLAN_MEMORIES; k++)
        set(memory, qd_plan_memory_names[k], json_real(p->memory[k]));
    json_t *plan =
        json_pack("{s:o, s:f, s:f, s:f, s:b, s:f, s:o, s:o, s:{s:o, s:o, s:o}}", "layout",
                  layout_json(&p->layout), "step_s", p->step_s, "samples_per_s", p->samples_per_s,
                  "mfu", p->mfu, "fits", p->fits, "memory_bytes", p->memory_bytes, "seconds", times,
                  "memory", memory, "bytes_sent", "tensor", traffic_json(p->tensor), "pipeline",
                  traffic_json(p->pipeline), "data", traffic_json(p->data));
    if (tokens > 0)
        json_object_set_new(plan, "tokens_per_s", json_real(p->samples_per_s * tokens));
    return plan;
}

static int print_json(const layouts *l, int64_t ranks) {
    qd_sample_spec sample = qd_family_sample_spec(&l->job);
    double tokens = sample.next_token ? (double)sample.inputs : 0;
    json_t *others = json_array();
    for (int i = 0; i < l->choice.loser_count; i++) {
        json_t *loser = plan_json(&l->choice.losers[i].plan, tokens);
        json_object_set_new(loser, "reason", json_string(l->choice.losers[i].reason));
        json_array_append_new(others, loser);
    }
    json_t *root =
        json_pack("{s:s, s:s, s:I, s:I, s:o, s:o}", "job", l->job.name, "cluster", l->hardware.name,
                  "ranks", (json_int_t)ranks, "tried", (json_int_t)l->choice.tried, "best",
                  plan_json(&l->choice.best, tokens), "others", others);
    if (!root)
        return qd_error_set(QD_ENOMEM, "no memory for the plan as JSON");
    json_dumpf(root, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(root);
    return 0;
}

int qd_layouts_print(const qd_layouts_request *request) {
    layouts *l = calloc(1, sizeof *l);
    if (!l)
        return qd_error_set(QD_ENOMEM, "no memory for a plan");
    int rc = choose(request, l);
    if (!rc && request->json)
        rc = print_json(l, request->ranks);
    else if (!rc) {
        qd_layouts_view view = {&l->job, &l->hardware, request->ranks, &l->choice};
        qd_layouts_show(stdout, &view);
    }
    free(l);
    return rc;
}
