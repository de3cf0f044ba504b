/* Pipeline schedules: what they cost and keep against closed formulas, and that a table which could
 * not be run is found out, by name. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "models/pipeline_simulate.h"
#include "runtime/error.h"

/* Whole numbers, so that sums of them are exact. */
static const qd_pipeline_cost costs[] = {{1, 1, 1}, {2, 3, 1}, {1, 2, 1}, {3, 2, 2},
                                         {5, 1, 1}, {1, 5, 1}, {3, 4, 3}, {2, 4, 1}};
enum { COSTS = sizeof costs / sizeof costs[0], MOST_PARTS = 32 };

static qd_pipeline_table *create(const qd_pipeline_kind *kind, int p, int v, int m) {
    qd_pipeline_table *table = NULL;
    ck_assert_msg(qd_pipeline_create(kind, p, v, m, &table) == 0, "%s", qd_error_message());
    return table;
}

static int simulate(const qd_pipeline_table *table, qd_pipeline_cost cost, double transfer,
                    int receives_ahead, qd_pipeline_run **run) {
    qd_pipeline_cost part[MOST_PARTS];
    for (int k = 0; k < qd_pipeline_parts(table); k++)
        part[k] = cost;
    qd_pipeline_times times = {part, transfer, receives_ahead};
    return qd_pipeline_simulate(table, &times, run);
}

static qd_pipeline_run *run_of(const qd_pipeline_table *table, qd_pipeline_cost cost) {
    qd_pipeline_run *run = NULL;
    ck_assert_msg(simulate(table, cost, 0, QD_PIPELINE_BUFFERED, &run) == 0, "%s",
                  qd_error_message());
    return run;
}

/* ---- formulas ---- */

typedef struct expectation {
    double (*bubble)(int p, int m, qd_pipeline_cost c); /* c: of a chunk */
    int (*peak)(int p, int v, int m, int stage);
} expectation;

static int least(int a, int b) {
    return a < b ? a : b;
}

/* The part of a stage's idle time that does not depend on v: with chunks as long as c, a stage
 * takes v times that, and 1 / v of (p - 1)(v tF + v tB) is this. */
static double bubble_1f1b(int p, int m, qd_pipeline_cost c) {
    (void)m;
    return (p - 1) * (c.forward + c.backward_input + c.backward_weight);
}

static double bubble_zb_h1(int p, int m, qd_pipeline_cost c) {
    double of_many = (p - 1) * (c.forward + c.backward_input - c.backward_weight);
    return of_many + (p - least(m, p)) * c.backward_weight;
}

static int peak_gpipe(int p, int v, int m, int stage) {
    (void)p, (void)v, (void)stage;
    return m;
}

static int peak_1f1b(int p, int v, int m, int stage) {
    (void)v;
    return least(m, p - stage);
}

/* On the first stage, m a multiple of p, in micro-batches: p (1 + (p - 1) / (p v)), as Korthikanti
 * et al., arXiv 2205.05198, have it. */
static int peak_interleaved(int p, int v, int m, int stage) {
    int groups = m / p, first = (m + groups - 1) / groups;
    return v == 1 ? peak_1f1b(p, v, m, stage)
                  : least(m * v, 2 * (p - 1 - stage) + (v - 1) * first + 1);
}

static int peak_zb_h1(int p, int v, int m, int stage) {
    (void)v, (void)stage;
    return least(m, p);
}

static void meets(const qd_pipeline_kind *kind, expectation expected, int p, int v, int m,
                  qd_pipeline_cost c) {
    qd_pipeline_table *table = create(kind, p, v, m);
    qd_pipeline_run *run = run_of(table, c);
    double busy = m * v * (c.forward + c.backward_input + c.backward_weight);
    double bubble = expected.bubble(p, m, c);
    ck_assert_double_eq(run->total, busy + bubble);
    for (int s = 0; s < p; s++) {
        ck_assert_double_eq(run->stage[s].busy, busy);
        ck_assert_double_eq(run->stage[s].bubble, bubble);
        ck_assert_int_eq(run->stage[s].peak_live, expected.peak(p, v, m, s));
    }
    ck_assert_double_eq_tol(qd_pipeline_bubble_share(run), bubble / (busy + bubble), 1e-12);
    qd_pipeline_run_destroy(run);
    qd_pipeline_destroy(table);
}

