/*
 * planner_parts.h: what each part of a pipeline takes for one micro-batch of so many samples on so
 * many tensor ranks: seconds, bytes kept, parameters. Inside of models/planner*.c.
 */
#ifndef QD_MODELS_PLANNER_PARTS_H
#define QD_MODELS_PLANNER_PARTS_H

#include "models/planner_links.h"
#include "models/planner_profile.h"

typedef struct qd_part_cost {
    /* Seconds of a micro-batch. */
    double forward, backward_input, backward_weight; /* computing, nothing recomputed */
    double recompute;
    double forward_sums, backward_sums, recompute_sums; /* adding up between tensor ranks */
    /* Bytes that a rank sends its tensor ranks, of a micro-batch. */
    double tensor_inside, tensor_between;
    double parameters;   /* elements of a rank */
    double largest_unit; /* elements of the largest block, or of the largest node outside blocks */
    double kept;         /* bytes between forward and backward */
    double peak;         /* bytes of one micro-batch, at most */
    double scratch;      /* bytes of the operator that needs most */
    /* Of matrices that Muon makes orthogonal, in a step: seconds to compute, and to send their
     * parts; bytes of the scratch; bytes that a rank sends its tensor ranks. */
    double orthogonal, orthogonal_parts, orthogonal_scratch;
    double orthogonal_inside, orthogonal_between;
    double taken; /* bytes that the part before hands on, as many as their gradients */
} qd_part_cost;

/* The seconds of all passes over a micro-batch. */
double qd_part_seconds(const qd_part_cost *part);

typedef struct qd_part_request {
    const qd_profile *profile;
    const qd_profile_level *level;
    const qd_hardware *hardware;
    int tp;
    double samples;
} qd_part_request;

/* Room for what nodes cost, and for a part's bytes over time. */
typedef struct qd_part_work qd_part_work;
int qd_part_work_create(const qd_profile *profile, qd_part_work **work); /* QD_ENOMEM */
void qd_part_work_destroy(qd_part_work *work);

/* Sets the request that the parts are measured for. */
void qd_part_work_begin(qd_part_work *work, const qd_part_request *request);

/* Measures part k. */
void qd_part_measure(qd_part_work *work, const qd_pipeline_stages *stages, int k,
                     qd_part_cost *cost);

#endif
