/* run_options.h: the command line of `quadrille run`, parsed. */
#ifndef QD_LAUNCH_RUN_OPTIONS_H
#define QD_LAUNCH_RUN_OPTIONS_H

#include <stdbool.h>

#include "models/job.h"
#include "scheduler/cluster.h"

typedef enum { QD_SHOW_AUTO, QD_SHOW_BAR, QD_SHOW_LINES, QD_SHOW_NONE } qd_show;

typedef struct qd_run_options {
    char **job_files;
    int job_file_count;
    const char *cluster_file;  /* NULL: defaults */
    const char *hardware_file; /* NULL: this machine */
    const char *runs;          /* NULL: the cluster file's */
    int workers;               /* 0: found out */
    const char *hosts;         /* as mpirun takes them; both NULL: this host */
    const char *host_file;
    bool resume;
    bool dry_run;
    bool verbose;
    qd_show show;
} qd_run_options;

/* Parses by argp, which prints and exits on --help and on misuse (64). */
void qd_run_options_parse(int argc, char **argv, qd_run_options *options);

/*
 * Reads the cluster file and all job files. *jobs belongs to the caller (free). QD_ECONFIG, QD_EIO,
 * QD_EUSAGE (two jobs of one name).
 */
int qd_run_options_load(const qd_run_options *options, qd_cluster *cluster, qd_job **jobs);

#endif