static void meets_everywhere(const qd_pipeline_kind *kind, expectation expected, int most_chunks) {
    for (int p = 1; p <= 8; p++)
        for (int v = 1; v <= most_chunks; v++)
            for (int m = kind->least_micro_batches(p); m <= 16; m++)
                for (int c = 0; c < COSTS; c++)
                    meets(kind, expected, p, v, m, costs[c]);
}

START_TEST(gpipe_idles_and_keeps_as_the_formulas_say) {
    meets_everywhere(&qd_pipeline_gpipe, (expectation){bubble_1f1b, peak_gpipe}, 1);
}
END_TEST

START_TEST(one_forward_one_backward_idles_as_gpipe_and_keeps_less) {
    meets_everywhere(&qd_pipeline_1f1b, (expectation){bubble_1f1b, peak_1f1b}, 1);
}
END_TEST

START_TEST(interleaving_divides_the_bubble_by_the_chunks) {
    meets_everywhere(&qd_pipeline_interleaved, (expectation){bubble_1f1b, peak_interleaved}, 4);
}
END_TEST

START_TEST(zero_bubble_fills_gaps_with_weights_within_the_memory_of_1f1b) {
    meets_everywhere(&qd_pipeline_zb_h1, (expectation){bubble_zb_h1, peak_zb_h1}, 1);
}
END_TEST

START_TEST(interleaving_keeps_by_the_factor_of_selective_recomputation) {
    for (int p = 2; p <= 8; p *= 2)
        for (int v = 2; v <= 4; v++) {
            qd_pipeline_table *table = create(&qd_pipeline_interleaved, p, v, 2 * p);
            qd_pipeline_run *run = run_of(table, costs[0]);
            ck_assert_double_eq_tol(run->stage[0].peak_live / (double)v,
                                    p * (1 + (p - 1) / (double)(p * v)), 1e-12);
            qd_pipeline_run_destroy(run);
            qd_pipeline_destroy(table);
        }
}
END_TEST

/* The first output reaches the last stage after p - 1 transfers, the last gradient the first one
 * after p - 1 more. */
START_TEST(a_transfer_is_waited_for_on_the_way_there_and_back) {
    for (int p = 2; p <= 8; p++) {
        qd_pipeline_table *table = create(&qd_pipeline_gpipe, p, 1, 5);
        qd_pipeline_run *run = NULL;
        ck_assert_int_eq(simulate(table, costs[1], 7, QD_PIPELINE_BUFFERED, &run), 0);
        ck_assert_double_eq(run->total, (5 + p - 1) * 6 + 2 * (p - 1) * 7);
        qd_pipeline_run_destroy(run);
        qd_pipeline_destroy(table);
    }
}
END_TEST

START_TEST(the_dearest_stage_sets_the_pace) {
    qd_pipeline_cost part[] = {{1, 1, 0}, {4, 4, 0}, {2, 2, 0}};
    qd_pipeline_times times = {part, 0, QD_PIPELINE_BUFFERED};
    qd_pipeline_table *table = create(&qd_pipeline_gpipe, 3, 1, 10);
    qd_pipeline_run *run = NULL;
    ck_assert_int_eq(qd_pipeline_simulate(table, &times, &run), 0);
    /* The middle stage waits for 1 before it begins, and for the last stage's 2 and 2 at the turn;
     * behind its end comes the first stage's 1. */
    ck_assert_double_eq(run->total, 1 + 10 * 8 + 4 + 1);
    ck_assert_double_eq(run->stage[1].bubble, 6);
    ck_assert_double_eq(run->stage[0].busy, 20);
    qd_pipeline_run_destroy(run);
    qd_pipeline_destroy(table);
}
END_TEST

