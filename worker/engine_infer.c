#include "worker/engine.h"
#include "worker/engine_internal.h"

int qd_engine_logits(const qd_engine *engine, int64_t first, int64_t count, float *logits) {
    const float *all = qd_engine_at(engine, engine->plan->value[engine->graph->logits]);
    int rc =
        engine->backend->read(engine->context, logits, all + first, (size_t)count * sizeof *logits);
    return rc ? rc : engine->backend->wait(engine->context);
}
