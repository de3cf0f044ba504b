/*
 * What the members of a grid send in a step, counted in the transport, group by group, against
 * closed formulas of the model's shapes: Megatron's (Narayanan et al., arXiv 2104.04473, 3.2;
 * Shoeybi et al., arXiv 1909.08053, 3) for tensor and pipeline parallelism, those of ZeRO
 * (Rajbhandari et al., arXiv 1910.02054, 7) along the data axis of such a grid. test_gang_mpi.c has
 * the latter for data parallelism alone, test/collectives/volume.h what one sum or gather sends.
 *
 * In these formulas: b samples of a micro-batch, s positions, h width, L layers, V vocabulary; N =
 * b s h, R = b s; t tensor members, T tensor slots; M micro-batches of a pipeline; A(n) what an
 * all-reduce of n floats sends.
 */
#include "models/family.h"
#include "runtime/align.h"
#include "volume.h"
#include "worker/stage_internal.h"
#include "worker/trainer_internal.h"

enum { MOST_RANKS = 8, MOST_NODES = 64 };
enum { BATCH = 8, DATA_SLOTS = 2, MICRO_BATCHES = 2, TENSOR_SLOTS = 8, PARTS = 4 };
enum { LAYERS = 2, WIDTH = 32, LENGTH = 11, VOCABULARY = 259, CLASSES = 4 };
enum {
    SAMPLES = BATCH / DATA_SLOTS / MICRO_BATCHES,
    ROWS = SAMPLES * LENGTH,
    HIDDEN = ROWS * WIDTH
};
enum { FLOAT = sizeof(float), DOUBLE = sizeof(double) };
/* Totals that each sum over slots carries along. */
enum { TOTALS = 16 };

typedef enum { GPT, BERT } family;

typedef struct setting {
    family family;
    int dp, pp, tp;
    const char *schedule;
    int chunks, zero, recompute;
    const char *optimizer; /* NULL: adamw */
} setting;

/* ---- a member of such a grid ---- */

typedef struct member {
    mpi_test *t;
    setting s;
    qd_job job;
    int ranks[MOST_RANKS];
    int tensor_starts[MOST_RANKS + 1]; /* the slots of the tensor members */
    qd_assignment assignment;
    qd_trainer trainer;
    void *samples;
    int32_t *targets;
    bool opened;
} member;

static int gang_of(const setting *s) {
    return s->dp * s->pp * s->tp;
}

/* Of the model. */
static int parts_of(const setting *s) {
    return s->pp > 1 ? PARTS : 1;
}

static void write_job(const setting *s, char *text, size_t size) {
    const char *gpt = "family: gpt", *bert = "family: bert, classes: 4";
    const char *lines = "format: lines, folder: ., train: a.tsv, test: a.tsv, validation: 10";
    const char *tokens = "format: text, folder: ., file: a.txt";
    snprintf(
        text, size,
        "name: bytes\n"
        "model: {%s, vocabulary: %d, layers: %d, heads: 8, width: %d, context: %d, dropout: 0}\n"
        "data: {%s}\n"
        "train: {batch: %d, steps: 3, micro_batches: %d, recompute: %d}\n"
        "optimizer: {kind: %s, learning_rate: 0.001}\n"
        "slots: {data: %d, tensor: %d, pipeline: %d}\n"
        "layout: {dp: %d, pp: %d, tp: %d, schedule: %s, chunks: %d, zero: %d}\n",
        s->family == GPT ? gpt : bert, VOCABULARY, LAYERS, WIDTH, LENGTH,
        s->family == GPT ? tokens : lines, BATCH, MICRO_BATCHES, s->recompute,
        s->optimizer ? s->optimizer : "adamw", DATA_SLOTS, TENSOR_SLOTS, parts_of(s), s->dp, s->pp,
        s->tp, s->schedule, s->chunks, s->zero);
}

static int poll_nothing(void *context) {
    (void)context;
    return 0;
}

static const qd_trainer_hooks hooks = {.poll = poll_nothing};

