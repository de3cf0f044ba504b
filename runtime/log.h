/*
 * log.h: talk on stderr, one line each, with level, rank and job: what went on, for people.
 * Data for programs goes elsewhere (stdout, run folder). The only printing below launch/.
 */
#ifndef QD_RUNTIME_LOG_H
#define QD_RUNTIME_LOG_H

typedef enum { QD_LOG_ERROR, QD_LOG_WARN, QD_LOG_INFO, QD_LOG_DEBUG } qd_log_level;

/* Lines above the level are dropped; the default is QD_LOG_INFO. Call before threads start. */
void qd_log_set_level(qd_log_level level);

/* The rank shown in each line; -1 (the default) for none. Call before threads start. */
void qd_log_set_rank(int rank);

/*
 * One line: "quadrille[rank 2] warning: TEXT". The text names its job and step where it has one.
 * Written with a single write(2), so that lines of several ranks do not mix. Any thread.
 */
void qd_log(qd_log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
