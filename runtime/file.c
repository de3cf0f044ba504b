#include "runtime/file.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/error.h"

int qd_path_join(char *path, size_t size, const char *folder, const char *name) {
    int length = snprintf(path, size, "%s/%s", folder, name);
    if (length < 0 || (size_t)length >= size)
        return qd_error_set(QD_EIO, "%s/%s: this path is longer than %zu bytes", folder, name,
                            size - 1);
    return 0;
}

/* Reads until the end of the file or until *bytes is full. */
static int read_into(int fd, const char *path, char *bytes, size_t size, size_t *length) {
    *length = 0;
    while (*length < size) {
        ssize_t n = read(fd, bytes + *length, size - *length);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return qd_error_set_errno(QD_EIO, errno, "%s", path);
        if (n == 0)
            break;
        *length += (size_t)n;
    }
    return 0;
}

int qd_file_read(const char *path, size_t limit, char **bytes, size_t *length) {
    char *content = NULL;
    size_t got = 0;
    struct stat st;
    int rc = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return qd_error_set_errno(QD_EIO, errno, "%s", path);
    if (fstat(fd, &st) < 0) {
        rc = qd_error_set_errno(QD_EIO, errno, "%s", path);
        goto out;
    }
    if (!S_ISREG(st.st_mode)) {
        rc = qd_error_set(QD_EIO, "%s: not a regular file", path);
        goto out;
    }
    if ((size_t)st.st_size > limit) {
        rc = qd_error_set(QD_EDATA, "%s: %lld bytes; at most %zu are accepted", path,
                          (long long)st.st_size, limit);
        goto out;
    }
    content = malloc((size_t)st.st_size + 1);
    if (!content) {
        rc = qd_error_set(QD_ENOMEM, "%s: no memory for %lld bytes", path, (long long)st.st_size);
        goto out;
    }
    rc = read_into(fd, path, content, (size_t)st.st_size, &got);
    if (rc)
        goto out;
    content[got] = '\0';
    *bytes = content;
    *length = got;
    content = NULL;
out:
    free(content);
    close(fd);
    return rc;
}

int qd_file_write_all(int fd, const void *bytes, size_t length, const char *path) {
    const char *at = bytes;
    while (length > 0) {
        ssize_t n = write(fd, at, length);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return qd_error_set_errno(QD_EIO, errno, "%s", path);
        at += n;
        length -= (size_t)n;
    }
    return 0;
}

int qd_file_sync_folder(const char *path) {
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return qd_error_set_errno(QD_EIO, errno, "%s", path);
    int rc = fsync(fd) < 0 ? qd_error_set_errno(QD_EIO, errno, "%s: fsync", path) : 0;
    close(fd);
    return rc;
}

static int sync_parent(const char *path) {
    char folder[PATH_MAX];
    snprintf(folder, sizeof folder, "%s", path);
    char *slash = strrchr(folder, '/');
    if (!slash)
        return qd_file_sync_folder(".");
    slash[slash == folder] = '\0';
    return qd_file_sync_folder(folder);
}

int qd_file_replace(const char *path, const void *bytes, size_t length) {
    char aside[PATH_MAX];
    int rc;
    if (snprintf(aside, sizeof aside, "%s.tmp", path) >= (int)sizeof aside)
        return qd_error_set(QD_EIO, "%s: path too long", path);
    int fd = open(aside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0)
        return qd_error_set_errno(QD_EIO, errno, "%s", aside);
    rc = qd_file_write_all(fd, bytes, length, aside);
    if (!rc && fsync(fd) < 0)
        rc = qd_error_set_errno(QD_EIO, errno, "%s: fsync", aside);
    if (close(fd) < 0 && !rc)
        rc = qd_error_set_errno(QD_EIO, errno, "%s: close", aside);
    if (!rc && rename(aside, path) < 0)
        rc = qd_error_set_errno(QD_EIO, errno, "%s: rename", path);
    if (rc) {
        unlink(aside);
        return rc;
    }
    return sync_parent(path);
}

int qd_file_make_folders(const char *path) {
    char part[PATH_MAX];
    if (snprintf(part, sizeof part, "%s", path) >= (int)sizeof part)
        return qd_error_set(QD_EIO, "%s: path too long", path);
    for (char *at = part + 1;; at++) {
        if (*at != '/' && *at != '\0')
            continue;
        char end = *at;
        *at = '\0';
        if (mkdir(part, 0755) < 0 && errno != EEXIST)
            return qd_error_set_errno(QD_EIO, errno, "%s", part);
        *at = end;
        if (end == '\0')
            break;
    }
    struct stat st;
    if (stat(path, &st) < 0 || !S_ISDIR(st.st_mode))
        return qd_error_set(QD_EIO, "%s: not a folder", path);
    return 0;
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *where) {
    (void)st;
    (void)where;
    return kind == FTW_DP ? rmdir(path) : unlink(path);
}

int qd_file_remove_tree(const char *path) {
    if (nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS) < 0 && errno != ENOENT)
        return qd_error_set_errno(QD_EIO, errno, "%s: remove", path);
    return 0;
}

bool qd_file_exists(const char *path) {
    struct stat st;
    return stat(path, &st) == 0;
}
