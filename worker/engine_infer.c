#include "worker/engine.h"
#include "worker/engine_internal.h"

const float *qd_engine_logits(const qd_engine *engine) {
    return qd_engine_at(engine, engine->plan->value[engine->graph->logits]);
}
