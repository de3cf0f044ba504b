/*
 * display.h: what `quadrille run` shows while it runs: lines on stdout for what happened, and, on a
 * terminal, a bar on stderr for how far it is.
 */
#ifndef QD_LAUNCH_DISPLAY_H
#define QD_LAUNCH_DISPLAY_H

#include "launch/run_options.h"
#include "scheduler/server.h"

typedef struct qd_display qd_display;

/* on_all_ready is called once, when all workers have said hello. QD_ENOMEM. */
int qd_display_create(qd_show show, int workers, void (*on_all_ready)(void), qd_display **display);
void qd_display_destroy(qd_display *display);

/* The observer that feeds it; lives as long as the display. */
const qd_observer *qd_display_observer(const qd_display *display);

#endif
