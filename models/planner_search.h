/*
 * planner_search.h: what the planner keeps from one layout to the next. Inside of
 * models/planner*.c.
 */
#ifndef QD_MODELS_PLANNER_SEARCH_H
#define QD_MODELS_PLANNER_SEARCH_H

#include "models/planner.h"
#include "models/planner_cost.h"

struct qd_planner {
    qd_profile *profile;
    const qd_hardware *hardware;
    qd_plan_host host;
    bool has_host;
    int most_parts;               /* that the model can be cut into */
    int most_whole_parts;         /* without cutting blocks */
    qd_profile_level **levels;    /* [block_count + 1], made when asked for */
    qd_pipeline_stages **cuts[2]; /* [most_parts + 1], likewise; balanced with nothing recomputed,
                                     and with all blocks recomputed */
    qd_part_work *work;
    double *node_cost;
    qd_part_cost *parts; /* [most_parts + 1], measured for: */
    struct {
        int tp, blocks, parts;
        double samples;
    } measured;
    qd_plan_stage *stages; /* [most_parts + 1] of the case at hand */
};

/* QD_ENOMEM. What they point to is the planner's. */
int qd_planner_level(qd_planner *planner, int blocks, const qd_profile_level **level);
int qd_planner_cut(qd_planner *planner, int parts, bool recomputes, const qd_pipeline_stages **cut);

/* The case of one pipeline, tensor grid and size of micro-batch; valid until the next one. */
int qd_planner_measure(qd_planner *planner, int tp, int blocks, double samples, int pp, int chunks,
                       qd_plan_case *c);

/* ---- searching ---- */

typedef enum {
    QD_SEARCH_FASTEST,
    QD_SEARCH_FEWEST_RANKS /* that it fits on */
} qd_search_aim;

enum { QD_SEARCH_KEPT = 16 };

/* Plans of different grids, best first. */
typedef struct qd_search_list {
    qd_plan plans[QD_SEARCH_KEPT];
    int count;
} qd_search_list;

typedef struct qd_search {
    qd_search_aim aim;
    int64_t ranks; /* at most */
    qd_plan_pins pins;
    qd_search_list fit, unfit; /* unfit: the fastest that do not fit */
    qd_plan leanest;           /* that needs least memory; only where none fits */
    int64_t tried;
} qd_search;

/* Fills fit, unfit, leanest and tried. QD_ENOMEM. */
int qd_planner_search(qd_planner *planner, qd_search *search);

/* ---- what is said of it ---- */

/* Why `loser` is not the best, into text. */
void qd_plan_reason(const qd_planner *planner, const qd_plan *best, const qd_plan *loser,
                    char text[QD_PLAN_REASON_BYTES]);

/* Sets the error of a search in which nothing fits. QD_ECONFIG, QD_ENOMEM. */
int qd_plan_refuse(qd_planner *planner, const qd_search *search);

#endif
