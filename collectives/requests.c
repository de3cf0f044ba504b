#include "collectives/requests.h"

#include <limits.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "runtime/error.h"

struct qd_requests {
    const qd_world *world;
    int slots;
    MPI_Request *request; /* [slots] MPI_REQUEST_NULL: free */
    unsigned char *buffer;
    size_t bytes;
};

int qd_requests_create(const qd_world *world, int slots, size_t bytes, qd_requests **out) {
    qd_requests *r = calloc(1, sizeof *r);
    if (!r)
        return qd_error_set(QD_ENOMEM, "no memory for %d requests", slots);
    *r = (qd_requests){.world = world, .slots = slots, .bytes = bytes};
    r->request = malloc((size_t)slots * sizeof(MPI_Request));
    for (int s = 0; r->request && s < slots; s++)
        r->request[s] = MPI_REQUEST_NULL;
    /* A mapping and not malloc: an abandoned one stays without being a leak to those who look for
     * leaks, and pages are its own. */
    void *map = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (map != MAP_FAILED)
        r->buffer = map;
    if (!r->request || !r->buffer) {
        qd_requests_destroy(r);
        return qd_error_set(QD_ENOMEM, "no memory for a buffer of %zu bytes", bytes);
    }
    *out = r;
    return 0;
}

/* Whether MPI is done with the request. Cancelling is for receives that matched nothing; Open MPI
 * and others leave sends as they are. */
static int abandon(MPI_Request *request) {
    int done = 0;
    if (MPI_Test(request, &done, MPI_STATUS_IGNORE) != MPI_SUCCESS || done)
        return 1;
    MPI_Cancel(request);
    if (MPI_Test(request, &done, MPI_STATUS_IGNORE) != MPI_SUCCESS || done)
        return 1;
    MPI_Request_free(request);
    return 0;
}

void qd_requests_destroy(qd_requests *r) {
    if (!r)
        return;
    int all_done = 1;
    qd_world_mpi_enter(r->world);
    for (int s = 0; r->request && s < r->slots; s++)
        if (r->request[s] != MPI_REQUEST_NULL && !abandon(&r->request[s]))
            all_done = 0;
    qd_world_mpi_leave(r->world);
    if (r->buffer && all_done)
        munmap(r->buffer, r->bytes);
    free(r->request);
    free(r);
}

unsigned char *qd_requests_buffer(const qd_requests *r) {
    return r->buffer;
}

static int lost(int code, const char *what) {
    char text[MPI_MAX_ERROR_STRING];
    int length = 0;
    MPI_Error_string(code, text, &length);
    return qd_error_set(QD_ELOST, "%s: %.*s", what, length, text);
}

int qd_requests_send(qd_requests *r, int slot, const void *at, size_t bytes, int rank, int tag) {
    if (bytes > INT_MAX)
        return qd_error_set(QD_EINTERNAL, "a message of %zu bytes; the most is %d", bytes, INT_MAX);
    qd_world_mpi_enter(r->world);
    int code = MPI_Isend(at, (int)bytes, MPI_BYTE, rank, tag, r->world->data, &r->request[slot]);
    qd_world_mpi_leave(r->world);
    return code == MPI_SUCCESS ? 0 : lost(code, "MPI_Isend");
}

int qd_requests_receive(qd_requests *r, int slot, void *at, size_t bytes, int rank, int tag) {
    if (bytes > INT_MAX)
        return qd_error_set(QD_EINTERNAL, "a message of %zu bytes; the most is %d", bytes, INT_MAX);
    qd_world_mpi_enter(r->world);
    int code = MPI_Irecv(at, (int)bytes, MPI_BYTE, rank, tag, r->world->data, &r->request[slot]);
    qd_world_mpi_leave(r->world);
    return code == MPI_SUCCESS ? 0 : lost(code, "MPI_Irecv");
}

int qd_requests_allreduce(qd_requests *r, int slot, float *at, int count, MPI_Comm comm) {
    qd_world_mpi_enter(r->world);
    int code = MPI_Iallreduce(MPI_IN_PLACE, at, count, MPI_FLOAT, MPI_SUM, comm, &r->request[slot]);
    qd_world_mpi_leave(r->world);
    return code == MPI_SUCCESS ? 0 : lost(code, "MPI_Iallreduce");
}

int qd_requests_take(qd_requests *r, int first, int count, int *slot, size_t *bytes) {
    int index = MPI_UNDEFINED, done = 0, length = 0, error_class = MPI_SUCCESS;
    MPI_Status status = {.MPI_ERROR = MPI_SUCCESS};
    qd_world_mpi_enter(r->world);
    int code = MPI_Testany(count, r->request + first, &index, &done, &status);
    qd_world_mpi_leave(r->world);
    *slot = index == MPI_UNDEFINED ? -1 : first + index;
    if (code != MPI_SUCCESS) {
        MPI_Error_class(code, &error_class);
        if (error_class == MPI_ERR_TRUNCATE)
            return qd_error_set(QD_EPROTO, "sent more than this rank expects");
        return lost(code, "MPI_Testany");
    }
    if (!done || index == MPI_UNDEFINED)
        return 0;
    MPI_Get_count(&status, MPI_BYTE, &length);
    *bytes = length > 0 ? (size_t)length : 0;
    return 1;
}

bool qd_requests_busy(const qd_requests *r, int first, int count) {
    for (int s = first; s < first + count; s++)
        if (r->request[s] != MPI_REQUEST_NULL)
            return true;
    return false;
}