/* Any samples do: tokens that there are, none of them padding. */
static void make_batch(member *m) {
    qd_sample_spec spec = qd_family_sample_spec(&m->job);
    size_t slot = BATCH / DATA_SLOTS, inputs = slot * (size_t)spec.inputs;
    size_t targets = slot * (size_t)spec.targets;
    int32_t *tokens = aligned_alloc(QD_ALIGN_BYTES, qd_align_bytes(inputs * sizeof *tokens));
    m->targets = calloc(targets, sizeof *m->targets);
    for (size_t i = 0; i < inputs; i++)
        tokens[i] = 1 + (int32_t)(i * 7 % (VOCABULARY - 1));
    for (size_t i = 0; i < targets; i++)
        m->targets[i] = (int32_t)(i % (size_t)spec.classes);
    m->samples = tokens;
}

static int next_batch(void *context, int chunk, qd_batch *batch) {
    member *m = context;
    (void)chunk;
    *batch = (qd_batch){m->samples, m->targets};
    return 0;
}

static int open_stage(member *m, const qd_backend *backend) {
    qd_trainer *t = &m->trainer;
    qd_stage_config config = {.job = &m->job,
                              .grid = t->grid,
                              .place = t->place,
                              .first_slot = t->first_slot,
                              .end_slot = t->end_slot,
                              .backend = backend,
                              .threads = 1,
                              .spans = &t->spans};
    return qd_stage_create(&config, &t->stage);
}

/* Ranks behind the gang stay out. All groups are those that a trainer makes. */
static void open_member(mpi_test *t, const setting *s, const qd_backend *backend, member *m) {
    char text[1024];
    *m = (member){.t = t, .s = *s};
    write_job(s, text, sizeof text);
    uint32_t epoch = t->next_id++;
    int rc = qd_job_parse("job.yaml", text, strlen(text), &m->job);
    CHECK(t, rc == 0);
    if (rc || t->world->rank >= gang_of(s))
        return;
    for (int i = 0; i < gang_of(s); i++)
        m->ranks[i] = i;
    for (int i = 0; i <= s->tp; i++)
        m->tensor_starts[i] = i * TENSOR_SLOTS / s->tp;
    m->assignment = (qd_assignment){.world = t->world,
                                    .job = &m->job,
                                    .epoch = epoch,
                                    .ranks = m->ranks,
                                    .rank_count = gang_of(s),
                                    .threads = 1,
                                    .transport = t->transport,
                                    .deadline_s = 60};
    m->trainer =
        (qd_trainer){.a = &m->assignment, .job = &m->job, .hooks = &hooks, .index = t->world->rank};
    qd_span_start(&m->trainer.spans, QD_SPAN_COMPUTE);
    make_batch(m);
    rc = qd_trainer_find_place(&m->trainer);
    if (!rc)
        rc = open_stage(m, backend);
    if (!rc)
        rc = qd_trainer_open_groups(&m->trainer);
    CHECK(t, rc == 0);
    m->opened = rc == 0;
}

static void close_member(member *m) {
    qd_trainer_close_groups(&m->trainer);
    qd_stage_destroy(m->trainer.stage);
    free(m->trainer.slot_starts);
    free(m->trainer.one_each);
    free(m->samples);
    free(m->targets);
}

static int run_step(member *m, int64_t step) {
    qd_stage_feed feed = {.context = m, .next = next_batch, .between = poll_nothing};
    qd_stage *stage = m->trainer.stage;
    qd_stage_begin_step(stage, step);
    int rc = qd_stage_run(stage, &feed);
    if (!rc)
        rc = qd_stage_finish_sums(stage);
    if (!rc)
        rc = qd_stage_update(stage, 3);
    return rc ? rc : qd_stage_settle(stage);
}

/* ---- what was sent ---- */

typedef struct traffic {
    uint64_t bytes[QD_CALL_KINDS], calls[QD_CALL_KINDS];
} traffic;

static traffic traffic_of(const qd_group *group, const traffic *before) {
    traffic now = {0};
    for (int k = 0; group && k < QD_CALL_KINDS; k++) {
        now.bytes[k] = qd_group_bytes_of(group, (qd_call_kind)k) - (before ? before->bytes[k] : 0);
        now.calls[k] = qd_group_calls_of(group, (qd_call_kind)k) - (before ? before->calls[k] : 0);
    }
    return now;
}

