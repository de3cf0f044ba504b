#include "worker/generator.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "models/family.h"
#include "runtime/error.h"
#include "runtime/random.h"
#include "worker/checkpoint.h"
#include "worker/engine.h"

/* A token and what speaks for it. */
typedef struct candidate {
    int32_t token;
    float logit;
} candidate;

struct qd_generator {
    qd_job job;        /* as trained */
    qd_engine *engine; /* of one sample */
    int64_t context, vocabulary;
    int32_t *tokens;       /* [context] the end of the sequence; zeros behind it */
    int32_t *targets;      /* [context] any class: nobody looks at the loss */
    int64_t length;        /* of what stands in tokens */
    int64_t drawn;         /* tokens drawn so far */
    float *logits;         /* [vocabulary] of the next token */
    candidate *candidates; /* [vocabulary] */
};

/* The same model for one sample of the full context, on one rank. */
static qd_job one_sample(const qd_job *job) {
    qd_job one = *job;
    one.model.length = one.model.context;
    one.train.batch = one.train.micro_batches = 1;
    one.slots_data = one.ranks_min = one.ranks_max = 1;
    one.layout_dp = 0;
    return one;
}

static int load_params(qd_generator *g, const qd_checkpoint_info *info) {
    int count = qd_engine_graph(g->engine)->param_count;
    qd_state_tensor *tensors = calloc((size_t)count, sizeof *tensors);
    if (!tensors)
        return qd_error_set(QD_ENOMEM, "no memory for %d tensors", count);
    for (int i = 0; i < count; i++)
        qd_engine_state(g->engine, i, &tensors[i]);
    int rc = qd_checkpoint_load(info, tensors, count, (qd_listener){0});
    free(tensors);
    return rc;
}

static int open_engine(qd_generator *g, const qd_checkpoint_info *info, int threads) {
    int rc = qd_job_parse(info->folder, info->job_text, strlen(info->job_text), &g->job);
    if (rc)
        return rc;
    qd_sample_spec spec = qd_family_sample_spec(&g->job);
    if (!spec.next_token)
        return qd_error_set(QD_ECONFIG,
                            "%s: model.family %s does not predict the next token; runs of family "
                            "gpt, or layers with next_token, can be continued",
                            info->folder, qd_family_of(&g->job)->name);
    qd_job one = one_sample(&g->job);
    g->context = one.model.context;
    g->vocabulary = one.model.vocabulary;
    g->tokens = calloc((size_t)g->context, sizeof *g->tokens);
    g->targets = calloc((size_t)g->context, sizeof *g->targets);
    g->logits = calloc((size_t)g->vocabulary, sizeof *g->logits);
    g->candidates = calloc((size_t)g->vocabulary, sizeof *g->candidates);
    if (!g->tokens || !g->targets || !g->logits || !g->candidates)
        return qd_error_set(QD_ENOMEM, "no memory for a context of %" PRId64 " tokens", g->context);
    rc = qd_engine_create(&one, 0, 1, qd_backend_of_this_machine(), threads, &g->engine);
    return rc ? rc : load_params(g, info);
}

int qd_generator_open(const char *run_folder, int threads, qd_generator **generator) {
    qd_checkpoint_info info = {0};
    bool found = false;
    int rc = qd_checkpoint_find(run_folder, -1, &info, &found);
    if (!rc && !found)
        rc = qd_error_set(QD_EDATA, "%s: there is no complete checkpoint", run_folder);
    if (rc)
        return rc;
    qd_generator *g = calloc(1, sizeof *g);
    rc = g ? open_engine(g, &info, threads) : qd_error_set(QD_ENOMEM, "no memory to generate");
    qd_checkpoint_info_fini(&info);
    if (rc) {
        qd_generator_close(g);
        return rc;
    }
    *generator = g;
    return 0;
}

void qd_generator_close(qd_generator *generator) {
    if (!generator)
        return;
    qd_engine_destroy(generator->engine);
    free(generator->tokens);
    free(generator->targets);
    free(generator->logits);
    free(generator->candidates);
    free(generator);
}

const qd_job *qd_generator_job(const qd_generator *generator) {
    return &generator->job;
}

int qd_generator_append(qd_generator *g, int32_t token) {
    if (token < 0 || token >= g->vocabulary)
        return qd_error_set(QD_EDATA,
                            "the model knows no token %" PRId32 "; its tokens are 0 .. %" PRId64,
                            token, g->vocabulary - 1);
    if (g->length == g->context) {
        memmove(g->tokens, g->tokens + 1, (size_t)(g->context - 1) * sizeof *g->tokens);
        g->length--;
    }
    g->tokens[g->length++] = token;
    return 0;
}

/* Likeliest first; of equals the lower token, so that every run sorts alike. */
static int by_logit(const void *left, const void *right) {
    const candidate *a = left, *b = right;
    if (a->logit != b->logit)
        return a->logit < b->logit ? 1 : -1;
    return (a->token > b->token) - (a->token < b->token);
}

static int32_t draw(qd_generator *g, const qd_sampling *s) {
    qd_random_key key = {s->seed, qd_random_site("generate")};
    int64_t count = s->top_k > 0 && s->top_k < g->vocabulary ? s->top_k : g->vocabulary;
    double sum = 0, best = (double)g->candidates[0].logit;
    if (s->temperature <= 0)
        return g->candidates[0].token;
    for (int64_t i = 0; i < count; i++)
        sum += exp(((double)g->candidates[i].logit - best) / s->temperature);
    double point = (double)qd_random_uniform(key, 0, (uint64_t)g->drawn) * sum;
    for (int64_t i = 0; i < count; i++) {
        point -= exp(((double)g->candidates[i].logit - best) / s->temperature);
        if (point < 0)
            return g->candidates[i].token;
    }
    return g->candidates[count - 1].token;
}

int qd_generator_next(qd_generator *g, const qd_sampling *sampling, int32_t *token) {
    double loss = 0;
    int64_t correct = 0;
    if (g->length == 0)
        return qd_error_set(QD_EINTERNAL, "there is no token to go on from");
    qd_batch batch = {.samples = g->tokens, .targets = g->targets};
    int rc = qd_engine_evaluate(g->engine, &batch, 1, &loss, &correct);
    if (!rc)
        rc = qd_engine_logits(g->engine, (g->length - 1) * g->vocabulary, g->vocabulary, g->logits);
    if (rc)
        return rc;
    for (int64_t i = 0; i < g->vocabulary; i++)
        g->candidates[i] = (candidate){(int32_t)i, g->logits[i]};
    qsort(g->candidates, (size_t)g->vocabulary, sizeof *g->candidates, by_logit);
    *token = draw(g, sampling);
    g->drawn++;
    /* What stood behind the end of the last window is overwritten or zero; causal attention does
     * not look there. */
    return qd_generator_append(g, *token);
}
