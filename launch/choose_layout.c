#include "launch/choose_layout.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "launch/plan_layouts.h"
#include "models/family.h"
#include "runtime/error.h"
#include "runtime/heap.h"
#include "runtime/text.h"
#include "worker/trainer_memory.h"

/* What a worker on a CPU keeps in the same memory beside its engine; the heap's reserve is counted
 * with the program. A device's memory has none of it. */
static int host_of(const qd_job *job, qd_plan_host *host) {
    qd_graph *graph = NULL;
    qd_dataset *dataset = NULL;
    qd_trainer_memory memory;
    qd_job *whole = malloc(sizeof *whole);
    if (!whole)
        return qd_error_set(QD_ENOMEM, "no memory for a job");
    *whole = *job;
    whole->layout_bucket_mib = 65536; /* small ones of a huge model take long to count */
    if (job->layout_grid == QD_GRID_AUTO) {
        whole->slots_tensor = whole->layout_tp = whole->slots_pipeline = 1;
        for (whole->slots_data = 8; whole->train.batch % whole->slots_data;)
            whole->slots_data--;
        whole->layout_zero = whole->train.recompute = 0;
        whole->train.micro_batches = 1;
    }
    int rc = qd_family_build(whole, &graph);
    if (!rc && qd_dataset_open(whole, &dataset))
        dataset = NULL; /* it may be elsewhere: not counted */
    if (!rc)
        rc = qd_trainer_memory_plan(whole, graph, dataset, 1, &memory);
    if (!rc)
        *host = (qd_plan_host){
            .mapped = (double)memory.data.mapped,
            .heap = (double)(memory.data.heap + memory.loader + memory.evaluation),
            .reserve = QD_HEAP_RESERVE,
        };
    qd_dataset_close(dataset);
    qd_graph_destroy(graph);
    free(whole);
    return rc;
}

static void pin(int64_t *pin, int64_t value, int64_t least) {
    if (*pin == QD_PLAN_FREE && value >= least)
        *pin = value;
}

/* A given layout leaves open what the file gives no number for: dp: auto. */
static void pin_what_is_given(const qd_job *job, qd_plan_pins *pins) {
    pin(&pins->dp, job->layout_dp, 1);
    if (job->layout_grid != QD_GRID_AUTO)
        return;
    pin(&pins->tp, job->layout_tp, 1);
    pin(&pins->pp, job->layout_pp, 1);
    pin(&pins->zero, job->layout_zero, 0);
    pin(&pins->slots, job->slots_data, 1);
    pin(&pins->micro_batches, job->train.micro_batches, 1);
    pin(&pins->recompute, job->train.recompute, 0);
}

int qd_layout_choose(const qd_job *job, const qd_hardware *hardware, int64_t ranks,
                     const qd_plan_pins *bounds, qd_plan_choice *choice) {
    qd_plan_host host = {0};
    qd_plan_pins pins = *bounds;
    bool shared = hardware->kind == QD_DEVICE_CPU;
    int rc = shared ? host_of(job, &host) : 0;
    qd_planner *planner = NULL;
    pin_what_is_given(job, &pins);
    if (!rc)
        rc = qd_planner_create(job, hardware, shared ? &host : NULL, &planner);
    if (!rc)
        rc = qd_planner_choose(planner, ranks, &pins, choice);
    qd_planner_destroy(planner);
    return rc;
}

/* ---- layout: auto ---- */

static void keep_result(const qd_job *job, const qd_job *earlier, qd_plan_pins *pins) {
    int64_t tensor = earlier ? earlier->slots_tensor : job->slots_tensor;
    int64_t parts = earlier ? earlier->slots_pipeline : job->slots_pipeline;
    if (earlier) {
        pins->slots = earlier->slots_data;
        pins->micro_batches = earlier->train.micro_batches;
    }
    if (parts)
        pins->most_parts = parts;
    if (tensor && (pins->most_tp == QD_PLAN_FREE || tensor < pins->most_tp))
        pins->most_tp = tensor;
}

static int usable_ranks(const qd_job *job, const qd_hardware *h, int64_t *ranks) {
    int64_t there = h->nodes * h->devices;
    if (there > 0 && there < *ranks)
        *ranks = there;
    if (job->ranks_max && job->ranks_max < *ranks)
        *ranks = job->ranks_max;
    if (*ranks >= job->ranks_min)
        return 0;
    return qd_error_set(QD_ECONFIG,
                        "%s: layout: auto plans for the %" PRId64 " rank(s) there are on %s, and "
                        "ranks.min is %" PRId64 "; lower ranks.min, or give the layout",
                        job->name, *ranks, h->name, job->ranks_min);
}

