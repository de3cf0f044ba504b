#include "worker/data/npy.h"

#include <endian.h>
#include <string.h>

#include "runtime/error.h"
#include "runtime/quote.h"

static const struct {
    const char *name;
    int bytes;
    bool whole;
} dtypes[] = {
    [QD_NPY_F4] = {"<f4", 4, false}, [QD_NPY_F8] = {"<f8", 8, false},
    [QD_NPY_U1] = {"|u1", 1, true},  [QD_NPY_I4] = {"<i4", 4, true},
    [QD_NPY_I8] = {"<i8", 8, true},
};

enum { MAGIC = 6, DTYPES = sizeof dtypes / sizeof dtypes[0] };

/* The header's text, a Python dictionary: bytes at .. end of the file. */
typedef struct scanner {
    const char *path;
    const uint8_t *bytes;
    size_t at, end;
} scanner;

typedef enum { HAS_DESCR = 1, HAS_ORDER = 2, HAS_SHAPE = 4, HAS_ALL = 7 } header_keys;

static int expected(const scanner *s, const char *what) {
    return qd_error_set(QD_EDATA, "%s: byte %zu: expected %s in the header", s->path, s->at, what);
}

static void skip_blanks(scanner *s) {
    while (s->at < s->end && s->bytes[s->at] && strchr(" \t\r\n", s->bytes[s->at]))
        s->at++;
}

/* Takes this character, after blanks, if it is the next one. */
static bool take(scanner *s, char c) {
    skip_blanks(s);
    if (s->at == s->end || s->bytes[s->at] != (uint8_t)c)
        return false;
    s->at++;
    return true;
}

static bool take_word(scanner *s, const char *word) {
    size_t length = strlen(word);
    skip_blanks(s);
    if (s->end - s->at < length || memcmp(s->bytes + s->at, word, length) != 0)
        return false;
    s->at += length;
    return true;
}

/* 'text' or "text", cut to fit. */
static int take_string(scanner *s, const char *what, char *out, size_t size) {
    char quote = take(s, '\'') ? '\'' : take(s, '"') ? '"' : '\0';
    size_t used = 0;
    if (!quote)
        return expected(s, what);
    for (; s->at < s->end && s->bytes[s->at] != (uint8_t)quote; s->at++)
        if (used + 1 < size)
            out[used++] = (char)s->bytes[s->at];
    out[used] = '\0';
    return take(s, quote) ? 0 : expected(s, "the end of a string");
}

static int take_descr(scanner *s, qd_npy *npy) {
    char name[16], shown[QD_QUOTE_BYTES];
    int rc = take_string(s, "one dtype, '<f4', '<f8', '|u1', '<i4' or '<i8',", name, sizeof name);
    if (rc)
        return rc;
    for (int i = 0; i < DTYPES; i++)
        if (strcmp(name, dtypes[i].name) == 0) {
            npy->dtype = (qd_npy_dtype)i;
            return 0;
        }
    return qd_error_set(QD_EDATA, "%s: dtype %s; accepted are <f4, <f8, |u1, <i4 and <i8", s->path,
                        qd_quote(name, shown));
}

static int take_order(scanner *s) {
    if (take_word(s, "False"))
        return 0;
    if (take_word(s, "True"))
        return qd_error_set(
            QD_EDATA, "%s: an array in Fortran order; save numpy.ascontiguousarray of it", s->path);
    return expected(s, "True or False");
}

static int take_dimension(scanner *s, qd_npy *npy) {
    int64_t value = 0;
    skip_blanks(s);
    size_t first = s->at;
    for (; s->at < s->end && s->bytes[s->at] >= '0' && s->bytes[s->at] <= '9'; s->at++)
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, s->bytes[s->at] - '0', &value))
            return expected(s, "a dimension below 2^63");
    if (s->at == first)
        return expected(s, "a dimension");
    if (npy->dims == QD_NPY_MAX_DIMS)
        return qd_error_set(QD_EDATA, "%s: byte %zu: more than %d dimensions", s->path, first,
                            QD_NPY_MAX_DIMS);
    if (value == 0)
        return qd_error_set(QD_EDATA, "%s: byte %zu: dimension %d is 0; at least 1 is needed",
                            s->path, first, npy->dims);
    if (__builtin_mul_overflow(npy->length, value, &npy->length))
        return qd_error_set(QD_EDATA, "%s: byte %zu: its shape announces 2^63 elements or more",
                            s->path, first);
    npy->dim[npy->dims++] = value;
    return 0;
}

/* (5,) or (5, 28, 28) */
static int take_shape(scanner *s, qd_npy *npy) {
    bool comma = false;
    npy->length = 1;
    if (!take(s, '('))
        return expected(s, "a shape");
    if (take(s, ')'))
        return qd_error_set(QD_EDATA,
                            "%s: a single number; its shape needs a dimension that "
                            "counts samples",
                            s->path);
    do {
        int rc = take_dimension(s, npy);
        if (rc)
            return rc;
        comma = take(s, ',');
    } while (comma && !take(s, ')'));
    if (comma)
        return 0;
    if (npy->dims == 1)
        return expected(s, "a comma");
    return take(s, ')') ? 0 : expected(s, "\")\"");
}

