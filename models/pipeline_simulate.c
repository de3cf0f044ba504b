#include "models/pipeline_simulate.h"

#include <math.h>
#include <stdlib.h>

#include "runtime/error.h"
#include "runtime/text.h"

/* The actions of a stage that take a message of one way, in their order: the n-th takes the n-th
 * message of the channel that ends here. */
typedef struct takers {
    int *position;
    int count;
} takers;

typedef struct stage_state {
    int at;       /* next action */
    double free;  /* when it may start, for all that the stage itself knows */
    bool sending; /* the action before `at` has a message that has found no receive yet */
    int sent[QD_PIPELINE_CHANNELS];
    takers takers[QD_PIPELINE_CHANNELS];
} stage_state;

typedef struct simulation {
    const qd_pipeline_table *table;
    const qd_pipeline_times *times;
    qd_pipeline_run *run;
    stage_state *stage;
    /* [parts][micro_batches], NAN until known */
    double *arrival[QD_PIPELINE_CHANNELS]; /* of what a part takes */
    double *forward_end, *input_end;
} simulation;

static size_t cell(const simulation *sim, int part, int micro_batch) {
    return (size_t)part * (size_t)sim->table->micro_batches + (size_t)micro_batch;
}

static qd_pipeline_way way_of(qd_pipeline_action_kind kind) {
    return kind == QD_PIPELINE_FORWARD ? QD_PIPELINE_OUTPUTS : QD_PIPELINE_GRADIENTS;
}

static const qd_pipeline_action *action_at(const simulation *sim, int stage, int at) {
    return &sim->table->stage[stage].actions[at];
}

static double cost(const simulation *sim, int part, qd_pipeline_action_kind kind) {
    const qd_pipeline_cost *c = &sim->times->part[part];
    double costs[QD_PIPELINE_ACTIONS] = {
        [QD_PIPELINE_FORWARD] = c->forward,
        [QD_PIPELINE_BACKWARD] = c->backward_input + c->backward_weight,
        [QD_PIPELINE_BACKWARD_INPUT] = c->backward_input,
        [QD_PIPELINE_BACKWARD_WEIGHT] = c->backward_weight,
    };
    return costs[kind];
}

/* ---- memory ---- */

static double *unknown_times(size_t count) {
    double *times = malloc(count * sizeof *times);
    for (size_t i = 0; times && i < count; i++)
        times[i] = NAN;
    return times;
}

static int find_takers(simulation *sim, int stage, qd_pipeline_way way) {
    const qd_pipeline_stage *s = &sim->table->stage[stage];
    takers *t = &sim->stage[stage].takers[way];
    t->position = malloc(((size_t)s->count + 1) * sizeof *t->position);
    if (!t->position)
        return QD_ENOMEM;
    for (int i = 0; i < s->count; i++)
        if (qd_pipeline_takes(sim->table, stage, &s->actions[i], way))
            t->position[t->count++] = i;
    return 0;
}

static int create_run(const qd_pipeline_table *table, qd_pipeline_run **run) {
    qd_pipeline_run *r = calloc(1, sizeof *r);
    if (!r)
        return QD_ENOMEM;
    r->stages = table->stages;
    r->stage = calloc((size_t)table->stages, sizeof *r->stage);
    bool whole = r->stage != NULL;
    for (int s = 0; whole && s < table->stages; s++) {
        r->stage[s].spans = calloc((size_t)table->stage[s].count, sizeof *r->stage[s].spans);
        whole = r->stage[s].spans != NULL;
    }
    *run = r;
    return whole ? 0 : QD_ENOMEM;
}

void qd_pipeline_run_destroy(qd_pipeline_run *run) {
    if (!run)
        return;
    for (int s = 0; run->stage && s < run->stages; s++)
        free(run->stage[s].spans);
    free(run->stage);
    free(run);
}

static int begin(simulation *sim) {
    const qd_pipeline_table *t = sim->table;
    size_t cells = (size_t)qd_pipeline_parts(t) * (size_t)t->micro_batches;
    sim->stage = calloc((size_t)t->stages, sizeof *sim->stage);
    sim->forward_end = unknown_times(cells);
    sim->input_end = unknown_times(cells);
    int rc = create_run(t, &sim->run);
    for (int way = 0; way < QD_PIPELINE_CHANNELS; way++) {
        sim->arrival[way] = unknown_times(cells);
        if (!sim->arrival[way])
            rc = QD_ENOMEM;
        for (int s = 0; sim->stage && s < t->stages && !rc; s++)
            rc = find_takers(sim, s, (qd_pipeline_way)way);
    }
    if (rc || !sim->stage || !sim->forward_end || !sim->input_end)
        return qd_error_set(QD_ENOMEM, "no memory to simulate a pipeline");
    for (int i = 0; i < t->micro_batches; i++) {
        sim->arrival[QD_PIPELINE_OUTPUTS][cell(sim, 0, i)] = 0;
        sim->arrival[QD_PIPELINE_GRADIENTS][cell(sim, qd_pipeline_parts(t) - 1, i)] = 0;
    }
    return 0;
}