/* ---- messages ---- */

/* Without receives ahead, a schedule of one chunk still ends; several chunks want two. */
START_TEST(few_receives_ahead_are_enough_for_every_schedule_to_end) {
    for (int k = 0; qd_pipeline_names[k]; k++) {
        const qd_pipeline_kind *kind = qd_pipeline_by_name(qd_pipeline_names[k]);
        for (int p = 1; p <= 8; p++)
            for (int v = 1; v <= (kind->interleaves ? 4 : 1); v++)
                for (int m = kind->least_micro_batches(p); m <= 16; m++) {
                    qd_pipeline_table *table = create(kind, p, v, m);
                    qd_pipeline_run *run = NULL;
                    int ahead = v > 1 ? 2 : QD_PIPELINE_RENDEZVOUS;
                    ck_assert_msg(simulate(table, costs[1], 0, ahead, &run) == 0,
                                  "%s p %d v %d m %d: %s", kind->name, p, v, m, qd_error_message());
                    qd_pipeline_run_destroy(run);
                    qd_pipeline_destroy(table);
                }
    }
}
END_TEST

/* Two runs of the same table, action for action. */
static void same_times(const qd_pipeline_table *table, const qd_pipeline_run *a,
                       const qd_pipeline_run *b) {
    ck_assert_double_eq(a->total, b->total);
    for (int s = 0; s < table->stages; s++)
        for (int i = 0; i < table->stage[s].count; i++)
            ck_assert_double_eq(a->stage[s].spans[i].start, b->stage[s].spans[i].start);
}

START_TEST(as_many_receives_ahead_as_a_run_asks_for_cost_no_time) {
    for (int k = 0; qd_pipeline_names[k]; k++) {
        const qd_pipeline_kind *kind = qd_pipeline_by_name(qd_pipeline_names[k]);
        for (int p = 2; p <= 6; p++)
            for (int m = p; m <= 13; m++)
                for (int c = 0; c < COSTS; c++) {
                    int v = kind->interleaves ? 1 + (m + c) % 3 : 1;
                    qd_pipeline_table *table = create(kind, p, v, m);
                    qd_pipeline_run *free_run = run_of(table, costs[c]), *run = NULL;
                    ck_assert_int_eq(simulate(table, costs[c], 0, free_run->receives_ahead, &run),
                                     0);
                    same_times(table, free_run, run);
                    qd_pipeline_run_destroy(run);
                    qd_pipeline_run_destroy(free_run);
                    qd_pipeline_destroy(table);
                }
    }
}
END_TEST

START_TEST(rendezvous_holds_a_sender_up_until_its_neighbour_is_ready) {
    /* Stage 0 may go on from its first forward when stage 1 has nothing before it, at once; from
     * its second when stage 1 has done the first, whose 10 begin at 1. */
    qd_pipeline_cost part[] = {{1, 1, 0}, {10, 10, 0}};
    qd_pipeline_table *table = create(&qd_pipeline_gpipe, 2, 1, 3);
    qd_pipeline_run *run = NULL;
    qd_pipeline_times times = {part, 0, QD_PIPELINE_RENDEZVOUS};
    ck_assert_int_eq(qd_pipeline_simulate(table, &times, &run), 0);
    ck_assert_double_eq(run->stage[0].spans[1].start, 1);
    ck_assert_double_eq(run->stage[0].spans[2].start, 11);
    qd_pipeline_run_destroy(run);
    times.receives_ahead = 1;
    ck_assert_int_eq(qd_pipeline_simulate(table, &times, &run), 0);
    ck_assert_double_eq(run->stage[0].spans[2].start, 2);
    qd_pipeline_run_destroy(run);
    qd_pipeline_destroy(table);
}
END_TEST