typedef enum { TENSOR, DATA, OUTPUTS, GRADIENTS, GROUPS } group_kind;

static const qd_group *group_of(const member *m, group_kind kind) {
    const qd_trainer *t = &m->trainer;
    return kind == TENSOR    ? t->tensor_group
           : kind == DATA    ? t->data_group
           : kind == OUTPUTS ? t->outputs
                             : t->gradients;
}

/* Of the second step; the first one is like it. */
static void measure(member *m, traffic *sent) {
    traffic before[GROUPS];
    if (!m->opened)
        return;
    CHECK(m->t, run_step(m, 1) == 0);
    for (int g = 0; g < GROUPS; g++)
        before[g] = traffic_of(group_of(m, g), NULL);
    CHECK(m->t, run_step(m, 2) == 0);
    for (int g = 0; g < GROUPS; g++)
        sent[g] = traffic_of(group_of(m, g), &before[g]);
}

/* Which stage has which layer is not asked for: the sum over the stages that stand behind each
 * other, to each of them. All ranks call it. */
static traffic over_stages(const member *m, const traffic *sent) {
    enum { NUMBERS = 2 * QD_CALL_KINDS };
    uint64_t sums[MOST_RANKS * NUMBERS] = {0};
    const qd_grid_place *p = &m->trainer.place;
    int line = p->d * m->s.tp + p->t;
    if (m->opened)
        memcpy(sums + line * NUMBERS, sent, sizeof *sent);
    MPI_Allreduce(MPI_IN_PLACE, sums, MOST_RANKS * NUMBERS, MPI_UINT64_T, MPI_SUM, MPI_COMM_WORLD);
    traffic sum;
    memcpy(&sum, sums + line * NUMBERS, sizeof sum);
    return sum;
}

/* ---- the tensor axis ---- */

/* Bytes of an all-reduce of so many floats over tensor slots, and over one number a member. */
static uint64_t slots_sum(const member *m, int64_t n) {
    volume_group g = {.members = m->s.tp, .leaves = TENSOR_SLOTS, .starts = m->tensor_starts};
    return volume_of_all_reduce(&g, n, m->trainer.place.t).all * FLOAT;
}

static uint64_t members_sum(int members, const int *one_each, int64_t n, int me) {
    volume_group g = {.members = members, .leaves = members, .starts = one_each};
    return volume_of_all_reduce(&g, n, me).all * FLOAT;
}

/* Sums of N floats of a micro-batch that its layers take. */
static uint64_t sums_of_layers(const member *m) {
    /* A layer: forward one behind attention's projection and one behind the MLP's, backward one at
     * the input of each. A block that is recomputed makes attention's again, not the MLP's, whose
     * output nobody reads again (models/timeline.h). */
    uint64_t sums = 4 * LAYERS + (uint64_t)m->s.recompute;
    /* The head deals out its outputs, the vocabulary: its input's gradient is one more. */
    return m->s.family == GPT ? sums + 1 : sums;
}

/* Elements of a part of so many that a tensor member has, of what is dealt out in whole units. */
static uint64_t part_elements(const member *m, int units, int of_a_unit, int t) {
    const int *slots = m->tensor_starts + t;
    int held = slots[1] * units / TENSOR_SLOTS - slots[0] * units / TENSOR_SLOTS;
    return (uint64_t)held * (uint64_t)of_a_unit;
}

/*
 * What Muon makes orthogonal: of each layer [3 h, h] and [h, h], dealt out by heads, [4 h, h] and
 * [h, 4 h]. Matrix i, counted over the layers, is made so by member i mod t: the others send it
 * their parts, and it sends each of them its part. So a member sends its part of what is not its,
 * and all but its part of what is. Here all layers are on one stage.
 */
