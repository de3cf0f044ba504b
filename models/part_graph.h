/*
 * part_graph.h: the graph of one part of a pipeline (models/pipeline_stages.h): its nodes, the
 * values they touch, and of the parameters only those that they read, so that everything made from
 * a graph (memory plan, buckets, shards, checkpoint) holds for a part as for a whole model. Pure.
 *
 * What the part before hands in is a value without a producer; one that carries a gradient hands
 * that back. Names, shapes and what tensor slots cut are those of the whole.
 */
#ifndef QD_MODELS_PART_GRAPH_H
#define QD_MODELS_PART_GRAPH_H

#include "models/graph.h"
#include "models/job.h"
#include "models/pipeline_stages.h"

/* Part number `part` of the cut of `whole`. Owner of *graph: the caller (qd_graph_destroy).
 * QD_ENOMEM. */
int qd_part_graph_create(const qd_graph *whole, const qd_pipeline_stages *cut, int part,
                         qd_graph **graph);

/* Which parameter of the whole a part's parameter is, by name; -1: none. */
int qd_part_graph_param(const qd_graph *whole, const qd_param *param);

/* Parts [*first, *end) of the model's `parts` that part number `at` of a schedule's table with
 * `of_table` parts (models/pipeline.h) has. */
void qd_part_graph_share(int parts, int of_table, int at, int *first, int *end);

/* The cut that a job's slots.pipeline asks for, by the FLOPs of the nodes of all tensor slots: the
 * same for every member of every grid, whose graphs have the same nodes and values. QD_ECONFIG when
 * the model has fewer places to cut, QD_ENOMEM. Owner of *cut: the caller. */
int qd_part_graph_cut(const qd_job *job, qd_pipeline_stages **cut);

#endif