/* ---- what is refused ---- */

static qd_pipeline_table *table_of(int stages, int micro_batches, const char *const *rows) {
    static const char letters[] = "FBIW";
    qd_pipeline_table *table = NULL;
    ck_assert_int_eq(qd_pipeline_create_empty(stages, 1, micro_batches, &table), 0);
    for (int s = 0; s < stages; s++)
        for (const char *c = rows[s]; *c; c += c[2] ? 3 : 2) {
            int kind = (int)(strchr(letters, c[0]) - letters);
            qd_pipeline_action action = {(qd_pipeline_action_kind)kind, c[1] - '0', 0};
            ck_assert_int_eq(qd_pipeline_add(table, s, action), 0);
        }
    return table;
}

/* rows: one a stage, actions as "F0 B0". */
static void refused(int stages, int micro_batches, const char *const *rows, int receives_ahead,
                    const char *message) {
    qd_pipeline_table *table = table_of(stages, micro_batches, rows);
    qd_pipeline_run *run = NULL;
    ck_assert_int_eq(simulate(table, costs[0], 0, receives_ahead, &run), QD_ECONFIG);
    ck_assert_str_eq(qd_error_message(), message);
    ck_assert_ptr_null(run);
    qd_pipeline_destroy(table);
}

#define REFUSED(m, ahead, message, ...)                                                            \
    refused(sizeof((const char *[]){__VA_ARGS__}) / sizeof(char *), m,                             \
            (const char *[]){__VA_ARGS__}, ahead, message)

START_TEST(an_incomplete_table_is_refused_by_what_it_lacks) {
    REFUSED(1, -1, "pipeline stage 1: backward of micro-batch 0, chunk 0 is missing", "F0 B0",
            "F0");
    REFUSED(2, -1, "pipeline stage 0: forward of micro-batch 1, chunk 0 is missing", "F0 B0",
            "F0 B0");
    REFUSED(1, -1, "pipeline stage 0: backward (weights) of micro-batch 0, chunk 0 is missing",
            "F0 I0", "F0 B0");
    REFUSED(1, -1, "pipeline stage 0: backward (input) of micro-batch 0, chunk 0 is missing",
            "F0 W0", "F0 B0");
    REFUSED(1, -1, "pipeline stage 0: forward of micro-batch 0, chunk 0 is missing", "");
}
END_TEST

START_TEST(an_action_that_comes_twice_is_refused) {
    REFUSED(1, -1, "pipeline stage 0: forward of micro-batch 0, chunk 0 comes twice", "F0 F0 B0");
    REFUSED(1, -1, "pipeline stage 0: backward (weights) of micro-batch 0, chunk 0 comes twice",
            "F0 B0 W0");
    REFUSED(1, -1, "pipeline stage 0: backward of micro-batch 0, chunk 0 comes twice", "F0 I0 B0");
    REFUSED(1, -1, "pipeline stage 0: forward of micro-batch 1, chunk 0 is not in the table",
            "F0 F1 B0");
}
END_TEST

START_TEST(gradients_that_would_be_summed_in_another_order_are_refused) {
    static const char message[] =
        "pipeline stage 0: backward of micro-batch 1, chunk 0 is out of turn; gradients of "
        "parameters are summed in the order of the micro-batches";
    REFUSED(2, -1, message, "F0 F1 B1 B0");
    REFUSED(2, -1,
            "pipeline stage 0: backward (weights) of micro-batch 1, chunk 0 is out of turn; "
            "gradients of parameters are summed in the order of the micro-batches",
            "F0 F1 I0 I1 W1 W0");
    REFUSED(2, -1,
            "pipeline stage 0: forward of micro-batch 1, chunk 0 is out of turn; forwards go in "
            "the order of the micro-batches",
            "F1 F0 B0 B1");
}
END_TEST

