#include "models/hardware.h"

#include <stdlib.h>

#include "runtime/schema.h"
#include "runtime/yaml.h"

#define AT(member) .offset = offsetof(qd_hardware, member)
#define REQUIRED QD_FIELD_REQUIRED
#define POSITIVE QD_FIELD_ABOVE_MIN

static const char *const device_kinds[] = {[QD_DEVICE_CPU] = "cpu", [QD_DEVICE_GPU] = "gpu", NULL};
static const char *const link_owners[] = {
    [QD_LINK_OF_DEVICE] = "device", [QD_LINK_OF_NODE] = "node", NULL};

static const qd_field share_fields[] = {
    {"large", QD_FIELD_REAL, REQUIRED | POSITIVE, AT(product_share[QD_PRODUCT_LARGE]), .max = 1},
    {"medium", QD_FIELD_REAL, REQUIRED | POSITIVE, AT(product_share[QD_PRODUCT_MEDIUM]), .max = 1},
    {"small", QD_FIELD_REAL, REQUIRED | POSITIVE, AT(product_share[QD_PRODUCT_SMALL]), .max = 1},
    {0},
};

static const qd_field device_fields[] = {
    {"kind", QD_FIELD_CHOICE, REQUIRED, AT(kind), .choices = device_kinds},
    {"fp32_flops", QD_FIELD_REAL, REQUIRED | POSITIVE, AT(fp32_flops), .max = 1e18},
    {"bf16_flops", QD_FIELD_REAL, REQUIRED | POSITIVE, AT(bf16_flops), .max = 1e18},
    {"product_share", QD_FIELD_MAPPING, .fields = share_fields},
    {"memory_bytes", QD_FIELD_REAL, REQUIRED | POSITIVE, AT(memory_bytes), .max = 1e15},
    {"reserved_bytes", QD_FIELD_REAL, 0, AT(reserved_bytes), .max = 1e15, .preset = "0"},
    {"memory_bytes_per_s", QD_FIELD_REAL, REQUIRED | POSITIVE, AT(memory_bytes_per_s), .max = 1e16},
    {"memory_share", QD_FIELD_REAL, POSITIVE, AT(memory_share), .max = 1, .preset = "1"},
    {"operator_s", QD_FIELD_REAL, 0, AT(operator_s), .max = 1, .preset = "0"},
    {"overlap", QD_FIELD_REAL, 0, AT(overlap), .max = 1, .preset = "1"},
    {0},
};

#define LINK_FIELDS(link)                                                                          \
    {"bytes_per_s", QD_FIELD_REAL, REQUIRED | POSITIVE, AT(link.bytes_per_s), .max = 1e15},        \
        {"share", QD_FIELD_REAL, POSITIVE, AT(link.share), .max = 1, .preset = "1"}, {             \
        "latency_s", QD_FIELD_REAL, 0, AT(link.latency_s), .max = 1, .preset = "0"                 \
    }

static const qd_field inside_fields[] = {LINK_FIELDS(inside), {0}};
static const qd_field between_fields[] = {
    LINK_FIELDS(between),
    {"of", QD_FIELD_CHOICE, 0, AT(between_of), .choices = link_owners, .preset = "device"},
    {0},
};

static const qd_field links_fields[] = {
    {"inside", QD_FIELD_MAPPING, .fields = inside_fields},
    {"between", QD_FIELD_MAPPING, .fields = between_fields},
    {0},
};

static const qd_field node_fields[] = {
    {"devices", QD_FIELD_INT, REQUIRED, AT(devices), .min = 1, .max = 4096},
    {0},
};

static const qd_field hardware_fields[] = {
    {"name", QD_FIELD_NAME, REQUIRED, AT(name), .size = QD_HARDWARE_NAME_BYTES},
    {"nodes", QD_FIELD_INT, QD_FIELD_OMIT_ZERO, AT(nodes), .min = 1, .max = 1048576},
    {"node", QD_FIELD_MAPPING, .fields = node_fields},
    {"device", QD_FIELD_MAPPING, .fields = device_fields},
    {"links", QD_FIELD_MAPPING, .fields = links_fields},
    {0},
};

int qd_hardware_parse(const char *file, const char *text, size_t length, qd_hardware *hardware) {
    return qd_schema_parse(hardware_fields, file, text, length, hardware, sizeof *hardware, NULL);
}

int qd_hardware_load(const char *file, qd_hardware *hardware) {
    char *text = NULL;
    size_t length = 0;
    int rc = qd_yaml_read_file(file, &text, &length);
    if (!rc)
        rc = qd_hardware_parse(file, text, length, hardware);
    free(text);
    return rc;
}

void qd_hardware_emit(const qd_hardware *hardware, qd_text *out) {
    qd_schema_emit(hardware_fields, hardware, out);
}

double qd_hardware_peak(const qd_hardware *hardware, qd_precision precision) {
    return precision == QD_PRECISION_BF16 ? hardware->bf16_flops : hardware->fp32_flops;
}

double qd_hardware_inside_rate(const qd_hardware *hardware) {
    return hardware->inside.bytes_per_s * hardware->inside.share;
}

double qd_hardware_between_rate(const qd_hardware *hardware) {
    double all = hardware->between.bytes_per_s * hardware->between.share;
    return hardware->between_of == QD_LINK_OF_NODE ? all / (double)hardware->devices : all;
}
