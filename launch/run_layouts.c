#include "launch/run_layouts.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "launch/choose_layout.h"
#include "runtime/error.h"
#include "runtime/file.h"
#include "runtime/log.h"

typedef struct settling {
    const qd_run_options *options;
    const qd_cluster *cluster;
    int workers, hosts;
} settling;

static int hardware_for(const settling *s, int ranks, qd_hardware *hardware) {
    return s->options->hardware_file ? qd_hardware_load(s->options->hardware_file, hardware)
                                     : qd_this_machine(ranks, s->hosts, hardware);
}

/* The job of the run that is to be continued; NULL when there is none. */
static int load_earlier(const settling *s, const qd_job *job, qd_job **earlier) {
    char folder[PATH_MAX], path[PATH_MAX];
    int rc = qd_path_join(folder, sizeof folder, s->cluster->runs, job->name);
    if (!rc)
        rc = qd_path_join(path, sizeof path, folder, "job.yaml");
    *earlier = NULL;
    if (rc || !s->options->resume || !qd_file_exists(path))
        return rc;
    *earlier = malloc(sizeof **earlier);
    rc = *earlier ? qd_job_load(path, *earlier) : qd_error_set(QD_ENOMEM, "no memory for a job");
    if (rc) {
        free(*earlier);
        *earlier = NULL;
    }
    return rc;
}

/* The layout, and why others lost; all of it is in the run folder. */
static void log_report(const char *name, const char *report) {
    bool others = false;
    for (const char *line = report, *end; (end = strchr(line, '\n')) != NULL; line = end + 1) {
        others |= strncmp(line, "other", 5) == 0;
        if (others || strncmp(line, "layout", 6) == 0)
            qd_log(QD_LOG_INFO, "%s: %.*s", name, (int)(end - line), line);
    }
}

static int settle(const settling *s, const char *file, qd_job *job, char **report) {
    qd_hardware hardware;
    qd_job *earlier = NULL;
    int rc = hardware_for(s, s->workers, &hardware);
    if (!rc)
        rc = load_earlier(s, job, &earlier);
    if (!rc)
        rc = qd_layout_settle(file, &hardware, s->workers, earlier, job, report);
    free(earlier);
    if (!rc)
        log_report(job->name, *report);
    return rc;
}

/* How ranks will lie on several hosts is not known here. */
static int check_memory(const settling *s, const qd_job *job) {
    qd_hardware hardware;
    int ranks = job->ranks_max < s->workers ? (int)job->ranks_max : s->workers;
    if (s->hosts > 1 && !s->options->hardware_file)
        return 0;
    int rc = hardware_for(s, ranks, &hardware);
    return rc ? rc : qd_layout_check_memory(job, &hardware, ranks);
}

int qd_run_layouts_settle(const qd_run_options *options, const qd_cluster *cluster, int workers,
                          int hosts, qd_job *jobs, char **reports) {
    settling s = {options, cluster, workers, hosts};
    int rc = 0;
    for (int i = 0; i < options->job_file_count && !rc; i++)
        rc = jobs[i].layout_grid == QD_GRID_AUTO
                 ? settle(&s, options->job_files[i], &jobs[i], &reports[i])
                 : check_memory(&s, &jobs[i]);
    return rc;
}

void qd_run_layouts_free(char **reports, int count) {
    for (int i = 0; reports && i < count; i++)
        free(reports[i]);
    free(reports);
}
