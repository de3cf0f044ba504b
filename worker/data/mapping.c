#include "worker/data/mapping.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/error.h"

static int map(int fd, const char *path, qd_mapping *mapping) {
    struct stat st;
    if (fstat(fd, &st) < 0)
        return qd_error_set_errno(QD_EIO, errno, "%s", path);
    if (!S_ISREG(st.st_mode))
        return qd_error_set(QD_EIO, "%s: not a regular file", path);
    size_t size = (size_t)st.st_size;
    void *bytes = NULL;
    if (size > 0)
        bytes = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (bytes == MAP_FAILED)
        return qd_error_set_errno(QD_EIO, errno, "%s: cannot map it", path);
    *mapping = (qd_mapping){bytes, size};
    return 0;
}

int qd_mapping_open(const char *path, qd_mapping *mapping) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return qd_error_set_errno(QD_EIO, errno, "%s", path);
    int rc = map(fd, path, mapping);
    close(fd);
    return rc;
}

void qd_mapping_close(qd_mapping *mapping) {
    if (mapping->bytes)
        munmap((void *)mapping->bytes, mapping->size);
    *mapping = (qd_mapping){0};
}
