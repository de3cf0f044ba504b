#include "worker/data/source.h"

static const qd_source_format *const formats[] = {
    [QD_DATA_IDX] = &qd_source_idx,       [QD_DATA_TEXT] = &qd_source_text,
    [QD_DATA_TOKENS] = &qd_source_tokens, [QD_DATA_NPY] = &qd_source_npy,
    [QD_DATA_CSV] = &qd_source_csv,       [QD_DATA_LINES] = &qd_source_lines,
};

const qd_source_format *qd_source_format_of(const qd_job *job) {
    return formats[job->data.format];
}

void qd_source_close(qd_source *source) {
    if (source->close)
        source->close(source->self);
    *source = (qd_source){0};
}
