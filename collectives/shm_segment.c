#include "collectives/shm_segment.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/error.h"

/* The first page is ours, for the nonce. */
enum { HEAD_BYTES = 4096 };
#define SEGMENT_NAME "quadrille-group"

struct qd_shm_segment {
    int fd; /* -1 once closed */
    unsigned char *map;
    size_t bytes; /* without the head */
    uint64_t nonce;
};

static qd_shm_segment *new_segment(size_t bytes) {
    qd_shm_segment *s = calloc(1, sizeof *s);
    if (!s)
        qd_error_set(QD_ENOMEM, "no memory for a shared segment");
    else
        *s = (qd_shm_segment){.fd = -1, .bytes = bytes};
    return s;
}

static int map_segment(qd_shm_segment *s) {
    void *map = mmap(NULL, HEAD_BYTES + s->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, s->fd, 0);
    if (map == MAP_FAILED)
        return qd_error_set_errno(QD_EIO, errno, "mapping %zu shared bytes", s->bytes);
    s->map = map;
    return 0;
}

static int make_file(qd_shm_segment *s) {
    s->fd = memfd_create(SEGMENT_NAME, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (s->fd < 0)
        return qd_error_set_errno(QD_EIO, errno, "memfd_create");
    if (ftruncate(s->fd, (off_t)(HEAD_BYTES + s->bytes)) != 0 ||
        fcntl(s->fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0)
        return qd_error_set_errno(QD_EIO, errno, "sizing a memfd to %zu bytes", s->bytes);
    return 0;
}

int qd_shm_segment_make(size_t bytes, qd_shm_segment **out) {
    qd_shm_segment *s = new_segment(bytes);
    if (!s)
        return QD_ENOMEM;
    int rc = make_file(s);
    if (!rc)
        rc = map_segment(s);
    /* Not for secrecy, only to be different: the fallback is good enough. */
    if (!rc && getrandom(&s->nonce, sizeof s->nonce, GRND_NONBLOCK) != (ssize_t)sizeof s->nonce)
        s->nonce = (uint64_t)getpid() << 32 ^ (uint64_t)(uintptr_t)s->map;
    if (!rc && posix_fallocate(s->fd, 0, HEAD_BYTES) != 0)
        rc = qd_error_set(QD_ENOMEM, "no shared memory for a group");
    if (rc) {
        qd_shm_segment_destroy(s);
        return rc;
    }
    memcpy(s->map, &s->nonce, sizeof s->nonce);
    *out = s;
    return 0;
}

/* What the path leads to is looked at before it is opened, because opening can have effects. */
static int open_file(qd_shm_segment *s, const qd_shm_address *address) {
    char path[64], target[128];
    struct stat status;
    snprintf(path, sizeof path, "/proc/%lld/fd/%d", (long long)address->pid, address->fd);
    ssize_t length = readlink(path, target, sizeof target - 1);
    if (length < 0)
        return qd_error_set_errno(QD_EIO, errno, "%s", path);
    target[length] = '\0';
    if (!strstr(target, "memfd:" SEGMENT_NAME))
        return qd_error_set(QD_EIO, "%s is \"%s\", no shared segment", path, target);
    s->fd = open(path, O_RDWR | O_CLOEXEC);
    if (s->fd < 0 || fstat(s->fd, &status) != 0)
        return qd_error_set_errno(QD_EIO, errno, "%s", path);
    if ((uint64_t)status.st_size != HEAD_BYTES + address->bytes)
        return qd_error_set(QD_EIO, "%s has %lld bytes instead of %llu", path,
                            (long long)status.st_size,
                            (unsigned long long)(HEAD_BYTES + address->bytes));
    return 0;
}

int qd_shm_segment_map(const qd_shm_address *address, qd_shm_segment **out) {
    if (address->fd < 0)
        return qd_error_set(QD_EIO, "the first member could not make shared memory");
    qd_shm_segment *s = new_segment((size_t)address->bytes);
    if (!s)
        return QD_ENOMEM;
    int rc = open_file(s, address);
    if (!rc)
        rc = map_segment(s);
    if (!rc && memcmp(s->map, &address->nonce, sizeof address->nonce) != 0)
        rc = qd_error_set(QD_EIO, "/proc/%lld/fd/%d is another group's segment",
                          (long long)address->pid, address->fd);
    if (rc) {
        qd_shm_segment_destroy(s);
        return rc;
    }
    *out = s;
    return 0;
}

int qd_shm_segment_reserve(qd_shm_segment *s, size_t offset, size_t bytes) {
    int code = posix_fallocate(s->fd, (off_t)(HEAD_BYTES + offset), (off_t)bytes);
    if (code)
        return qd_error_set_errno(QD_ENOMEM, code, "reserving %zu shared bytes", bytes);
    return 0;
}

void qd_shm_segment_close(qd_shm_segment *s) {
    if (s->fd >= 0)
        close(s->fd);
    s->fd = -1;
}

void qd_shm_segment_destroy(qd_shm_segment *s) {
    if (!s)
        return;
    if (s->map)
        munmap(s->map, HEAD_BYTES + s->bytes);
    qd_shm_segment_close(s);
    free(s);
}

qd_shm_address qd_shm_segment_address(const qd_shm_segment *s) {
    return (qd_shm_address){.nonce = s->nonce, .bytes = s->bytes, .pid = getpid(), .fd = s->fd};
}

void *qd_shm_segment_memory(const qd_shm_segment *s) {
    return s->map + HEAD_BYTES;
}