START_TEST(messages_taken_in_another_order_than_sent_are_refused) {
    REFUSED(2, -1,
            "pipeline stage 1 sends stage 0 the result of its backward (input) of micro-batch 1, "
            "chunk 0 where that awaits what its backward of micro-batch 0, chunk 0 needs; messages "
            "are taken in the order in which they are sent",
            "F0 F1 B0 B1", "F0 F1 I1 I0 W0 W1");
}
END_TEST

START_TEST(a_table_that_stops_is_refused_with_who_waits_for_what) {
    REFUSED(1, -1,
            "the pipeline comes to a stop: stage 0 waits in its backward of micro-batch 0, chunk 0 "
            "for its forward",
            "B0 F0");
    REFUSED(1, -1,
            "the pipeline comes to a stop: stage 0 waits in its backward (weights) of micro-batch "
            "0, chunk 0 for its backward (input)",
            "F0 W0 I0");
    REFUSED(2, -1,
            "the pipeline comes to a stop: stage 0 waits in its backward of micro-batch 0, chunk 0 "
            "for the gradient of the part behind; stage 1 waits in its forward of micro-batch 1, "
            "chunk 0 for the output of the part before",
            "F0 B0 F1 B1", "F0 F1 B0 B1");
    REFUSED(
        4, QD_PIPELINE_RENDEZVOUS,
        "the pipeline comes to a stop: stage 0 has done its forward of micro-batch 2, chunk 0 "
        "and waits for stage 1 to take the result; stage 1 has done its backward of micro-batch "
        "0, chunk 0 and waits for stage 0 to take the result",
        "F0 F1 F2 F3 B0 B1 B2 B3", "F0 B0 F1 B1 F2 B2 F3 B3");
}
END_TEST