static void end(simulation *sim) {
    for (int s = 0; sim->stage && s < sim->table->stages; s++)
        for (int way = 0; way < QD_PIPELINE_CHANNELS; way++)
            free(sim->stage[s].takers[way].position);
    for (int way = 0; way < QD_PIPELINE_CHANNELS; way++)
        free(sim->arrival[way]);
    free(sim->stage);
    free(sim->forward_end);
    free(sim->input_end);
    qd_pipeline_run_destroy(sim->run);
}

/* ---- one action ---- */

/* When the receive of the n-th message of a channel is posted as its stage's next: the end of the
 * action before the one that takes it. */
static double posted(const simulation *sim, int receiver, qd_pipeline_way way, int n) {
    int position = n < 0 ? 0 : sim->stage[receiver].takers[way].position[n];
    return position == 0 ? 0 : sim->run->stage[receiver].spans[position - 1].end;
}

/* Hands the result of an action over to the part it goes to. */
static void deliver(simulation *sim, int stage, const qd_pipeline_action *action, double at) {
    int part = qd_pipeline_part(sim->table, stage, action->chunk);
    int to = part + (action->kind == QD_PIPELINE_FORWARD ? 1 : -1);
    if (to >= 0 && to < qd_pipeline_parts(sim->table))
        sim->arrival[way_of(action->kind)][cell(sim, to, action->micro_batch)] = at;
}

/* Whether the message of the stage's last action has found its receive by now. */
static bool send(simulation *sim, int stage) {
    stage_state *s = &sim->stage[stage];
    const qd_pipeline_action *action = action_at(sim, stage, s->at - 1);
    qd_pipeline_way way = way_of(action->kind);
    int receiver = qd_pipeline_receiver(sim->table, stage, way);
    const stage_state *r = &sim->stage[receiver];
    double leaves = s->free;
    if (sim->times->receives_ahead != QD_PIPELINE_BUFFERED) {
        int n = s->sent[way] - sim->times->receives_ahead;
        if (n >= 0 && r->takers[way].position[n] > r->at)
            return false;
        leaves = fmax(leaves, posted(sim, receiver, way, n));
    }
    s->sent[way]++;
    s->sending = false;
    s->free = leaves;
    deliver(sim, stage, action, leaves + sim->times->transfer);
    return true;
}

/* When all is there that the stage's next action needs; NAN when something is not. why: what. */
static double inputs_at(const simulation *sim, int stage, const char **why) {
    const qd_pipeline_action *action = action_at(sim, stage, sim->stage[stage].at);
    size_t at = cell(sim, qd_pipeline_part(sim->table, stage, action->chunk), action->micro_batch);
    double needs = 0;
    if (action->kind == QD_PIPELINE_BACKWARD_WEIGHT) {
        *why = "its backward (input)";
        return sim->input_end[at];
    }
    if (action->kind != QD_PIPELINE_FORWARD) {
        *why = "its forward";
        needs = sim->forward_end[at];
        if (isnan(needs))
            return NAN;
    }
    double arrives = sim->arrival[way_of(action->kind)][at];
    *why = action->kind == QD_PIPELINE_FORWARD ? "the output of the part before"
                                               : "the gradient of the part behind";
    return isnan(arrives) ? NAN : fmax(needs, arrives);
}

static bool compute(simulation *sim, int stage) {
    stage_state *s = &sim->stage[stage];
    const char *why;
    if (s->at == sim->table->stage[stage].count)
        return false;
    double needs = inputs_at(sim, stage, &why);
    if (isnan(needs))
        return false;
    const qd_pipeline_action *action = action_at(sim, stage, s->at);
    int part = qd_pipeline_part(sim->table, stage, action->chunk);
    double takes = cost(sim, part, action->kind), start = fmax(s->free, needs);
    sim->run->stage[stage].spans[s->at++] = (qd_pipeline_span){start, start + takes};
    sim->run->stage[stage].busy += takes;
    s->free = start + takes;
    if (action->kind == QD_PIPELINE_FORWARD)
        sim->forward_end[cell(sim, part, action->micro_batch)] = s->free;
    else if (qd_pipeline_makes_input_gradient(action->kind))
        sim->input_end[cell(sim, part, action->micro_batch)] = s->free;
    s->sending = qd_pipeline_sends(sim->table, stage, action, way_of(action->kind));
    if (sim->table->stages == 1 && action->kind != QD_PIPELINE_BACKWARD_WEIGHT)
        deliver(sim, stage, action, s->free);
    return true;
}