/* By way of its text, so that the rules of a job file hold for it, too. */
static int take_plan(const char *file, const qd_plan_layout *l, const qd_job *earlier,
                     const qd_job *open, qd_job *job) {
    qd_text text = {0};
    qd_job *planned = malloc(sizeof *planned);
    if (!planned)
        return qd_error_set(QD_ENOMEM, "no memory for a job");
    *planned = *open;
    planned->layout_grid = QD_GRID_GIVEN;
    planned->layout_dp = l->dp;
    planned->layout_tp = l->tp;
    planned->layout_sequence_parallel = open->layout_sequence_parallel && l->tp > 1;
    planned->layout_zero = l->zero;
    planned->slots_data = l->slots;
    planned->layout_pp = l->pp;
    planned->layout_chunks = l->chunks;
    if (l->pp > 1)
        planned->layout_schedule = l->schedule;
    if (earlier || !planned->slots_pipeline)
        planned->slots_pipeline = earlier ? earlier->slots_pipeline : l->pp * l->chunks;
    if (earlier || !planned->slots_tensor)
        planned->slots_tensor = earlier ? earlier->slots_tensor : l->tp;
    planned->train.micro_batches = l->micro_batches;
    planned->train.recompute = l->recompute;
    planned->ranks_min = planned->ranks_max = (int64_t)l->dp * l->pp * l->tp;
    qd_job_emit(planned, &text);
    int rc = text.failed ? qd_error_set(QD_ENOMEM, "no memory for the text of a job")
                         : qd_job_parse(file, text.bytes, text.length, job);
    qd_text_fini(&text);
    free(planned);
    return rc;
}

static int write_report(const qd_layouts_view *view, char **report) {
    size_t length;
    FILE *out = open_memstream(report, &length);
    if (out)
        qd_layouts_show(out, view);
    return out && fclose(out) == 0 ? 0 : qd_error_set(QD_ENOMEM, "no memory for a plan");
}

int qd_layout_settle(const char *file, const qd_hardware *hardware, int64_t ranks,
                     const qd_job *earlier, qd_job *job, char **report) {
    qd_plan_pins pins = qd_plan_no_pins;
    char *text = NULL;
    keep_result(job, earlier, &pins);
    int rc = usable_ranks(job, hardware, &ranks);
    qd_plan_choice *choice = calloc(1, sizeof *choice);
    if (!choice)
        return qd_error_set(QD_ENOMEM, "no memory for a plan");
    pins.least_ranks = job->ranks_min;
    if (!rc)
        rc = qd_layout_choose(job, hardware, ranks, &pins, choice);
    qd_layouts_view view = {job, hardware, ranks, choice};
    if (!rc)
        rc = write_report(&view, &text);
    if (!rc)
        rc = take_plan(file, &choice->best.layout, earlier, job, job);
    free(choice);
    if (rc)
        free(text);
    else
        *report = text;
    return rc;
}

/* ---- given layouts ---- */

/* What the planner knows nothing of is no reason to refuse. Data sets are mapped, and their pages
 * may go. */
static int refuse_if_too_large(const qd_job *job, const qd_hardware *hardware, int64_t ranks,
                               const qd_plan_pins *pins, const qd_plan_layout *layout) {
    qd_plan_host host = {.reserve = QD_HEAP_RESERVE};
    qd_planner *planner = NULL;
    qd_plan plan;
    qd_plan_choice *choice = calloc(1, sizeof *choice);
    int rc = choice ? 0 : qd_error_set(QD_ENOMEM, "no memory for a plan");
    if (!rc)
        rc = qd_planner_create(job, hardware, hardware->kind == QD_DEVICE_CPU ? &host : NULL,
                               &planner);
    if (!rc && qd_planner_predict(planner, layout, &plan) == 0 && !plan.fits)
        rc = qd_planner_choose(planner, ranks, pins, choice);
    qd_planner_destroy(planner);
    free(choice);
    return rc;
}

int qd_layout_check_memory(const qd_job *job, const qd_hardware *hardware, int64_t ranks) {
    qd_plan_pins pins = qd_plan_no_pins;
    int64_t copy = qd_job_copy_ranks(job), most = job->ranks_max < ranks ? job->ranks_max : ranks;
    if (most < job->ranks_min || most < copy)
        return 0; /* the scheduler says so */
    pins.dp = most / copy;
    pins.pp = job->layout_pp;
    pins.tp = job->layout_tp;
    pins.zero = job->layout_zero;
    pins.slots = job->slots_data;
    pins.micro_batches = job->train.micro_batches;
    pins.recompute = job->train.recompute;
    qd_plan_layout layout = {.dp = (int)pins.dp,
                             .pp = (int)pins.pp,
                             .tp = (int)pins.tp,
                             .zero = (int)job->layout_zero,
                             .schedule = pins.pp > 1 ? job->layout_schedule : QD_PLAN_NO_SCHEDULE,
                             .chunks = (int)job->layout_chunks,
                             .slots = job->slots_data,
                             .micro_batches = job->train.micro_batches,
                             .recompute = (int)job->train.recompute};
    return refuse_if_too_large(job, hardware, most, &pins, &layout);
}
