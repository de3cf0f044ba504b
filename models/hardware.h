/*
 * hardware.h: what a cluster is made of, in the few numbers that a plan needs (models/planner.h):
 * nodes of equal devices, what a device computes and keeps, and the links between them. Read from a
 * file of conf/clusters/ by a strict schema; `quadrille calibrate` writes one of this machine. Not
 * how a cluster is run: that is conf/cluster.yaml (scheduler/cluster.h).
 *
 * A rank has one device. Rates are what a data sheet promises, and beside each stands the share of
 * it that is reached.
 */
#ifndef QD_MODELS_HARDWARE_H
#define QD_MODELS_HARDWARE_H

#include <stddef.h>
#include <stdint.h>

#include "models/graph.h"
#include "runtime/text.h"

#define QD_HARDWARE_NAME_BYTES 64

typedef enum { QD_DEVICE_CPU, QD_DEVICE_GPU } qd_device_kind;
typedef enum { QD_LINK_OF_DEVICE, QD_LINK_OF_NODE } qd_link_owner;

/* Products by the least of their three extents. */
typedef enum {
    QD_PRODUCT_SMALL,  /* less than QD_PRODUCT_MEDIUM_FROM */
    QD_PRODUCT_MEDIUM, /* less than QD_PRODUCT_LARGE_FROM; attention, too */
    QD_PRODUCT_LARGE,
    QD_PRODUCT_CLASSES
} qd_product_class;

enum { QD_PRODUCT_MEDIUM_FROM = 128, QD_PRODUCT_LARGE_FROM = 512 };

/* One direction of a link, of which both can be busy at once. */
typedef struct qd_link {
    double bytes_per_s;
    double share;     /* of bytes_per_s that collectives reach */
    double latency_s; /* of one message */
} qd_link;

typedef struct qd_hardware {
    char name[QD_HARDWARE_NAME_BYTES];
    int64_t nodes;   /* 0: as many as are asked for */
    int64_t devices; /* of a node */
    int kind;        /* qd_device_kind. CPU: a core, whose memory is a part of its node's */
    double fp32_flops, bf16_flops;            /* peak of a device, a second */
    double product_share[QD_PRODUCT_CLASSES]; /* of it that products of matrices reach */
    double memory_bytes;                      /* of a device */
    double reserved_bytes;                    /* of it: program, libraries, device context */
    double memory_bytes_per_s;                /* of a device while all of its node are busy */
    double memory_share;                      /* of that which operators reach */
    double operator_s;                        /* to start an operator */
    double overlap;  /* 0 .. 1: of the time of an exchange beside computing, what computing does not
                        lose by it; 0: it stops the device */
    qd_link inside;  /* of a device, to others of its node */
    qd_link between; /* between nodes: of a device, or of a node for all its devices */
    int between_of;  /* qd_link_owner */
} qd_hardware;

/* QD_ECONFIG with file:line, *hardware untouched; QD_ENOMEM; load also QD_EIO. */
int qd_hardware_parse(const char *file, const char *text, size_t length, qd_hardware *hardware);
int qd_hardware_load(const char *file, qd_hardware *hardware);

/* As YAML that parses back to an equal one. */
void qd_hardware_emit(const qd_hardware *hardware, qd_text *out);

/* FLOPs a second of a device at its peak. */
double qd_hardware_peak(const qd_hardware *hardware, qd_precision precision);

/* Bytes a second that one device gets through, both ways alike, while its whole node sends. */
double qd_hardware_inside_rate(const qd_hardware *hardware);
double qd_hardware_between_rate(const qd_hardware *hardware);

#endif