/* ---- the whole ---- */

static bool finished(const simulation *sim, int stage) {
    return sim->stage[stage].at == sim->table->stage[stage].count && !sim->stage[stage].sending;
}

static void describe(const simulation *sim, int stage, qd_text *text) {
    const stage_state *s = &sim->stage[stage];
    char name[64];
    if (s->sending) {
        const qd_pipeline_action *action = action_at(sim, stage, s->at - 1);
        qd_text_add(text, "stage %d has done its %s and waits for stage %d to take the result",
                    stage, qd_pipeline_action_text(action, name, sizeof name),
                    qd_pipeline_receiver(sim->table, stage, way_of(action->kind)));
        return;
    }
    const char *why = "";
    inputs_at(sim, stage, &why);
    qd_text_add(text, "stage %d waits in its %s for %s", stage,
                qd_pipeline_action_text(action_at(sim, stage, s->at), name, sizeof name), why);
}

static int report_stop(const simulation *sim) {
    qd_text text = {0};
    for (int s = 0; s < sim->table->stages; s++)
        if (!finished(sim, s)) {
            qd_text_add(&text, "%s", text.length ? "; " : "");
            describe(sim, s, &text);
        }
    int rc = qd_error_set(QD_ECONFIG, "the pipeline comes to a stop: %s",
                          text.failed ? "no memory to say where" : text.bytes);
    qd_text_fini(&text);
    return rc;
}

static int play(simulation *sim) {
    for (bool moved = true; moved;) {
        moved = false;
        for (int s = 0; s < sim->table->stages; s++)
            while (sim->stage[s].sending ? send(sim, s) : compute(sim, s))
                moved = true;
    }
    for (int s = 0; s < sim->table->stages; s++)
        if (!finished(sim, s))
            return report_stop(sim);
    return 0;
}

static int peak_live(const qd_pipeline_stage *stage) {
    int live = 0, peak = 0;
    for (int i = 0; i < stage->count; i++) {
        qd_pipeline_action_kind kind = stage->actions[i].kind;
        live += kind == QD_PIPELINE_FORWARD;
        peak = live > peak ? live : peak;
        live -= qd_pipeline_adds_weights(kind);
    }
    return peak;
}

/* Both the ends of a channel's senders and the posts of its receives go up, so that the last
 * receive that was there in time moves on with them. */
static int receives_ahead(const simulation *sim, int stage, qd_pipeline_way way) {
    const qd_pipeline_stage *s = &sim->table->stage[stage];
    int receiver = qd_pipeline_receiver(sim->table, stage, way);
    int n = 0, in_time = 0, most = 0;
    for (int i = 0; i < s->count; i++) {
        if (!qd_pipeline_sends(sim->table, stage, &s->actions[i], way))
            continue;
        double ends = sim->run->stage[stage].spans[i].end;
        while (in_time <= n && posted(sim, receiver, way, in_time) <= ends)
            in_time++;
        int ahead = n + 1 - in_time;
        most = ahead > most ? ahead : most;
        n++;
    }
    return most;
}

static void sum_up(simulation *sim) {
    qd_pipeline_run *run = sim->run;
    for (int s = 0; s < run->stages; s++) {
        const qd_pipeline_stage *stage = &sim->table->stage[s];
        run->total = fmax(run->total, run->stage[s].spans[stage->count - 1].end);
        run->stage[s].peak_live = peak_live(stage);
        for (int way = 0; way < QD_PIPELINE_CHANNELS; way++) {
            int ahead = receives_ahead(sim, s, (qd_pipeline_way)way);
            run->receives_ahead = ahead > run->receives_ahead ? ahead : run->receives_ahead;
        }
    }
    for (int s = 0; s < run->stages; s++)
        run->stage[s].bubble = run->total - run->stage[s].busy;
}

int qd_pipeline_simulate(const qd_pipeline_table *table, const qd_pipeline_times *times,
                         qd_pipeline_run **run) {
    simulation sim = {.table = table, .times = times};
    int rc = qd_pipeline_check(table);
    if (rc)
        return rc;
    rc = begin(&sim);
    if (!rc)
        rc = play(&sim);
    if (!rc) {
        sum_up(&sim);
        *run = sim.run;
        sim.run = NULL;
    }
    end(&sim);
    return rc;
}

double qd_pipeline_bubble_share(const qd_pipeline_run *run) {
    double bubble = 0;
    for (int s = 0; s < run->stages; s++)
        bubble += run->stage[s].bubble;
    return run->total > 0 ? bubble / (run->total * run->stages) : 0;
}
