/*
 * Any bytes as a job file and as a cluster file: refused with a line, or accepted; and what is
 * accepted is emitted and parsed back to the same thing.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "models/job.h"
#include "runtime/error.h"
#include "scheduler/cluster.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

static void broken(const char *what, const char *text) {
    fprintf(stderr, "%s: %s\n%s\n", what, qd_error_message(), text ? text : "");
    abort();
}

/* "x.yaml:LINE: WORDS", one printable line of it. */
static void check_message(int rc) {
    int line = 0, used = 0;
    const char *message = qd_error_message();
    if (rc != QD_ECONFIG || sscanf(message, "x.yaml:%d: %n", &line, &used) != 1 || used == 0 ||
        line < 1 || message[used] == '\0')
        broken("not a message", NULL);
    for (; *message; message++)
        if ((unsigned char)*message < 0x20 || *message == 0x7f)
            broken("control character in a message", NULL);
}

static void check_job(const char *text, size_t length) {
    qd_job job, again;
    qd_text first = {0}, second = {0};
    int rc = qd_job_parse("x.yaml", text, length, &job);
    if (rc) {
        check_message(rc);
        return;
    }
    if (job.layout_grid == QD_GRID_AUTO)
        return; /* the planner comes first */
    if (job.train.batch % job.slots_data || job.ranks_min < 1 || job.ranks_min > job.ranks_max ||
        job.ranks_max > job.slots_data * job.layout_tp)
        broken("inconsistent job", text);
    qd_job_emit(&job, &first);
    if (qd_job_parse("x.yaml", first.bytes, first.length, &again))
        broken("an emitted job was refused", first.bytes);
    qd_job_emit(&again, &second);
    if (strcmp(first.bytes, second.bytes) != 0 || qd_job_check_same_result(&job, &again))
        broken("an emitted job came back different", first.bytes);
    qd_text_fini(&first);
    qd_text_fini(&second);
}

static void check_cluster(const char *text, size_t length) {
    qd_cluster cluster, again;
    qd_text first = {0}, second = {0};
    int rc = qd_cluster_parse("x.yaml", text, length, &cluster);
    if (rc) {
        check_message(rc);
        return;
    }
    qd_cluster_emit(&cluster, &first);
    if (qd_cluster_parse("x.yaml", first.bytes, first.length, &again))
        broken("an emitted cluster was refused", first.bytes);
    qd_cluster_emit(&again, &second);
    if (strcmp(first.bytes, second.bytes) != 0)
        broken("an emitted cluster came back different", first.bytes);
    qd_text_fini(&first);
    qd_text_fini(&second);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
    const char *text = length ? (const char *)bytes : "";
    check_job(text, length);
    check_cluster(text, length);
    return 0;
}