static void check_matrices(const member *m, const traffic *sent) {
    enum { HEADS = 8, OF_HEAD = WIDTH / HEADS };
    static const int units[] = {HEADS, HEADS, 4 * WIDTH, 4 * WIDTH};
    static const int of_units[] = {3 * OF_HEAD * WIDTH, OF_HEAD * WIDTH, WIDTH, WIDTH};
    uint64_t elements = 0, messages = 0, others = (uint64_t)m->s.tp - 1;
    for (int i = 0; i < 4 * LAYERS && m->job.optimizer.kind == QD_OPTIMIZER_MUON; i++) {
        int kind = i % 4;
        uint64_t own = part_elements(m, units[kind], of_units[kind], m->trainer.place.t);
        bool owns = i % m->s.tp == m->trainer.place.t;
        elements += owns ? (uint64_t)(units[kind] * of_units[kind]) - own : own;
        messages += owns ? others : 1;
    }
    CHECK(m->t, sent->bytes[QD_CALL_SEND] == elements * FLOAT);
    CHECK(m->t, sent->calls[QD_CALL_SEND] == messages);
}

/*
 * A micro-batch's, in floats:
 *   embedding      A(N), each row from who has it
 *   layers         4 L A(N) (see above): 8 N (t-1)/t a layer with Megatron, and here, where a
 *                  member's slots are a subtree and t divides N
 *   cross-entropy  over the vocabulary: (t-1) R of greatest logits, gathered, and A(3 R): of each
 *                  row the sum of exponentials, the target's logit and the distances of smoothed
 *                  labels, instead of V R; Megatron's are three A(R)
 *   accuracy       (t-1) 2 R, the best class of each row, gathered
 * and a step's, for the length of the gradient: a double for each slot of a parameter that is dealt
 * out, gathered. With LAMB two more, of weights and of moves.
 */
static void check_tensor_axis(const member *m, const traffic *sent) {
    uint64_t micro_batches = DATA_SLOTS / (uint64_t)m->s.dp * MICRO_BATCHES;
    uint64_t others = (uint64_t)m->s.tp - 1, sums = sums_of_layers(m);
    /* A tied table is there once more where first and last part are apart. */
    uint64_t cut = 6 * LAYERS + (m->s.family == GPT && parts_of(&m->s) > 1 ? 2 : 1);
    uint64_t most_slots = (TENSOR_SLOTS + others) / (others + 1);
    uint64_t bytes = sums * slots_sum(m, HIDDEN) +
                     members_sum(m->s.tp, m->trainer.one_each, HIDDEN, m->trainer.place.t);
    uint64_t gathered = 0, gathers = 0;
    if (m->s.family == GPT) {
        bytes += slots_sum(m, 3 * ROWS);
        gathered = others * 3 * ROWS * FLOAT;
        gathers = 2;
        sums++;
    }
    CHECK(m->t, sent->bytes[QD_CALL_ALLREDUCE] == micro_batches * bytes);
    CHECK(m->t, sent->calls[QD_CALL_ALLREDUCE] == micro_batches * (sums + 1));
    uint64_t lamb = m->job.optimizer.kind == QD_OPTIMIZER_LAMB ? 2 : 0;
    CHECK(m->t, sent->bytes[QD_CALL_ALL_GATHER] ==
                    micro_batches * gathered + others * cut * most_slots * (1 + lamb) * DOUBLE);
    CHECK(m->t, sent->calls[QD_CALL_ALL_GATHER] ==
                    micro_batches * gathers + (lamb ? 2 : 1) * (uint64_t)parts_of(&m->s));
    check_matrices(m, sent);
}

static void check_tensor_setting(mpi_test *t, const setting *s) {
    member m;
    traffic sent[GROUPS] = {0};
    open_member(t, s, &qd_backend_cpu, &m);
    measure(&m, sent);
    traffic tensor = over_stages(&m, &sent[TENSOR]);
    if (m.opened) {
        check_tensor_axis(&m, &tensor);
        if (s->tp == 2 || s->tp == 4)
            CHECK(t, 4 * slots_sum(&m, HIDDEN) ==
                         8 * HIDDEN * FLOAT * (uint64_t)(s->tp - 1) / (uint64_t)s->tp);
    }
    close_member(&m);
}

