#include "models/family.h"

#include <inttypes.h>

#include "models/optimizer.h"
#include "runtime/error.h"

static const qd_family *const families[QD_FAMILY_KINDS] = {
    [QD_FAMILY_MLP] = &qd_family_mlp,       [QD_FAMILY_REGRESSION] = &qd_family_regression,
    [QD_FAMILY_CNN] = &qd_family_cnn,       [QD_FAMILY_RESNET] = &qd_family_resnet,
    [QD_FAMILY_GPT] = &qd_family_gpt,       [QD_FAMILY_EMBEDDING] = &qd_family_embedding,
    [QD_FAMILY_BERT] = &qd_family_bert,     [QD_FAMILY_LSTM] = &qd_family_lstm,
    [QD_FAMILY_LAYERS] = &qd_family_layers,
};

const qd_family *qd_family_of(const qd_job *job) {
    return families[job->model.family];
}

qd_sample_spec qd_family_sample_spec(const qd_job *job) {
    qd_sample_spec spec = qd_family_of(job)->sample(job);
    spec.has_ignored = spec.target_dtype == QD_I32 && job->model.ignored_index.given;
    spec.ignored = (int32_t)job->model.ignored_index.value;
    return spec;
}

int64_t qd_family_blocks(const qd_job *job) {
    const qd_family *family = qd_family_of(job);
    return family->blocks ? family->blocks(&job->model) : 0;
}

static int choose_recompute(const qd_job *job, qd_graph *graph) {
    if (job->train.recompute < 0 || job->train.recompute > graph->block_count)
        return qd_error_set(QD_ECONFIG, "train.recompute %" PRId64 " of %d block(s)",
                            job->train.recompute, graph->block_count);
    graph->recompute = (int)job->train.recompute;
    return 0;
}

static int check_shared(const qd_job *job, const qd_graph *graph) {
    bool cuts = graph->tensor_members == 1;
    for (int p = 0; p < graph->param_count; p++)
        cuts = cuts || graph->params[p].cut_dim >= 0;
    if (cuts)
        return 0;
    return qd_error_set(QD_ECONFIG,
                        "%d ranks can't share it: family %s has no layer that tensor parallelism "
                        "cuts; use layout.tp 1",
                        graph->tensor_members, qd_family_of(job)->name);
}

int qd_family_build(const qd_job *job, qd_graph **graph) {
    return qd_family_build_part(job, 1, 0, graph);
}

int qd_family_build_part(const qd_job *job, int members, int member, qd_graph **graph) {
    int64_t batch = job->train.batch, slots = job->slots_data;
    if (slots < 1 || batch < 1 || batch % slots != 0)
        return qd_error_set(QD_ECONFIG,
                            "slots.data %" PRId64 " does not divide train.batch %" PRId64, slots,
                            batch);
    int64_t samples = qd_job_graph_samples(job);
    if (samples < 1 || samples * slots * qd_job_micro_batches(job) != batch)
        return qd_error_set(QD_ECONFIG,
                            "train.micro_batches %" PRId64 " does not divide the %" PRId64
                            " sample(s) of a data slot",
                            job->train.micro_batches, batch / slots);
    qd_graph *g;
    int rc = qd_graph_create(samples, &g);
    if (rc)
        return rc;
    g->precision = job->train.precision;
    g->tensor_slots = job->slots_tensor > 0 ? (int)job->slots_tensor : 1;
    g->tensor_members = members;
    g->tensor_member = member;
    g->deals_rows = g->tensor_slots > 1 && qd_family_of(job)->deals_rows;
    g->shares_rows = g->deals_rows && members > 1 && job->layout_sequence_parallel;
    if (members > g->tensor_slots)
        rc = qd_error_set(QD_ECONFIG, "%d ranks for %d tensor slots; each needs one", members,
                          g->tensor_slots);
    if (!rc)
        rc = qd_family_of(job)->build(job, g);
    if (!rc)
        rc = check_shared(job, g);
    if (!rc)
        qd_optimizer_find_hidden(g);
    if (!rc)
        rc = choose_recompute(job, g);
    if (rc) {
        qd_graph_destroy(g);
        return qd_error_context(rc, "model %s", qd_family_of(job)->name);
    }
    *graph = g;
    return 0;
}
