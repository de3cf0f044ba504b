#include "runtime/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

static _Thread_local char message[QD_ERROR_BYTES];

static const struct {
    int code;
    const char *name;
    int exit_status;
} codes[] = {
    {QD_OK, "QD_OK", EX_OK},
    {QD_EUSAGE, "QD_EUSAGE", EX_USAGE},
    {QD_ECONFIG, "QD_ECONFIG", EX_CONFIG},
    {QD_EDATA, "QD_EDATA", EX_DATAERR},
    {QD_EIO, "QD_EIO", EX_IOERR},
    {QD_ENOMEM, "QD_ENOMEM", EX_SOFTWARE},
    {QD_ETIMEDOUT, "QD_ETIMEDOUT", EX_SOFTWARE},
    {QD_ECANCELLED, "QD_ECANCELLED", EX_SOFTWARE},
    {QD_EPROTO, "QD_EPROTO", EX_SOFTWARE},
    {QD_ELOST, "QD_ELOST", EX_SOFTWARE},
    {QD_EINTERNAL, "QD_EINTERNAL", EX_SOFTWARE},
};

int qd_error_set(int code, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(message, sizeof message, fmt, ap);
    va_end(ap);
    return code;
}

int qd_error_set_errno(int code, int errno_value, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(message, sizeof message, fmt, ap);
    va_end(ap);
    size_t used = strlen(message);
    snprintf(message + used, sizeof message - used, ": %s", strerror(errno_value));
    return code;
}

int qd_error_context(int code, const char *fmt, ...) {
    char before[QD_ERROR_BYTES];
    memcpy(before, message, sizeof before);
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(message, sizeof message, fmt, ap);
    va_end(ap);
    size_t used = strlen(message);
    snprintf(message + used, sizeof message - used, ": %s", before);
    return code;
}

const char *qd_error_message(void) {
    return message;
}

const char *qd_error_name(int code) {
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++)
        if (codes[i].code == code)
            return codes[i].name;
    return "QD_E?";
}

int qd_error_exit_status(int code) {
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++)
        if (codes[i].code == code)
            return codes[i].exit_status;
    return EX_SOFTWARE;
}