static void a_tensor_group_sends_what_megatrons_does(mpi_test *t) {
    static const setting settings[] = {
        {.family = GPT, .dp = 1, .pp = 1, .tp = 2, .schedule = "1f1b", .chunks = 1},
        {.family = GPT, .dp = 1, .pp = 1, .tp = 3, .schedule = "1f1b", .chunks = 1},
        {.family = GPT, .dp = 1, .pp = 1, .tp = 4, .schedule = "1f1b", .chunks = 1, .recompute = 1},
        {.family = GPT, .dp = 2, .pp = 1, .tp = 2, .schedule = "1f1b", .chunks = 1, .zero = 2},
        {.family = GPT, .dp = 1, .pp = 2, .tp = 2, .schedule = "zb-h1", .chunks = 1},
        {.family = BERT, .dp = 1, .pp = 1, .tp = 3, .schedule = "1f1b", .chunks = 1},
        {.family = GPT,
         .dp = 1,
         .pp = 2,
         .tp = 2,
         .schedule = "1f1b",
         .chunks = 1,
         .optimizer = "lamb"},
        {.family = GPT,
         .dp = 1,
         .pp = 1,
         .tp = 2,
         .schedule = "1f1b",
         .chunks = 1,
         .optimizer = "muon, adamw_learning_rate: 0.001"},
        {.family = BERT,
         .dp = 1,
         .pp = 1,
         .tp = 3,
         .schedule = "1f1b",
         .chunks = 1,
         .optimizer = "muon, adamw_learning_rate: 0.001"},
    };
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++)
        if (gang_of(&settings[i]) <= t->world->size)
            check_tensor_setting(t, &settings[i]);
}

/* ---- of a layer ---- */

/* Sums of the tensor group while nodes run; the backend has no place for them. */
static struct {
    const qd_group *group;
    struct {
        char name[QD_MAX_NAME];
        uint64_t sums;
    } forward[MOST_NODES];
    int nodes;
} watched;

static int watch_forward(qd_backend_context *context, const qd_graph *graph, const qd_node *node,
                         const qd_operands *operands) {
    uint64_t before = watched.group ? qd_group_calls_of(watched.group, QD_CALL_ALLREDUCE) : 0;
    int rc = qd_backend_cpu.forward(context, graph, node, operands);
    if (watched.group && watched.nodes < MOST_NODES) {
        snprintf(watched.forward[watched.nodes].name, QD_MAX_NAME, "%s", node->name);
        watched.forward[watched.nodes++].sums =
            qd_group_calls_of(watched.group, QD_CALL_ALLREDUCE) - before;
    }
    return rc;
}

static uint64_t sums_of(const char *prefix) {
    uint64_t sums = 0;
    for (int i = 0; i < watched.nodes; i++)
        if (strncmp(watched.forward[i].name, prefix, strlen(prefix)) == 0)
            sums += watched.forward[i].sums;
    return sums;
}

/* Columns, then rows: what lies between needs nothing of others. */
static void an_mlp_forward_is_one_all_reduce(mpi_test *t) {
    static const char *const of_mlp[] = {"block1.norm2", "block1.up", "block1.gelu", "block1.add2"};
    setting s = {.family = GPT, .dp = 1, .pp = 1, .tp = 2, .schedule = "1f1b", .chunks = 1};
    qd_backend backend = qd_backend_cpu;
    double loss = 0;
    int64_t correct = 0;
    member m;
    backend.forward = watch_forward;
    open_member(t, &s, &backend, &m);
    if (m.opened) {
        qd_batch batch = {m.samples, m.targets};
        watched.group = m.trainer.tensor_group;
        CHECK(t, qd_stage_evaluate(m.trainer.stage, &batch, SAMPLES, &loss, &correct) == 0);
        CHECK(t, sums_of("block1.down") == 1 && sums_of("block1.proj") == 1);
        CHECK(t, sums_of("block1.") == 2 && sums_of("block0.") == 2);
        for (size_t i = 0; i < sizeof of_mlp / sizeof *of_mlp; i++)
            CHECK(t, sums_of(of_mlp[i]) == 0);
        watched.group = NULL;
    }
    close_member(&m);
}

/* ---- the pipeline axis ---- */

/* Parameters of the whole model: twelve a layer (two norms, four products, each with a bias), and
 * around the layers. */
static uint64_t params_of(family f) {
    return 12 * LAYERS + (f == GPT ? 4 : 8);
}

