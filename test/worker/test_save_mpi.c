/* The save at a run's end, by a gang of which one member's disk is slow or refuses. */
#include <limits.h>
#include <stdatomic.h>

#include "mpi_check.h"
#include "runtime/align.h"
#include "runtime/file.h"
#include "worker/trainer_internal.h"

enum { MEMBERS = 2, ELEMENTS = 64 };

/* What a member waits for a peer, and what the slow disk takes. */
static const double peer_deadline_s = 1.5, slow_s = 3;

/* ---- the disk (linked with --wrap=fsync) ---- */

static _Atomic int slow; /* calls that take long */

int __real_fsync(int fd);
int __wrap_fsync(int fd);

int __wrap_fsync(int fd) {
    if (atomic_exchange(&slow, 0))
        usleep((useconds_t)(slow_s * 1e6));
    return __real_fsync(fd);
}

/* ---- a member ---- */

typedef struct member {
    char folder[PATH_MAX];
    int ranks[MEMBERS], one_each[MEMBERS + 1], saved_calls;
    qd_job job;
    qd_assignment assignment;
    qd_state_tensor tensor;
    qd_trainer trainer;
} member;

static int poll_nothing(void *context) {
    (void)context;
    return 0;
}

static void note_saved(void *context, int64_t step) {
    member *m = context;
    (void)step;
    m->saved_calls++;
}

/* One folder for all; the group, the writer, and what is saved. */
static void open_member(mpi_test *t, member *m, qd_trainer_hooks *hooks) {
    static const char text[] = "name: small\n"
                               "model: {family: mlp, inputs: 3, classes: 2, hidden: [4]}\n"
                               "data: {format: csv, folder: ., train: a.csv}\n"
                               "train: {batch: 8, steps: 7}\n"
                               "optimizer: {kind: sgd, learning_rate: 0.1}\n";
    *m = (member){.folder = "/tmp/quadrille-XXXXXX"};
    *hooks = (qd_trainer_hooks){.context = m, .poll = poll_nothing, .saved = note_saved};
    if (t->world->rank == 0)
        CHECK(t, mkdtemp(m->folder) != NULL);
    MPI_Bcast(m->folder, sizeof m->folder, MPI_BYTE, 0, MPI_COMM_WORLD);
    CHECK(t, qd_job_parse("job.yaml", text, strlen(text), &m->job) == 0);
    for (int i = 0; i < MEMBERS; i++)
        m->one_each[i + 1] = i + 1;
    qd_group_config config = members_from(t, m->ranks, 0, MEMBERS);
    config.deadline_s = peer_deadline_s;
    m->assignment = (qd_assignment){.world = t->world,
                                    .rank_count = MEMBERS,
                                    .run_folder = m->folder,
                                    .deadline_s = peer_deadline_s};
    m->trainer = (qd_trainer){.a = &m->assignment,
                              .job = &m->job,
                              .hooks = hooks,
                              .index = t->world->rank,
                              .one_each = m->one_each,
                              .step = 7,
                              .saved_step = -1};
    m->trainer.agree = aligned_alloc(QD_ALIGN_BYTES, qd_align_bytes(QD_AGREE_MAX * sizeof(float)));
    qd_span_start(&m->trainer.spans, QD_SPAN_COMPUTE);
    CHECK(t, qd_group_create(&config, &m->trainer.group) == 0);
    CHECK(t,
          qd_checkpoint_writer_create(m->folder, t->world->rank, MEMBERS, &m->trainer.writer) == 0);
    qd_shape shape = {.dims = 1, .dim = {ELEMENTS}};
    m->tensor = (qd_state_tensor){.name = "model/w", .slice = qd_slice_whole(&shape)};
    m->tensor.data = calloc(ELEMENTS, sizeof *m->tensor.data);
}

static void close_member(mpi_test *t, member *m) {
    qd_checkpoint_writer_destroy(m->trainer.writer);
    qd_group_destroy(m->trainer.group);
    free(m->trainer.agree);
    free(m->tensor.data);
    all_meet();
    if (t->world->rank == 0)
        qd_file_remove_tree(m->folder);
}

static bool is_there(const member *m) {
    qd_checkpoint_info info;
    bool found = false;
    if (qd_checkpoint_find(m->folder, -1, &info, &found) || !found)
        return false;
    bool right = info.step == 7;
    qd_checkpoint_info_fini(&info);
    return right;
}

/* ---- what is promised ---- */

static void a_disk_may_take_longer_than_members_wait_for_a_peer(mpi_test *t) {
    member m;
    qd_trainer_hooks hooks;
    open_member(t, &m, &hooks);
    atomic_store(&slow, t->world->rank == 1);
    int64_t begun_ns = qd_clock_now_ns();
    CHECK(t, qd_checkpoint_begin(m.trainer.writer, &m.tensor, 1, 7) == 0);
    CHECK(t, qd_trainer_checkpoint_now(&m.trainer) == 0);
    CHECK(t, seconds_since(begun_ns) > peer_deadline_s);
    CHECK(t, m.trainer.saved_step == 7 && is_there(&m));
    CHECK(t, m.saved_calls == (t->world->rank == 0));
    close_member(t, &m);
}

static void a_part_that_cannot_be_written_fails_on_all(mpi_test *t) {
    member m;
    qd_trainer_hooks hooks;
    char blocked[PATH_MAX];
    open_member(t, &m, &hooks);
    /* A folder where the second member's file is to be. */
    snprintf(blocked, sizeof blocked,
             "%.3000s/checkpoints/step-00000007.tmp/writer-001.safetensors", m.folder);
    if (t->world->rank == 0)
        CHECK(t, qd_file_make_folders(blocked) == 0);
    all_meet();
    CHECK(t, qd_checkpoint_begin(m.trainer.writer, &m.tensor, 1, 7) == 0);
    CHECK(t, qd_trainer_checkpoint_now(&m.trainer) == QD_EIO);
    CHECK(t, strstr(qd_error_message(), t->world->rank == 1 ? blocked : "another member"));
    CHECK(t, qd_checkpoint_pending(m.trainer.writer) == -1 && !is_there(&m));
    close_member(t, &m);
}

int main(int argc, char **argv) {
#define ROW(test)                                                                                  \
    { #test, test }
    static const mpi_test_row rows[] = {
        ROW(a_disk_may_take_longer_than_members_wait_for_a_peer),
        ROW(a_part_that_cannot_be_written_fails_on_all),
    };
    return mpi_test_main(argc, argv, rows, sizeof rows / sizeof rows[0]);
}