START_TEST(numbers_a_schedule_does_not_take_are_refused_with_those_it_does) {
    qd_pipeline_table *table = NULL;
    const struct {
        const qd_pipeline_kind *kind;
        int p, v, m;
        const char *message;
    } rows[] = {
        {&qd_pipeline_interleaved, 4, 2, 3,
         "schedule interleaved on 4 stages takes 4 micro-batches or more, not 3"},
        {&qd_pipeline_gpipe, 4, 2, 3,
         "schedule gpipe takes 1 chunk a stage, not 2; several chunks are for: interleaved"},
        {&qd_pipeline_zb_h1, 0, 1, 3,
         "a pipeline of 0 stages, 1 chunks a stage and 3 micro-batches; there is at least 1 of "
         "each"},
        {&qd_pipeline_1f1b, 1 << 20, 1, 1 << 20,
         "a pipeline of 1048576 stages, 1 chunks a stage and 1048576 micro-batches; their product "
         "is at most 4194304"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        ck_assert_int_eq(qd_pipeline_create(rows[i].kind, rows[i].p, rows[i].v, rows[i].m, &table),
                         QD_ECONFIG);
        ck_assert_str_eq(qd_error_message(), rows[i].message);
    }
    ck_assert_ptr_null(qd_pipeline_by_name("1b1f"));
    ck_assert_str_eq(qd_error_message(), "no pipeline schedule '1b1f'; there are: gpipe, 1f1b, "
                                         "interleaved, zb-h1");
}
END_TEST

/* ---- broken at random ---- */

/* Runs a table on queues, knowing nothing of the checker: a stage does its next action when what
 * that needs is there, and finds something else at the head of the queue only in a wrong table. */
enum { MOST_CELLS = 64, MOST_STAGES = 4 };

typedef struct message {
    int part, micro_batch; /* it is meant for */
} message;

typedef struct queue {
    message at[4 * MOST_CELLS];
    int head, tail;
} queue;

typedef struct witness {
    const qd_pipeline_table *table;
    queue outputs[MOST_STAGES], gradients[MOST_STAGES];             /* that arrive at each stage */
    int forward[MOST_CELLS], input[MOST_CELLS], weight[MOST_CELLS]; /* times done */
    int last_forward[MOST_CELLS], last_weight[MOST_CELLS];          /* of each part, + 1 */
    bool wrong;
} witness;

static int cell(const witness *w, int part, int micro_batch) {
    return part * w->table->micro_batches + micro_batch;
}

/* Hands a message on to a part, where there is one. */
static void put(witness *w, queue *queues, int part, int micro_batch) {
    if (part < 0 || part >= qd_pipeline_parts(w->table))
        return;
    queue *q = &queues[part % w->table->stages];
    q->at[q->tail++] = (message){part, micro_batch};
}

/* Whether the head of the queue is for this action; another one behind which it could only wait for
 * ever makes the table wrong. With one stage there is no queue, and no order. */
static bool get(witness *w, queue *q, int part, int micro_batch) {
    if (w->table->stages == 1) {
        for (int i = q->head; i < q->tail; i++)
            if (q->at[i].part == part && q->at[i].micro_batch == micro_batch) {
                q->at[i] = q->at[q->head++];
                return true;
            }
        return false;
    }
    if (q->head == q->tail)
        return false;
    if (q->at[q->head].part != part || q->at[q->head].micro_batch != micro_batch) {
        w->wrong = true;
        return false;
    }
    q->head++;
    return true;
}

static void in_turn(witness *w, int *last, int part, int micro_batch) {
    w->wrong |= micro_batch + 1 <= last[part];
    last[part] = micro_batch + 1;
}

static bool act(witness *w, int stage, qd_pipeline_action a) {
    int parts = qd_pipeline_parts(w->table), part = a.chunk * w->table->stages + stage;
    int at = cell(w, part, a.micro_batch);
    if (a.kind == QD_PIPELINE_FORWARD) {
        if (part > 0 && !get(w, &w->outputs[stage], part, a.micro_batch))
            return false;
        w->forward[at]++;
        in_turn(w, w->last_forward, part, a.micro_batch);
        put(w, w->outputs, part + 1, a.micro_batch);
        return true;
    }
    if (!w->forward[at] || (a.kind == QD_PIPELINE_BACKWARD_WEIGHT && !w->input[at]))
        return false;
    if (a.kind != QD_PIPELINE_BACKWARD_WEIGHT) {
        if (part < parts - 1 && !get(w, &w->gradients[stage], part, a.micro_batch))
            return false;
        w->input[at]++;
        put(w, w->gradients, part - 1, a.micro_batch);
    }
    if (a.kind != QD_PIPELINE_BACKWARD_INPUT) {
        w->weight[at]++;
        in_turn(w, w->last_weight, part, a.micro_batch);
    }
    return true;
}

static bool runs_to_the_end(const qd_pipeline_table *table) {
    static witness w;
    w = (witness){.table = table};
    int at[MOST_STAGES] = {0}, left = 0;
    for (int s = 0; s < table->stages; s++)
        left += table->stage[s].count;
    for (bool moved = true; moved && !w.wrong;) {
        moved = false;
        for (int s = 0; s < table->stages; s++)
            while (!w.wrong && at[s] < table->stage[s].count &&
                   act(&w, s, table->stage[s].actions[at[s]])) {
                at[s]++;
                left--;
                moved = true;
            }
    }
    for (int i = 0; i < qd_pipeline_parts(table) * table->micro_batches; i++)
        w.wrong |= w.forward[i] != 1 || w.input[i] != 1 || w.weight[i] != 1;
    return !w.wrong && left == 0;
}

static int draw(uint64_t *state, int below) {
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (int)((*state >> 33) % (uint64_t)below);
}

static void remove_action(qd_pipeline_stage *s, int i) {
    memmove(&s->actions[i], &s->actions[i + 1], (size_t)(s->count - i - 1) * sizeof *s->actions);
    s->count--;
}

static void damage(qd_pipeline_table *table, uint64_t *state) {
    int stage = draw(state, table->stages);
    qd_pipeline_stage *s = &table->stage[stage];
    if (s->count < 2)
        return;
    int i = draw(state, s->count), j = draw(state, s->count);
    qd_pipeline_action kept = s->actions[i];
    switch (draw(state, 6)) {
    case 0:
        remove_action(s, i);
        break;
    case 1:
        ck_assert_int_eq(qd_pipeline_add(table, stage, kept), 0);
        break;
    case 2:
        j = i + 1 < s->count ? i + 1 : i - 1;
        /* fall through */
    case 3:
        s->actions[i] = s->actions[j];
        s->actions[j] = kept;
        break;
    case 4:
        s->actions[i].micro_batch = draw(state, table->micro_batches);
        s->actions[i].chunk = draw(state, table->chunks);
        break;
    default:
        s->actions[i].kind = (qd_pipeline_action_kind)draw(state, QD_PIPELINE_ACTIONS);
    }
}

START_TEST(tables_broken_at_random_are_refused_and_only_those) {
    uint64_t state = 14;
    int refused_count = 0, trials = 20000;
    for (int i = 0; i < trials; i++) {
        const qd_pipeline_kind *kind = qd_pipeline_by_name(qd_pipeline_names[i % 4]);
        int p = 1 + draw(&state, MOST_STAGES), v = kind->interleaves ? 1 + draw(&state, 3) : 1;
        qd_pipeline_table *table = create(kind, p, v, p + draw(&state, 2));
        ck_assert(runs_to_the_end(table));
        for (int k = draw(&state, 3); k >= 0; k--)
            damage(table, &state);
        qd_pipeline_run *run = NULL;
        bool runs = simulate(table, costs[0], 0, QD_PIPELINE_BUFFERED, &run) == 0;
        ck_assert_msg(runs == runs_to_the_end(table), "trial %d, %s, %d stages, %d chunks: %s", i,
                      kind->name, p, v, runs ? "accepted" : qd_error_message());
        refused_count += !runs;
        qd_pipeline_run_destroy(run);
        qd_pipeline_destroy(table);
    }
    /* Both verdicts must come up often for their agreement to mean something. */
    ck_assert_int_gt(refused_count, trials / 2);
    ck_assert_int_lt(refused_count, trials - trials / 50);
}
END_TEST

int main(void) {
    TCase *tc = tcase_create("pipeline");
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, gpipe_idles_and_keeps_as_the_formulas_say);
    tcase_add_test(tc, one_forward_one_backward_idles_as_gpipe_and_keeps_less);
    tcase_add_test(tc, interleaving_divides_the_bubble_by_the_chunks);
    tcase_add_test(tc, zero_bubble_fills_gaps_with_weights_within_the_memory_of_1f1b);
    tcase_add_test(tc, interleaving_keeps_by_the_factor_of_selective_recomputation);
    tcase_add_test(tc, a_transfer_is_waited_for_on_the_way_there_and_back);
    tcase_add_test(tc, the_dearest_stage_sets_the_pace);
    tcase_add_test(tc, few_receives_ahead_are_enough_for_every_schedule_to_end);
    tcase_add_test(tc, as_many_receives_ahead_as_a_run_asks_for_cost_no_time);
    tcase_add_test(tc, rendezvous_holds_a_sender_up_until_its_neighbour_is_ready);
    tcase_add_test(tc, an_incomplete_table_is_refused_by_what_it_lacks);
    tcase_add_test(tc, an_action_that_comes_twice_is_refused);
    tcase_add_test(tc, gradients_that_would_be_summed_in_another_order_are_refused);
    tcase_add_test(tc, messages_taken_in_another_order_than_sent_are_refused);
    tcase_add_test(tc, a_table_that_stops_is_refused_with_who_waits_for_what);
    tcase_add_test(tc, numbers_a_schedule_does_not_take_are_refused_with_those_it_does);
    tcase_add_test(tc, tables_broken_at_random_are_refused_and_only_those);
    Suite *suite = suite_create("models/pipeline");
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
