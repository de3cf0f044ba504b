#include "launch/mpirun_remains.h"

#include <glob.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/error.h"
#include "runtime/file.h"
#include "runtime/log.h"

enum { RANKS_GONE_US = 500000 };

static void remove_matching(const char *pattern) {
    glob_t found;
    if (glob(pattern, 0, NULL, &found) != 0)
        return;
    for (size_t i = 0; i < found.gl_pathc; i++)
        if (qd_file_remove_tree(found.gl_pathv[i]))
            qd_log(QD_LOG_WARN, "%s", qd_error_message());
    globfree(&found);
}

/* The job's number stands in the name of a file of the session: smdataseg-JOB-0. */
static bool job_number(const char *session, unsigned *job) {
    char pattern[PATH_MAX + 64];
    glob_t found;
    snprintf(pattern, sizeof pattern, "%s/pmix_dstor_*/smdataseg-*", session);
    if (glob(pattern, 0, NULL, &found) != 0)
        return false;
    bool ok = sscanf(strrchr(found.gl_pathv[0], '/'), "/smdataseg-%u", job) == 1;
    globfree(&found);
    return ok;
}

void qd_mpirun_remove_remains(pid_t mpirun) {
    const char *tmp = getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp";
    char host[HOST_NAME_MAX + 1] = "", session[PATH_MAX], segments[PATH_MAX];
    unsigned job;
    gethostname(host, sizeof host - 1);
    host[strcspn(host, ".")] = '\0';
    usleep(RANKS_GONE_US);
    snprintf(session, sizeof session, "%s/ompi.%s.%u/pid.%d", tmp, host, geteuid(), (int)mpirun);
    if (job_number(session, &job)) {
        snprintf(segments, sizeof segments, "/dev/shm/vader_segment.%s.%u.%x.*", host, geteuid(),
                 job);
        remove_matching(segments);
    }
    if (qd_file_exists(session) && qd_file_remove_tree(session))
        qd_log(QD_LOG_WARN, "%s", qd_error_message());
    *strrchr(session, '/') = '\0';
    rmdir(session); /* stays where another mpirun uses it */
}
