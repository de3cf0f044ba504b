/* lengths.h: the second input of operators that leave a sample's padding out. Only for models/ops/.
 */
#ifndef QD_MODELS_OPS_LENGTHS_H
#define QD_MODELS_OPS_LENGTHS_H

#include "models/op.h"

/* QD_ECONFIG unless input 1 is one integer for each sample. */
int qd_lengths_check(const qd_graph *graph, const qd_node *node);

#endif