static int take_entry(scanner *s, int *seen, qd_npy *npy) {
    char key[16], shown[QD_QUOTE_BYTES];
    size_t begin = s->at;
    int rc = take_string(s, "a key", key, sizeof key);
    if (rc)
        return rc;
    int is = strcmp(key, "descr") == 0           ? HAS_DESCR
             : strcmp(key, "fortran_order") == 0 ? HAS_ORDER
             : strcmp(key, "shape") == 0         ? HAS_SHAPE
                                                 : 0;
    if (!is || *seen & is)
        return qd_error_set(QD_EDATA,
                            "%s: byte %zu: key %s in the header; it must have descr, "
                            "fortran_order and shape, each once",
                            s->path, begin, qd_quote(key, shown));
    *seen |= is;
    if (!take(s, ':'))
        return expected(s, "\":\"");
    return is == HAS_DESCR   ? take_descr(s, npy)
           : is == HAS_ORDER ? take_order(s)
                             : take_shape(s, npy);
}

static int take_header(scanner *s, qd_npy *npy) {
    int seen = 0;
    if (!take(s, '{'))
        return expected(s, "\"{\"");
    while (!take(s, '}')) {
        int rc = take_entry(s, &seen, npy);
        if (rc)
            return rc;
        if (take(s, ','))
            continue;
        if (!take(s, '}'))
            return expected(s, "\",\" or \"}\"");
        break;
    }
    skip_blanks(s);
    if (seen != HAS_ALL)
        return expected(s, "descr, fortran_order and shape");
    return s->at == s->end ? 0 : expected(s, "nothing more");
}

/* Finds where the header's text lies. */
static int find_header(const char *path, const uint8_t *bytes, size_t size, scanner *s) {
    static const uint8_t magic[MAGIC] = {0x93, 'N', 'U', 'M', 'P', 'Y'};
    if (memcmp(bytes, magic, size < MAGIC ? size : MAGIC) != 0)
        return qd_error_set(
            QD_EDATA, "%s: byte 0: not an .npy file, which would begin with \\x93NUMPY", path);
    size_t begin = MAGIC + 4;
    if (size >= MAGIC + 2 && (bytes[MAGIC] < 1 || bytes[MAGIC] > 3 || bytes[MAGIC + 1] != 0))
        return qd_error_set(QD_EDATA,
                            "%s: byte %d: format version %d.%d; accepted are 1.0, 2.0 and 3.0",
                            path, MAGIC, bytes[MAGIC], bytes[MAGIC + 1]);
    if (size >= MAGIC + 2 && bytes[MAGIC] > 1)
        begin += 2;
    if (size < begin)
        return qd_error_set(QD_EDATA, "%s: byte %zu: ends inside the first %zu bytes of its header",
                            path, size, begin);
    size_t length = bytes[MAGIC + 2] | (size_t)bytes[MAGIC + 3] << 8;
    if (bytes[MAGIC] > 1)
        length |= (size_t)bytes[MAGIC + 4] << 16 | (size_t)bytes[MAGIC + 5] << 24;
    if (size - begin < length)
        return qd_error_set(QD_EDATA, "%s: byte %zu: ends inside the header of %zu bytes", path,
                            size, begin + length);
    *s = (scanner){path, bytes, begin, begin + length};
    return 0;
}

static int check_size(const scanner *s, size_t size, const qd_npy *npy) {
    int64_t needed, there = (int64_t)(size - s->end);
    if (__builtin_mul_overflow(npy->length, dtypes[npy->dtype].bytes, &needed))
        needed = INT64_MAX;
    if (there < needed)
        return qd_error_set(QD_EDATA,
                            "%s: byte %zu: ends %lld bytes short of the %lld elements of %s its "
                            "header announces",
                            s->path, size, (long long)(needed - there), (long long)npy->length,
                            dtypes[npy->dtype].name);
    if (there > needed)
        return qd_error_set(QD_EDATA,
                            "%s: byte %zu: goes on behind the %lld elements of %s its header "
                            "announces",
                            s->path, s->end + (size_t)needed, (long long)npy->length,
                            dtypes[npy->dtype].name);
    return 0;
}

int qd_npy_parse(const char *path, const uint8_t *bytes, size_t size, qd_npy *out) {
    qd_npy npy = {0};
    scanner s = {0};
    int rc = size ? find_header(path, bytes, size, &s)
                  : qd_error_set(QD_EDATA, "%s: the file is empty", path);
    if (!rc)
        rc = take_header(&s, &npy);
    if (!rc)
        rc = check_size(&s, size, &npy);
    if (rc)
        return rc;
    npy.data = bytes + s.end;
    *out = npy;
    return 0;
}

const char *qd_npy_dtype_name(qd_npy_dtype dtype) {
    return dtypes[dtype].name;
}

bool qd_npy_is_whole(qd_npy_dtype dtype) {
    return dtypes[dtype].whole;
}

static uint32_t word_at(const uint8_t *at) {
    uint32_t word;
    memcpy(&word, at, sizeof word);
    return le32toh(word);
}

static uint64_t long_word_at(const uint8_t *at) {
    uint64_t word;
    memcpy(&word, at, sizeof word);
    return le64toh(word);
}

double qd_npy_at(const qd_npy *npy, int64_t index) {
    const uint8_t *at = npy->data + index * dtypes[npy->dtype].bytes;
    uint32_t word;
    uint64_t long_word;
    float single;
    double value = 0;
    switch (npy->dtype) {
    case QD_NPY_F4:
        word = word_at(at);
        memcpy(&single, &word, sizeof single);
        return single;
    case QD_NPY_F8:
        long_word = long_word_at(at);
        memcpy(&value, &long_word, sizeof value);
        return value;
    case QD_NPY_U1:
        return *at;
    case QD_NPY_I4:
        return (int32_t)word_at(at);
    case QD_NPY_I8:
        return (double)(int64_t)long_word_at(at);
    }
    return value;
}
