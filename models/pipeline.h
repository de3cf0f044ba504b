/*
 * pipeline.h: pipeline schedules as data: for each stage the ordered list of what it computes.
 * Pure, so that a table is printed, checked and simulated (models/pipeline_simulate.h) before a
 * step runs. A kind of schedule is one file in models/pipelines/ and one row in pipeline.c. Which
 * layers a stage holds is models/pipeline_stages.h's business.
 *
 * The model is cut into stages * chunks parts, in the order of execution. Part k lies on stage
 * k mod stages, as that stage's chunk k / stages, both counted from 0 (Narayanan et al., arXiv
 * 2104.04473, 2.2). Each step runs every micro-batch through all parts, forward and backward.
 * Micro-batches are those of all data slots that the pipeline holds, counted slot after slot.
 *
 * What is sent follows from the table. After FORWARD of part k its output goes to the stage of part
 * k + 1, after BACKWARD or BACKWARD_INPUT of part k the input's gradient to the stage of part
 * k - 1; before it runs, an action receives what that other part sent. The first part has no
 * gradient to send, the last no output; between parts of one stage (stages = 1) nothing travels.
 * Between a pair of stages, outputs travel on one channel and gradients on another, so that with
 * two stages and several chunks, where both go the same way, neither waits for the other. On a
 * channel, messages are matched in the order in which they were sent.
 */
#ifndef QD_MODELS_PIPELINE_H
#define QD_MODELS_PIPELINE_H

#include <stdbool.h>
#include <stddef.h>

typedef enum {
    QD_PIPELINE_FORWARD,
    QD_PIPELINE_BACKWARD,        /* both of the next two at once */
    QD_PIPELINE_BACKWARD_INPUT,  /* gradients of activations */
    QD_PIPELINE_BACKWARD_WEIGHT, /* gradients of parameters, any time after */
    QD_PIPELINE_ACTIONS
} qd_pipeline_action_kind;

typedef struct qd_pipeline_action {
    qd_pipeline_action_kind kind;
    int micro_batch; /* 0 .. micro_batches - 1 */
    int chunk;       /* of the stage: 0 .. chunks - 1 */
} qd_pipeline_action;

typedef struct qd_pipeline_stage {
    qd_pipeline_action *actions;
    int count, capacity;
} qd_pipeline_stage;

typedef struct qd_pipeline_table {
    int stages, chunks, micro_batches;
    qd_pipeline_stage *stage; /* [stages] */
} qd_pipeline_table;

/* Most of stages * chunks * micro_batches that a table takes. */
enum { QD_PIPELINE_MAX_CELLS = 1 << 22 };

typedef struct qd_pipeline_kind {
    const char *name;
    const char *summary; /* one line, for people */
    bool interleaves;    /* takes more than one chunk */
    /* Least micro-batches for so many stages. */
    int (*least_micro_batches)(int stages);
    /* Fills an empty table. QD_ENOMEM. */
    int (*fill)(qd_pipeline_table *table);
} qd_pipeline_kind;

/* All forwards, then all backwards: Huang et al., arXiv 1811.06965. Every micro-batch is live at
 * once. Bubble (p - 1)(tF + tB). Backward runs in the order of the micro-batches, not from the last
 * to the first as there: see qd_pipeline_check. */
extern const qd_pipeline_kind qd_pipeline_gpipe;
/* One forward, one backward: Narayanan et al., arXiv 2006.09503 and 2104.04473, 2.2.1. The same
 * bubble, but stage s holds min(m, p - s) micro-batches. */
extern const qd_pipeline_kind qd_pipeline_1f1b;
/* 1F1B over several chunks a stage: arXiv 2104.04473, 2.2.2. The bubble is 1/v of it, the messages
 * are v times as many. */
extern const qd_pipeline_kind qd_pipeline_interleaved;
/* 1F1B whose weight gradients fill the gaps: ZB-H1 of Qi et al., arXiv 2401.10241. Bubble
 * (p - 1)(tF + tB - tW) where m >= p, more by tW for each micro-batch that is lacking; tB here
 * being the input's gradients alone, and tW at most tF and tB. Every stage holds min(m, p)
 * micro-batches, what 1F1B's first stage holds. */
extern const qd_pipeline_kind qd_pipeline_zb_h1;

/* The names of all kinds, in the order of the table, with NULL behind. */
extern const char *const qd_pipeline_names[];

/* The kind of that name; NULL when there is none; the error says which there are. */
const qd_pipeline_kind *qd_pipeline_by_name(const char *name);

/* The kind whose name has that place among the names, and back. */
const qd_pipeline_kind *qd_pipeline_kind_at(int schedule);
int qd_pipeline_place(const qd_pipeline_kind *kind);

/*
 * The table of a kind. QD_ECONFIG, naming what would be accepted, where it takes no such numbers;
 * QD_ENOMEM. Owner of *table: the caller (qd_pipeline_destroy).
 */
int qd_pipeline_create(const qd_pipeline_kind *kind, int stages, int chunks, int micro_batches,
                       qd_pipeline_table **table);

/* A table without actions. */
int qd_pipeline_create_empty(int stages, int chunks, int micro_batches, qd_pipeline_table **table);
void qd_pipeline_destroy(qd_pipeline_table *table);

/* Adds an action behind a stage's others. QD_ENOMEM. */
int qd_pipeline_add(qd_pipeline_table *table, int stage, qd_pipeline_action action);

/*
 * Whether the table can be run with the result of one rank (QD_ECONFIG names stage and action
 * otherwise):
 *  - every stage runs each micro-batch forward once through each chunk, and backward once: as a
 *    whole, or in its two halves;
 *  - for each chunk, forwards run in the order of the micro-batches, and so do the actions that add
 *    to gradients of parameters (BACKWARD, BACKWARD_WEIGHT): sums over micro-batches, of losses and
 *    gradients, are then the same bits as one rank's;
 *  - on each channel, messages are taken in the order in which they are sent.
 * That it ends is found out by simulating it.
 */
int qd_pipeline_check(const qd_pipeline_table *table);

/* ---- what follows from a table ---- */

int qd_pipeline_parts(const qd_pipeline_table *table);
int qd_pipeline_part(const qd_pipeline_table *table, int stage, int chunk);

/* Whether the action adds to gradients of parameters, and with that ends what is kept of the
 * micro-batch's forward; and whether it makes the gradient of its part's input. */
bool qd_pipeline_adds_weights(qd_pipeline_action_kind kind);
bool qd_pipeline_makes_input_gradient(qd_pipeline_action_kind kind);

/* The two channels that leave a stage. */
typedef enum { QD_PIPELINE_OUTPUTS, QD_PIPELINE_GRADIENTS, QD_PIPELINE_CHANNELS } qd_pipeline_way;

/* The stage at the other end of the channel that leaves this one. */
int qd_pipeline_receiver(const qd_pipeline_table *table, int stage, qd_pipeline_way way);

/* Whether the action, on that stage, sends (takes) a message on a channel of this way. */
bool qd_pipeline_sends(const qd_pipeline_table *table, int stage, const qd_pipeline_action *action,
                       qd_pipeline_way way);
bool qd_pipeline_takes(const qd_pipeline_table *table, int stage, const qd_pipeline_action *action,
                       qd_pipeline_way way);

/* "forward of micro-batch 3, chunk 1" into text (64 bytes are enough). Returns text. */
const char *qd_pipeline_action_text(const qd_pipeline_action *action, char *text, size_t size);

#endif
