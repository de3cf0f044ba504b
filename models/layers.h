/*
 * layers.h: operators together with the parameters they bring along, as the families put them
 * together. Parameters are named NAME.weight, NAME.bias. All return the output's value, or a
 * negative QD_E code; a negative input is handed on, so that calls can be nested.
 */
#ifndef QD_MODELS_LAYERS_H
#define QD_MODELS_LAYERS_H

#include "models/graph.h"
#include "models/op.h"

/* x[.., in] -> [.., out] */
int qd_layer_linear(qd_graph *graph, const char *name, int x, int64_t out, qd_init weight,
                    qd_init bias);

/* Over the last dimension; gain 1, bias 0. */
int qd_layer_norm(qd_graph *graph, const char *name, int x, float epsilon);

/* An operator of one input and no parameters. */
int qd_layer_apply(qd_graph *graph, const qd_op *op, const char *name, int x);

int qd_layer_add(qd_graph *graph, const char *name, int a, int b);

#endif
