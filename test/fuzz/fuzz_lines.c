/* Any bytes as labelled lines: refused with a line, or samples whose labels and bytes fit. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/error.h"
#include "worker/data/lines.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

static void check_message(void) {
    for (const char *c = qd_error_message(); *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            abort();
}

static void check_line(const qd_line *line, const qd_sample_spec *spec) {
    if (line->label < 0 || line->label >= spec->classes || line->length < 1)
        abort();
    for (int64_t i = 0; i < line->length; i++) {
        int token = (unsigned char)line->text[i];
        if (token == 0 || token >= spec->vocabulary)
            abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
    static const int64_t vocabularies[] = {128, 256};
    char *text = malloc(length ? length : 1); /* no NUL behind it: none is needed */
    if (!text)
        abort();
    memcpy(text, bytes, length);
    for (int i = 0; i < 2; i++) {
        qd_sample_spec spec = {.vocabulary = vocabularies[i], .classes = 11};
        qd_lines lines;
        if (qd_lines_parse("input", text, length, &spec, &lines)) {
            check_message();
            continue;
        }
        for (int64_t l = 0; l < lines.count; l++)
            check_line(&lines.line[l], &spec);
        qd_lines_fini(&lines);
    }
    free(text);
    return 0;
}
