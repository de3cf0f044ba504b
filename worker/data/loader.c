#include "worker/data/loader.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

#include "runtime/align.h"
#include "runtime/error.h"
#include "runtime/random.h"
#include "runtime/thread.h"

/* One batch in the consumer's hands, one being filled, two in between. */
enum { RING = 4 };

struct qd_loader {
    const qd_job *job;
    const qd_dataset *dataset;
    int first_slot, end_slot;
    int64_t slot_samples;
    qd_sample_spec spec;
    char *samples[RING];
    int32_t *targets[RING];

    /* The thread's own. */
    int64_t step;
    int slot;

    pthread_t thread;
    bool has_thread, has_mutex, has_filled, has_emptied;
    pthread_mutex_t mutex; /* over what follows */
    pthread_cond_t filled, emptied;
    uint64_t produced; /* batches the thread has filled; number n lies in entry n % RING */
    uint64_t released; /* batches the consumer is done with; produced - released <= RING */
    bool holding;      /* the consumer has batch number `released` */
    bool stop;
};

int64_t qd_loader_sample_at(const qd_job *job, int64_t train_samples, int64_t position) {
    qd_random_key key = {.seed = job->seed, .site = QD_SITE_SHUFFLE};
    uint32_t epoch = (uint32_t)(position / train_samples);
    return (int64_t)qd_random_permute(key, epoch, (uint64_t)train_samples,
                                      (uint64_t)(position % train_samples));
}

/* ---- the thread ---- */

static void fill_batch(const qd_loader *l, int entry) {
    int64_t train_samples = qd_dataset_size(l->dataset, QD_SPLIT_TRAIN);
    int64_t first = l->step * l->job->train.batch + l->slot * l->slot_samples;
    int64_t sample_bytes = l->spec.inputs * (int64_t)qd_dtype_bytes(l->spec.input_dtype);
    for (int64_t i = 0; i < l->slot_samples; i++)
        qd_dataset_get(
            l->dataset, QD_SPLIT_TRAIN, qd_loader_sample_at(l->job, train_samples, first + i),
            l->samples[entry] + i * sample_bytes, l->targets[entry] + i * l->spec.targets);
}

static void advance(qd_loader *l) {
    if (++l->slot == l->end_slot) {
        l->slot = l->first_slot;
        l->step++;
    }
}

/* Waits for a free entry: as long as the consumer computes or saves, until destroy says stop. */
static bool wait_for_room(qd_loader *l) {
    pthread_mutex_lock(&l->mutex);
    while (!l->stop && l->produced - l->released == RING)
        pthread_cond_wait(&l->emptied, &l->mutex);
    bool go_on = !l->stop;
    pthread_mutex_unlock(&l->mutex);
    return go_on;
}

static void hand_over(qd_loader *l) {
    pthread_mutex_lock(&l->mutex);
    l->produced++;
    pthread_cond_signal(&l->filled);
    pthread_mutex_unlock(&l->mutex);
}

static void *prefetch(void *argument) {
    qd_loader *l = argument;
    for (uint64_t n = 0; wait_for_room(l); n++) {
        fill_batch(l, (int)(n % RING));
        advance(l);
        hand_over(l);
    }
    return NULL;
}

/* ---- the consumer ---- */

/* Of a batch. */
static size_t samples_bytes(int64_t slot_samples, const qd_sample_spec *spec) {
    size_t bytes = (size_t)(slot_samples * spec->inputs) * qd_dtype_bytes(spec->input_dtype);
    return qd_align_bytes(bytes);
}

static size_t targets_bytes(int64_t slot_samples, const qd_sample_spec *spec) {
    return (size_t)(slot_samples * spec->targets) * sizeof(int32_t);
}

size_t qd_loader_bytes(const qd_job *job, const qd_sample_spec *spec) {
    int64_t slot_samples = job->train.batch / job->slots_data;
    return RING * (samples_bytes(slot_samples, spec) + targets_bytes(slot_samples, spec));
}

static int allocate_ring(qd_loader *l) {
    size_t bytes = samples_bytes(l->slot_samples, &l->spec);
    for (int i = 0; i < RING; i++) {
        l->samples[i] = aligned_alloc(QD_ALIGN_BYTES, bytes);
        l->targets[i] = calloc(1, targets_bytes(l->slot_samples, &l->spec));
        if (!l->samples[i] || !l->targets[i])
            return qd_error_set(QD_ENOMEM, "no memory for %d batches of %zu bytes", RING, bytes);
    }
    return 0;
}

static int start_thread(qd_loader *l) {
    int code = pthread_mutex_init(&l->mutex, NULL);
    if (code)
        return qd_error_set_errno(QD_EINTERNAL, code, "cannot make a mutex");
    l->has_mutex = true;
    int rc = qd_cond_init(&l->filled);
    l->has_filled = rc == 0;
    if (!rc)
        rc = qd_cond_init(&l->emptied);
    l->has_emptied = rc == 0;
    if (!rc)
        rc = qd_thread_start(&l->thread, prefetch, l);
    l->has_thread = rc == 0;
    return rc;
}

int qd_loader_create(const qd_job *job, const qd_dataset *dataset, int first_slot, int end_slot,
                     int64_t first_step, qd_loader **out) {
    qd_loader *l = calloc(1, sizeof *l);
    if (!l)
        return qd_error_set(QD_ENOMEM, "no memory for the loader");
    l->job = job;
    l->dataset = dataset;
    l->spec = *qd_dataset_sample_spec(dataset);
    l->first_slot = l->slot = first_slot;
    l->end_slot = end_slot;
    l->step = first_step;
    l->slot_samples = job->train.batch / job->slots_data;
    int rc = allocate_ring(l);
    if (!rc)
        rc = start_thread(l);
    if (rc) {
        qd_loader_destroy(l);
        return rc;
    }
    *out = l;
    return 0;
}

static void stop_thread(qd_loader *l) {
    pthread_mutex_lock(&l->mutex);
    l->stop = true;
    pthread_cond_signal(&l->emptied);
    pthread_mutex_unlock(&l->mutex);
    pthread_join(l->thread, NULL); /* it is at most one batch away from its end */
}

void qd_loader_destroy(qd_loader *l) {
    if (!l)
        return;
    if (l->has_thread)
        stop_thread(l);
    if (l->has_emptied)
        pthread_cond_destroy(&l->emptied);
    if (l->has_filled)
        pthread_cond_destroy(&l->filled);
    if (l->has_mutex)
        pthread_mutex_destroy(&l->mutex);
    for (int i = 0; i < RING; i++) {
        free(l->samples[i]);
        free(l->targets[i]);
    }
    free(l);
}

int qd_loader_next(qd_loader *l, double deadline_s, qd_batch *batch) {
    qd_deadline deadline = qd_deadline_in(deadline_s);
    bool waiting = true;
    pthread_mutex_lock(&l->mutex);
    if (l->holding) {
        l->holding = false;
        l->released++;
        pthread_cond_signal(&l->emptied);
    }
    while (l->produced == l->released && waiting)
        waiting = qd_cond_wait_until(&l->filled, &l->mutex, deadline);
    l->holding = l->produced > l->released;
    int entry = (int)(l->released % RING);
    bool holding = l->holding;
    pthread_mutex_unlock(&l->mutex);
    if (!holding)
        return qd_error_set(QD_ETIMEDOUT, "no batch from the data loader within %g s", deadline_s);
    *batch = (qd_batch){.samples = l->samples[entry], .targets = l->targets[entry]};
    return 0;
}
