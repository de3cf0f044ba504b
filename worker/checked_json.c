#include "worker/checked_json.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/error.h"
#include "runtime/file.h"
#include "worker/checksum.h"

/* Of the layout of these files; a reader refuses others. */
enum { FORMAT = 1 };

static const size_t max_file_bytes = (size_t)1 << 28;

/* The checksum is taken over one fixed way to write the content, so that it needs no rules about
 * how the file is laid out. */
static int content_checksum(const json_t *content, char text[QD_CHECKSUM_TEXT_BYTES]) {
    char *canonical = json_dumps(content, JSON_COMPACT | JSON_SORT_KEYS);
    if (!canonical)
        return qd_error_set(QD_ENOMEM, "no memory to write a checkpoint's description");
    qd_checksum_text(qd_checksum(canonical, strlen(canonical)), text);
    free(canonical);
    return 0;
}

int qd_checked_json_write(const char *path, json_t *content) {
    char checksum[QD_CHECKSUM_TEXT_BYTES], *text = NULL;
    int rc = content ? content_checksum(content, checksum)
                     : qd_error_set(QD_EDATA,
                                    "%s: a name or the job is not UTF-8, or memory ran "
                                    "out",
                                    path);
    json_t *root =
        rc ? NULL
           : json_pack("{s:i, s:s, s:O}", "format", FORMAT, "xxh3", checksum, "content", content);
    if (root)
        text = json_dumps(root, JSON_COMPACT);
    if (text)
        rc = qd_file_replace(path, text, strlen(text));
    else if (!rc)
        rc = qd_error_set(QD_ENOMEM, "%s: no memory to write it", path);
    free(text);
    json_decref(root);
    json_decref(content);
    return rc;
}

/* *content: a new reference. */
static int open_envelope(const char *path, const json_t *root, json_t **content) {
    const char *said;
    char checksum[QD_CHECKSUM_TEXT_BYTES];
    json_error_t error;
    int format;
    json_t *inside;
    if (json_unpack_ex((json_t *)root, &error, JSON_STRICT, "{s:i, s:s, s:o}", "format", &format,
                       "xxh3", &said, "content", &inside) < 0)
        return qd_error_set(QD_EDATA, "%s: %s", path, error.text);
    if (format != FORMAT)
        return qd_error_set(QD_EDATA, "%s: format %d; this version reads %d", path, format, FORMAT);
    int rc = content_checksum(inside, checksum);
    if (rc)
        return rc;
    if (strcmp(checksum, said) != 0)
        return qd_error_set(QD_EDATA, "%s: checksum %s, but it says %.16s: the file is damaged",
                            path, checksum, said);
    *content = json_incref(inside);
    return 0;
}

int qd_checked_json_read(const char *path, json_t **content) {
    char *bytes;
    size_t length;
    json_error_t error;
    int rc = qd_file_read(path, max_file_bytes, &bytes, &length);
    if (rc)
        return rc;
    json_t *root = json_loadb(bytes, length, JSON_REJECT_DUPLICATES, &error);
    free(bytes);
    if (!root)
        return qd_error_set(QD_EDATA, "%s:%d: %s", path, error.line, error.text);
    rc = open_envelope(path, root, content);
    json_decref(root);
    return rc;
}
