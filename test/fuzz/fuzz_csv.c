/* Any bytes as comma separated numbers: refused with a line, or rows of numbers that fit. */
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/error.h"
#include "worker/data/csv.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

static void check_message(void) {
    for (const char *c = qd_error_message(); *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            abort();
}

static void check_row(const qd_csv_layout *layout, const char *row) {
    float input;
    int32_t target;
    for (int64_t i = 0; i < layout->inputs; i++) {
        memcpy(&input, row + i * QD_NUMBER_BYTES, sizeof input);
        if (!isfinite(input))
            abort();
    }
    for (int64_t i = layout->inputs; i < layout->inputs + layout->targets; i++) {
        memcpy(&target, row + i * QD_NUMBER_BYTES, sizeof target);
        if (target < 0 || target >= layout->target_rule.classes)
            abort();
    }
}

static void check_layout(const qd_csv_layout *layout, const char *text, size_t length) {
    qd_csv csv;
    if (qd_csv_parse("input", text, length, layout, &csv)) {
        check_message();
        return;
    }
    for (int64_t i = 0; i < csv.rows; i++)
        check_row(layout, csv.slots + i * (layout->inputs + layout->targets) * QD_NUMBER_BYTES);
    qd_csv_fini(&csv);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
    qd_number_rule input = {.dtype = QD_F32, .mean = 0.5, .std = 0.25};
    qd_number_rule target = {.dtype = QD_I32, .std = 1, .classes = 10, .key = "model.classes"};
    char *text = malloc(length + 1);
    if (!text)
        abort();
    memcpy(text, bytes, length);
    text[length] = '\0';
    for (int64_t inputs = 1; inputs <= 3; inputs++) {
        qd_csv_layout layout = {inputs == 3, inputs, 1, input, target};
        check_layout(&layout, text, length);
    }
    free(text);
    return 0;
}
