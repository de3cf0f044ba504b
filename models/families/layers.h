/* layers.h: the graph of a list of layers, for those who must know which layer did not fit. */
#ifndef QD_MODELS_FAMILIES_LAYERS_H
#define QD_MODELS_FAMILIES_LAYERS_H

#include "models/graph.h"
#include "models/job.h"

/* As qd_family.build of the family layers; on error *layer is the one that was at fault. */
int qd_layer_list_build(const qd_job *job, qd_graph *graph, int *layer);

#endif
