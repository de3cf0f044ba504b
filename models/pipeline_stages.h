/*
 * pipeline_stages.h: cuts a graph into the parts of a pipeline (models/pipeline.h): runs of nodes
 * in the order of execution, every node in exactly one, so that the dearest part is as cheap as it
 * can be. Sizes that do not divide are dealt out unevenly, never left out.
 *
 * A cut lies where exactly one value that carries a gradient is handed on: between the layers of a
 * chain, between residual branches, not inside one; and not inside a block that is recomputed
 * (models/timeline.h), which is recomputed where its backward runs. Values without a gradient that
 * are made by nodes (the lengths of texts) are handed on beside it, through as many parts as need
 * be. Inputs and targets are not: every stage that reads them reads them from the data.
 */
#ifndef QD_MODELS_PIPELINE_STAGES_H
#define QD_MODELS_PIPELINE_STAGES_H

#include "models/graph.h"
#include "models/pipeline_simulate.h"
#include "models/timeline.h"

typedef struct qd_pipeline_nodes {
    int first, end; /* nodes [first, end) */
    double cost;    /* sum over them */
    int *taken;     /* [taken_count] values from the part before, ascending; with needs_grad their
                       gradients go back */
    int taken_count;
} qd_pipeline_nodes;

typedef struct qd_pipeline_stages {
    int parts;
    qd_pipeline_nodes *part; /* [parts] */
    /*
     * Parameters read in more than one part, as the token table of a GPT by its first and its last:
     * each stage that reads one holds a copy. Their gradients are to be summed before the update,
     * and each stage has summed its own over micro-batches and data slots by then. For the same
     * bits on every grid, one rank has to sum in that order, too: for each node that reads the
     * parameter over micro-batches and slots, then over the nodes, the last one first.
     */
    int *shared; /* [shared_count] parameters, ascending */
    int shared_count;
} qd_pipeline_stages;

/*
 * Cuts into so many parts. cost: of each node, [node_count], >= 0, any unit; the dearest part is
 * the cheapest possible, then the parts as even as they can be (least sum of squares), then the
 * bytes handed on the fewest. QD_ECONFIG when there are fewer places to cut, naming how many parts
 * there can be; QD_ENOMEM. Owner of *stages: the caller (qd_pipeline_stages_destroy).
 */
int qd_pipeline_stages_create(const qd_graph *graph, int parts, const double *cost,
                              qd_pipeline_stages **stages);
void qd_pipeline_stages_destroy(qd_pipeline_stages *stages);

/* Parts that a graph can be cut into at most. */
int qd_pipeline_most_parts(const qd_graph *graph);

/* Whether a node of that part reads the parameter. */
bool qd_pipeline_part_reads(const qd_graph *graph, const qd_pipeline_nodes *part, int param);

/* ---- costs of nodes, [node_count] ---- */

/* FLOPs of all passes over a node. */
void qd_pipeline_flops(const qd_graph *graph, const qd_timeline *timeline, double *cost);

/*
 * What a part takes, in FLOPs, for the simulation. The backward pass of a node without parameters
 * is all for its inputs, of one whose inputs have no gradient all for its parameters, else half and
 * half, as for a linear layer. What is recomputed comes before the input's gradients.
 */
qd_pipeline_cost qd_pipeline_part_flops(const qd_graph *graph, const qd_timeline *timeline,
                                        const qd_pipeline_nodes *part);

#endif
