#include "worker/data/idx.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <zlib.h>

#include "runtime/error.h"

/* A first byte 0x1f 0x8b makes zlib unpack; anything else passes through. */
static const unsigned read_buffer_bytes = 1 << 18;
static const size_t read_piece_bytes = 1 << 24;

/* Deflate cannot do better than 258 bytes for 2 bits (zlib, "Technical Details"). */
static const uint64_t deflate_max_ratio = 1032;

enum { WORD = 4, MAX_HEADER = WORD * (1 + QD_IDX_MAX_DIMS), UNSIGNED_BYTE = 0x08 };

typedef struct idx_file {
    const char *path;
    const char *what;
    gzFile gz;
    uint64_t bytes; /* of the file, as it lies on the disk */
} idx_file;

static int open_file(idx_file *file) {
    struct stat st;
    if (stat(file->path, &st) < 0)
        return qd_error_set_errno(QD_EIO, errno, "%s", file->path);
    if (!S_ISREG(st.st_mode))
        return qd_error_set(QD_EIO, "%s: not a regular file", file->path);
    file->bytes = (uint64_t)st.st_size;
    file->gz = gzopen(file->path, "rbe");
    if (!file->gz)
        return qd_error_set_errno(QD_EIO, errno, "%s", file->path);
    gzbuffer(file->gz, read_buffer_bytes);
    return 0;
}

/* zlib puts the path in front of its messages; ours stands there already. */
static const char *zlib_text(const idx_file *file, const char *text) {
    size_t length = strlen(file->path);
    if (strncmp(text, file->path, length) == 0 && strncmp(text + length, ": ", 2) == 0)
        return text + length + 2;
    return text;
}

/* Reads until the end of the data or until size bytes are there. */
static int read_bytes(const idx_file *file, uint8_t *bytes, size_t size, size_t *got) {
    *got = 0;
    while (*got < size) {
        size_t piece = size - *got < read_piece_bytes ? size - *got : read_piece_bytes;
        errno = 0;
        int n = gzread(file->gz, bytes + *got, (unsigned)piece);
        if (n > 0)
            *got += (size_t)n;
        if (n == (int)piece)
            continue;
        int code = Z_OK;
        const char *text = gzerror(file->gz, &code);
        if (code == Z_OK || code == Z_BUF_ERROR) /* the end; the caller says how much is missing */
            return 0;
        if (code == Z_ERRNO)
            return qd_error_set_errno(QD_EIO, errno, "%s", file->path);
        if (code == Z_MEM_ERROR)
            return qd_error_set(QD_ENOMEM, "%s: no memory to unpack it", file->path);
        return qd_error_set(QD_EDATA, "%s: byte %lld of the compressed file: %s", file->path,
                            (long long)gzoffset(file->gz), zlib_text(file, text));
    }
    return 0;
}

static uint32_t big_endian(const uint8_t *bytes) {
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

static int read_header(const idx_file *file, int dims, qd_idx *idx) {
    uint8_t header[MAX_HEADER];
    size_t size = WORD * (1 + (size_t)dims), got;
    uint32_t expected = UNSIGNED_BYTE << 8 | (uint32_t)dims;
    int rc = read_bytes(file, header, size, &got);
    if (rc)
        return rc;
    if (got >= WORD && big_endian(header) != expected)
        return qd_error_set(
            QD_EDATA, "%s: byte 0: magic number 0x%08" PRIx32 "; IDX %s begin with 0x%08" PRIx32,
            file->path, big_endian(header), file->what, expected);
    if (got < size)
        return qd_error_set(QD_EDATA, "%s: byte %zu: ends inside the header of %zu bytes",
                            file->path, got, size);
    idx->dims = dims;
    idx->length = 1;
    for (int d = 0; d < dims; d++) {
        idx->dim[d] = big_endian(header + WORD * (1 + d));
        if (idx->dim[d] == 0)
            return qd_error_set(QD_EDATA, "%s: byte %d: dimension %d is 0; at least 1 is needed",
                                file->path, WORD * (1 + d), d);
        if (__builtin_mul_overflow(idx->length, (size_t)idx->dim[d], &idx->length) ||
            idx->length > INT64_MAX - MAX_HEADER)
            return qd_error_set(QD_EDATA, "%s: byte %d: its dimensions announce 2^63 bytes or more",
                                file->path, WORD);
    }
    return 0;
}

static int ends_early(const idx_file *file, const qd_idx *idx, size_t header, size_t got) {
    return qd_error_set(
        QD_EDATA, "%s: byte %zu: ends %zu bytes short of the %lld %s its header announces",
        file->path, header + got, idx->length - got, (long long)idx->dim[0], file->what);
}

/* Whether a file of this size can hold what its header announces. */
static int check_size(const idx_file *file, const qd_idx *idx, size_t header) {
    if (gzdirect(file->gz)) {
        size_t there = file->bytes > header ? file->bytes - header : 0;
        return there < idx->length ? ends_early(file, idx, header, there) : 0;
    }
    if (idx->length / deflate_max_ratio > file->bytes)
        return qd_error_set(QD_EDATA,
                            "%s: byte %d: %lld %s of %zu bytes together cannot be packed into "
                            "the file's %" PRIu64 " bytes",
                            file->path, WORD, (long long)idx->dim[0], file->what, idx->length,
                            file->bytes);
    return 0;
}

static int read_body(const idx_file *file, qd_idx *idx) {
    size_t header = WORD * (1 + (size_t)idx->dims), got, more;
    uint8_t behind;
    int rc = check_size(file, idx, header);
    if (rc)
        return rc;
    idx->bytes = malloc(idx->length);
    if (!idx->bytes)
        return qd_error_set(QD_ENOMEM, "%s: no memory for %zu bytes", file->path, idx->length);
    rc = read_bytes(file, idx->bytes, idx->length, &got);
    if (rc)
        return rc;
    if (got < idx->length)
        return ends_early(file, idx, header, got);
    /* Reading on also makes zlib compare its checksum. */
    rc = read_bytes(file, &behind, 1, &more);
    if (rc)
        return rc;
    if (more > 0)
        return qd_error_set(QD_EDATA,
                            "%s: byte %zu: goes on behind the %lld %s its header announces",
                            file->path, header + got, (long long)idx->dim[0], file->what);
    int code = Z_OK;
    gzerror(file->gz, &code);
    if (code == Z_BUF_ERROR)
        return qd_error_set(QD_EDATA, "%s: byte %zu: the gzip data ends before its checksum",
                            file->path, header + got);
    return 0;
}

int qd_idx_read(const char *path, int dims, const char *what, qd_idx *out) {
    idx_file file = {.path = path, .what = what};
    qd_idx idx = {0};
    int rc = open_file(&file);
    if (!rc)
        rc = read_header(&file, dims, &idx);
    if (!rc)
        rc = read_body(&file, &idx);
    if (file.gz)
        gzclose(file.gz);
    if (rc) {
        qd_idx_fini(&idx);
        return rc;
    }
    *out = idx;
    return 0;
}

void qd_idx_fini(qd_idx *idx) {
    free(idx->bytes);
    *idx = (qd_idx){0};
}
