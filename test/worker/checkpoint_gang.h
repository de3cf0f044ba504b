/*
 * checkpoint_gang.h: saving and loading as the members of a gang would, for the tests of
 * checkpoints. Every element of every tensor tells its step, so that it shows which was loaded.
 */
#ifndef QD_TEST_WORKER_CHECKPOINT_GANG_H
#define QD_TEST_WORKER_CHECKPOINT_GANG_H

#include <check.h>
#include <dirent.h>
#include <limits.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "test/worker/temp_folder.h"
#include "worker/checkpoint.h"

enum { MAX_TENSORS = 8, MAX_WRITERS = 8 };

static const double patience_s = 60;
static const qd_checkpoint_origin origin = {.processor = "a processor", .threads = 3};

/* ---- the state that is saved ---- */

typedef struct state {
    qd_state_tensor tensors[MAX_TENSORS];
    int count;
} state;

static inline void add_tensor(state *s, const char *name, int dims, int64_t d0, int64_t d1) {
    qd_state_tensor *t = &s->tensors[s->count++];
    qd_shape shape = {.dims = dims, .dim = {d0, d1}};
    *t = (qd_state_tensor){.slice = qd_slice_whole(&shape)};
    snprintf(t->name, sizeof t->name, "%s", name);
    t->data = calloc((size_t)(d0 * d1), sizeof *t->data);
    ck_assert_ptr_nonnull(t->data);
}

static inline int64_t elements_of(const qd_state_tensor *t) {
    return qd_slice_elements(&t->slice);
}

/* What element i of tensor t is after `step` steps. */
static inline float value(int64_t step, int t, int64_t i) {
    return (float)(step * 1000 + t * 100) + (float)i * 0.5f;
}

static inline void fill(state *s, int64_t step) {
    for (int t = 0; t < s->count; t++)
        for (int64_t i = 0; i < elements_of(&s->tensors[t]); i++)
            s->tensors[t].data[i] = value(step, t, i);
}

/* One assertion for all: Check writes a file at each. */
static inline void assert_is_of_step(const state *s, int64_t step) {
    int64_t wrong = 0;
    for (int t = 0; t < s->count; t++)
        for (int64_t i = 0; i < elements_of(&s->tensors[t]); i++)
            wrong += s->tensors[t].data[i] != value(step, t, i);
    ck_assert_msg(wrong == 0, "%lld elements are not those of step %lld", (long long)wrong,
                  (long long)step);
}

/* Like a small perceptron: one tensor much larger than the others. */
static inline state make_state(void) {
    state s = {.count = 0};
    add_tensor(&s, "model/layer0.weight", 2, 37, 11);
    add_tensor(&s, "model/layer0.bias", 1, 37, 1);
    add_tensor(&s, "model/layer1.weight", 2, 5, 37);
    add_tensor(&s, "optimizer/m/layer0.weight", 2, 37, 11);
    return s;
}

static inline state make_tiny_state(void) {
    state s = {.count = 0};
    add_tensor(&s, "model/w", 2, 3, 2);
    add_tensor(&s, "model/b", 1, 3, 1);
    return s;
}

static inline void free_state(state *s) {
    for (int t = 0; t < s->count; t++)
        free(s->tensors[t].data);
    s->count = 0;
}

/* ---- saving and loading as a gang would ---- */

/* A fresh run folder; freed by the caller. */
static inline char *make_run(const char *name) {
    char *run = temp_path(name);
    ck_assert_int_eq(qd_file_make_folders(run), 0);
    return run;
}

static inline qd_job make_job(int64_t keep) {
    qd_job job;
    ck_assert_msg(qd_job_load(QD_SOURCE_DIR "/conf/jobs/fashion-mlp.yaml", &job) == 0, "%s",
                  qd_error_message());
    job.checkpoint_keep = keep;
    return job;
}

static inline void create_writers(const char *run, int count, qd_checkpoint_writer **writers) {
    for (int w = 0; w < count; w++)
        ck_assert_msg(qd_checkpoint_writer_create(run, w, count, &writers[w]) == 0, "%s",
                      qd_error_message());
}

static inline void destroy_writers(int count, qd_checkpoint_writer **writers) {
    for (int w = 0; w < count; w++)
        qd_checkpoint_writer_destroy(writers[w]);
}

static inline void begin_all(const state *s, int64_t step, int count,
                             qd_checkpoint_writer **writers) {
    for (int w = 0; w < count; w++)
        ck_assert_msg(qd_checkpoint_begin(writers[w], s->tensors, s->count, step) == 0, "%s",
                      qd_error_message());
}

/* Begin, wait, commit by the first, forget by the others. */
static inline void save_with(state *s, int64_t step, int64_t keep, int count,
                             qd_checkpoint_writer **writers) {
    qd_job job = make_job(keep);
    fill(s, step);
    begin_all(s, step, count, writers);
    for (int w = 0; w < count; w++)
        ck_assert_msg(qd_checkpoint_wait(writers[w], patience_s) == 0, "%s", qd_error_message());
    for (int w = 1; w < count; w++)
        qd_checkpoint_forget(writers[w]);
    ck_assert_msg(qd_checkpoint_commit(writers[0], &job, &origin) == 0, "%s", qd_error_message());
}

static inline void save(const char *run, state *s, int64_t step, int64_t keep, int count) {
    qd_checkpoint_writer *writers[MAX_WRITERS];
    create_writers(run, count, writers);
    save_with(s, step, keep, count, writers);
    destroy_writers(count, writers);
}

static inline qd_checkpoint_info find(const char *run, int64_t at_most) {
    qd_checkpoint_info info = {0};
    bool found = false;
    ck_assert_msg(qd_checkpoint_find(run, at_most, &info, &found) == 0, "%s", qd_error_message());
    if (!found)
        info.step = -1;
    return info;
}

static inline int64_t newest(const char *run) {
    qd_checkpoint_info info = find(run, -1);
    qd_checkpoint_info_fini(&info);
    return info.step;
}

/* The step of the newest checkpoint that loads, its state in s; -1 when none does. */
static inline int64_t resume(const char *run, state *s) {
    int64_t at_most = INT64_MAX;
    for (;;) {
        qd_checkpoint_info info = find(run, at_most);
        if (info.step < 0)
            return -1;
        int rc = qd_checkpoint_load(&info, s->tensors, s->count, (qd_listener){0});
        qd_checkpoint_info_fini(&info);
        if (rc == 0)
            return info.step;
        at_most = info.step - 1;
    }
}

static inline void remove_run(char *run) {
    qd_file_remove_tree(run);
    free(run);
}

/* Names in RUN/checkpoints, sorted, each with a space behind it. */
static inline const char *list(const char *run, char text[1024]) {
    char folder[PATH_MAX];
    struct dirent **names;
    qd_path_join(folder, sizeof folder, run, "checkpoints");
    int count = scandir(folder, &names, NULL, alphasort);
    text[0] = '\0';
    for (int i = 0; i < count; i++) {
        if (names[i]->d_name[0] != '.')
            strcat(strcat(text, names[i]->d_name), " ");
        free(names[i]);
    }
    free(names);
    return text;
}

#endif
