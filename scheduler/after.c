#include "scheduler/after.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "runtime/error.h"

static bool is_kind(const char *word) {
    return strcmp(word, "any") == 0 || strcmp(word, "ok") == 0 || strcmp(word, "notok") == 0;
}

/* Its number; 0: none before that one. */
static int find(const qd_job *jobs, int number, const char *name) {
    for (int i = 0; i < number - 1; i++)
        if (strcmp(jobs[i].name, name) == 0)
            return i + 1;
    return 0;
}

int qd_after_of_job(const qd_job *jobs, int number, char after[QD_AFTER_BYTES]) {
    const char *said = jobs[number - 1].request_after;
    char words[QD_JOB_AFTER_BYTES], list[QD_AFTER_BYTES] = "", *rest = words;
    size_t at = 0;
    snprintf(words, sizeof words, "%s", said);
    for (int count = 0; rest && strcmp(said, "none") != 0; count++) {
        const char *kind = strsep(&rest, ","), *name = "";
        char *colon = strchr(kind, ':');
        if (colon) {
            *colon = '\0';
            name = colon + 1;
        }
        if (count == QD_AFTER_MOST || !colon || !is_kind(kind))
            return qd_error_set(QD_ECONFIG,
                                "'%s'; accepted: none, or up to %d times any:JOB, ok:JOB or "
                                "notok:JOB, with commas between",
                                said, QD_AFTER_MOST);
        int other = find(jobs, number, name);
        if (other == 0)
            return qd_error_set(QD_ECONFIG, "'%s' is no job named before this one", name);
        at += (size_t)snprintf(list + at, sizeof list - at, "%s%s:%d", count > 0 ? "," : "", kind,
                               other);
    }
    memcpy(after, list, sizeof list);
    return 0;
}