/*
 * Between parts of the schedule's table that lie on different stages, for each micro-batch: N
 * floats forward and N back, whatever the tensor degree (each of its members sends to its like);
 * beside them, while layers follow that look at them, BERT's lengths of b texts. So for v chunks a
 * stage sends v M N, or, having the last part, (v - 1) M N, forward.
 *
 * A table that first and last part read, tied: the last sends its gradient to the first, which
 * sends back the sum: as much as an all-reduce between the two.
 *
 * Of all stages: totals, summed; the square of each parameter's gradient, gathered.
 */
static void check_pipeline_axis(const member *m, const traffic *outputs, const traffic *gradients) {
    const qd_trainer *tr = &m->trainer;
    const int *slots = m->tensor_starts + tr->place.t;
    uint64_t micro_batches = DATA_SLOTS / (uint64_t)m->s.dp * MICRO_BATCHES;
    uint64_t chunks = (uint64_t)m->s.chunks, others = (uint64_t)m->s.pp - 1;
    bool first = tr->place.p == 0, last = tr->place.p == m->s.pp - 1, tied = m->s.family == GPT;
    uint64_t lengths = tied ? 0 : SAMPLES * sizeof(int32_t);
    int64_t held = VOCABULARY * slots[1] / TENSOR_SLOTS - VOCABULARY * slots[0] / TENSOR_SLOTS;
    uint64_t table = tied && (first || last) ? (uint64_t)held * WIDTH * FLOAT : 0;
    uint64_t messages = micro_batches * (chunks - last), returns = micro_batches * (chunks - first);
    CHECK(m->t, outputs->bytes[QD_CALL_SEND] == messages * (HIDDEN * FLOAT + lengths) + table);
    CHECK(m->t, outputs->calls[QD_CALL_SEND] == messages * (tied ? 1 : 2) + (table > 0));
    CHECK(m->t, gradients->bytes[QD_CALL_SEND] == returns * HIDDEN * FLOAT);
    CHECK(m->t, gradients->calls[QD_CALL_SEND] == returns);
    CHECK(m->t, outputs->bytes[QD_CALL_ALLREDUCE] ==
                    members_sum(m->s.pp, tr->one_each, TOTALS, tr->place.p));
    CHECK(m->t, outputs->bytes[QD_CALL_ALL_GATHER] == others * params_of(m->s.family) * DOUBLE);
    CHECK(m->t, gradients->calls[QD_CALL_ALLREDUCE] == 0);
}

/* ---- the data axis ---- */

/* Floats of this stage's parameters, each from 64 bytes on. */
static uint64_t floats_held(const qd_graph *graph) {
    uint64_t floats = 0;
    for (int p = 0; p < graph->param_count; p++)
        floats += (uint64_t)qd_align_floats(qd_shape_elements(&graph->params[p].shape));
    return floats;
}

/* Doubles by which gradients are measured: one for each row of a slot where slots deal a parameter
 * out, else one for each block of rows (models/row_blocks.h). */
static uint64_t cells_held(const qd_engine *engine) {
    const qd_row_blocks *blocks = qd_engine_buckets(engine)->blocks;
    return (uint64_t)blocks->cell[blocks->count];
}

/*
 * With d members and P floats of parameters on a stage, a mean member sends, as without tensor and
 * pipeline parallelism:
 *   ZeRO 0     2 P (d-1)/d, all-reduced
 *   ZeRO 1, 2  P (d-1)/d reduce-scattered and P (d-1)/d gathered; once a step, however many
 *              micro-batches there are
 *   ZeRO 3     P (d-1)/d reduce-scattered, and gathered for each forward and each backward of a
 *              micro-batch; here all of a part is one bucket
 * and beside that the totals of each part of the model that it has, and with ZeRO what gradients
 * are measured by. Members' shards differ by the rows that blocks are made of, so that here it is
 * all members together that are held to it.
 */
