/*
 * family.h: the model families; each is one file that builds a graph from a job, and one row.
 * Not for running anything: a family says what is computed, the engine computes it.
 */
#ifndef QD_MODELS_FAMILY_H
#define QD_MODELS_FAMILY_H

#include "models/graph.h"
#include "models/job.h"

typedef struct qd_family {
    const char *name;
    /* Builds the training graph for the given number of samples. QD_ECONFIG, QD_ENOMEM. */
    int (*build)(const qd_job *job, int64_t samples, qd_graph **graph);
} qd_family;

/* Linear layers with an activation between each two, ended by cross-entropy over the classes. */
extern const qd_family qd_family_mlp;

/* The row of job->model.family; never NULL for a parsed job. */
const qd_family *qd_family_of(const qd_job *job);

/* The graph of one data slot of the job: train.batch / slots_data samples. Owner: the caller
 * (qd_graph_destroy). */
int qd_family_build(const qd_job *job, qd_graph **graph);

#endif
