/*
 * optimizer.h: what is to be known of an update rule before it runs: what it keeps, which
 * parameters it treats how, what it needs to compute in. How it moves them is worker/optimizer.h.
 */
#ifndef QD_MODELS_OPTIMIZER_H
#define QD_MODELS_OPTIMIZER_H

#include "models/graph.h"
#include "models/job.h"

enum { QD_OPTIMIZER_MAX_VECTORS = 2, QD_OPTIMIZER_MATRIX_STEPS = 5 /* of Newton-Schulz */ };

typedef struct qd_optimizer_facts {
    const char *name;
    int state_vectors;              /* vectors of the parameters' length it keeps */
    const char *const *state_names; /* their names in a checkpoint */
    bool
        adapts; /* moves of a tensor are scaled by its length and theirs: known of the whole only */
} qd_optimizer_facts;

const qd_optimizer_facts *qd_optimizer_facts_of(const qd_optimizer_spec *spec);

/* Whether weight_decay and l1 are meant for this parameter. */
bool qd_optimizer_decays(const qd_optimizer_spec *spec, const qd_param *param);

/* Marks the parameters of a whole model that are weights of hidden linear layers (qd_param.hidden):
 * a part of it does not know which layer is the model's last. */
void qd_optimizer_find_hidden(qd_graph *whole);

/*
 * Whether Muon makes this parameter's moves orthogonal: the weights of the hidden linear layers.
 * Not those of the first and of the last one, nor embeddings, nor kernels of convolutions: AdamW
 * moves them (K. Jordan et al., "Muon: An optimizer for hidden layers in neural networks", 2024,
 * https://kellerjordan.github.io/posts/muon/). false for other rules.
 *
 * It is always the matrix of the whole layer that is made orthogonal, never a tensor slot's part of
 * it: members of a tensor group that have a part each put it together (worker/engine_matrices.c),
 * so that the result depends neither on slots.tensor nor on who holds which slot.
 */
bool qd_optimizer_orthogonalizes(const qd_optimizer_spec *spec, const qd_graph *graph, int param);

/* Floats that the update of one parameter uses while it runs, at most. */
int64_t qd_optimizer_scratch(const qd_optimizer_spec *spec, const qd_graph *graph);

/* The same for one matrix [rows, columns]: two of its size and two squares of its shorter side,
 * each on 64 bytes. */
int64_t qd_optimizer_matrix_scratch(int64_t rows, int64_t columns);

/* FLOPs that making it orthogonal takes: of the shorter side s and the longer l, in each step two
 * products of s s l and one of s s s. */
double qd_optimizer_matrix_flops(int64_t rows, int64_t columns);

#endif