static void check_data_axis(const member *m, const traffic *sent) {
    uint64_t d = (uint64_t)m->s.dp, floats = 0, cells = 0, totals = 0;
    traffic sum = *sent;
    for (int u = 0; u < m->trainer.stage->unit_count; u++) {
        const qd_engine *engine = m->trainer.stage->units[u].engine;
        floats += floats_held(qd_engine_graph(engine));
        cells += cells_held(engine);
        totals += TOTALS;
    }
    _Static_assert(sizeof sum == 2 * QD_CALL_KINDS * sizeof(uint64_t), "two rows of numbers");
    CHECK(m->t, qd_group_size(m->trainer.data_group) == m->s.dp);
    int peer = m->ranks[qd_grid_member_at(
        &m->trainer.grid,
        (qd_grid_place){1 - m->trainer.place.d, m->trainer.place.p, m->trainer.place.t})];
    traffic theirs;
    MPI_Sendrecv(sent, sizeof *sent, MPI_BYTE, peer, 0, &theirs, sizeof theirs, MPI_BYTE, peer, 0,
                 MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    for (int k = 0; k < QD_CALL_KINDS; k++)
        sum.bytes[k] += theirs.bytes[k];
    uint64_t reduced = m->s.zero ? totals : floats + totals;
    CHECK(m->t, sum.bytes[QD_CALL_ALLREDUCE] == 2 * (d - 1) * reduced * FLOAT);
    CHECK(m->t, sum.bytes[QD_CALL_REDUCE_SCATTER] == (m->s.zero ? (d - 1) * floats * FLOAT : 0));
    uint64_t gathers = m->s.zero < 3 ? 1 : 2 * MICRO_BATCHES * DATA_SLOTS / d;
    CHECK(m->t, sum.bytes[QD_CALL_ALL_GATHER] ==
                    (m->s.zero ? (d - 1) * (gathers * floats * FLOAT + cells * DOUBLE) : 0));
}

static void check_setting(mpi_test *t, const setting *s) {
    member m;
    traffic sent[GROUPS] = {0};
    open_member(t, s, &qd_backend_cpu, &m);
    measure(&m, sent);
    if (m.opened && s->pp > 1)
        check_pipeline_axis(&m, &sent[OUTPUTS], &sent[GRADIENTS]);
    if (m.opened && s->dp > 1)
        check_data_axis(&m, &sent[DATA]);
    close_member(&m);
}

static void a_pipeline_sends_activations_forward_and_their_gradients_back(mpi_test *t) {
    static const setting settings[] = {
        {.family = GPT, .dp = 1, .pp = 2, .tp = 1, .schedule = "1f1b", .chunks = 1},
        {.family = GPT, .dp = 1, .pp = 4, .tp = 1, .schedule = "gpipe", .chunks = 1},
        {.family = GPT, .dp = 1, .pp = 2, .tp = 1, .schedule = "interleaved", .chunks = 2},
        {.family = GPT, .dp = 1, .pp = 4, .tp = 1, .schedule = "zb-h1", .chunks = 1},
        {.family = GPT, .dp = 1, .pp = 2, .tp = 2, .schedule = "interleaved", .chunks = 2},
        {.family = BERT, .dp = 1, .pp = 2, .tp = 1, .schedule = "1f1b", .chunks = 1},
    };
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++)
        if (gang_of(&settings[i]) <= t->world->size)
            check_setting(t, &settings[i]);
}

static void zero_sends_along_the_data_axis_what_it_does_without_other_axes(mpi_test *t) {
    setting beside_tensor = {
        .family = GPT, .dp = 2, .pp = 1, .tp = 2, .schedule = "1f1b", .chunks = 1};
    setting beside_stages = {
        .family = BERT, .dp = 2, .pp = 2, .tp = 1, .schedule = "1f1b", .chunks = 1};
    for (int zero = 0; zero <= 3; zero++) {
        beside_tensor.zero = beside_stages.zero = zero;
        if (t->world->size >= gang_of(&beside_tensor))
            check_setting(t, &beside_tensor);
        if (t->world->size >= gang_of(&beside_stages))
            check_setting(t, &beside_stages);
    }
}

int main(int argc, char **argv) {
#define ROW(test)                                                                                  \
    { #test, test }
    static const mpi_test_row rows[] = {
        ROW(a_tensor_group_sends_what_megatrons_does),
        ROW(an_mlp_forward_is_one_all_reduce),
        ROW(a_pipeline_sends_activations_forward_and_their_gradients_back),
        ROW(zero_sends_along_the_data_axis_what_it_does_without_other_axes),
    };
    return mpi_test_main(argc, argv, rows, sizeof rows / sizeof rows[0]);
}
