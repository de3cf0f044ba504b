/*
 * reservation_book.h: which numbers of ranks are promised to whom and when, as plain values:
 * half-open intervals [from, until), once or again and again, that never add up to more ranks than
 * there are. What it takes to keep the promises is reservations.h's business.
 */
#ifndef QD_SCHEDULER_RESERVATION_BOOK_H
#define QD_SCHEDULER_RESERVATION_BOOK_H

#include <stdbool.h>
#include <stdint.h>

#include "scheduler/tree.h"

enum { QD_RESERVATIONS = 32, QD_RESERVATION_NAME_BYTES = 64 };

/* The times at which a reservation comes again divide a week, so that all of them together do. */
#define QD_WEEK_NS (INT64_C(604800) * 1000000000)

typedef enum {
    QD_RESERVATION_ADVANCE,     /* for the jobs that name it */
    QD_RESERVATION_MAINTENANCE, /* for nobody: all ranks idle */
} qd_reservation_kind;

/* Times in ns, on the events' clock. */
typedef struct qd_reservation {
    int64_t number; /* unique, ascending, > 0 */
    char name[QD_RESERVATION_NAME_BYTES];
    int kind;    /* a qd_reservation_kind */
    int ranks;   /* ADVANCE: so many; MAINTENANCE: 0, it takes all */
    int account; /* whose jobs may name it; -1: anybody's */
    int64_t from_ns, until_ns;
    int64_t every_ns; /* again after so long, for ever; 0: once */
} qd_reservation;

typedef struct qd_booking {
    qd_reservation is; /* from, until: of the present occurrence, else of the next one; ranks: never
                          0 */
    bool running;
    int has;         /* ranks that it holds while it runs */
    qd_tree waiting; /* pending jobs that name it (reservations.h) */
} qd_booking;

/* All zeros: empty. A plain value, but for `waiting`. */
typedef struct qd_book {
    qd_booking bookings[QD_RESERVATIONS]; /* by number */
    int count;
    int64_t last_number;
} qd_book;

/*
 * Adds a reservation of a cluster of so many ranks, seen from now_ns. QD_EPROTO, nothing changed:
 * its values are not such as they may be, its name is taken, the book is full, or ranks would be
 * short: then the message names the other reservation, the interval and the ranks short. Times in
 * messages are seconds from zero_ns on. O(n * m) for n reservations and the m times that they come
 * in a week, or within the new one.
 */
int qd_book_add(qd_book *book, const qd_reservation *reservation, int ranks, int64_t now_ns,
                int64_t zero_ns);

/* The same without adding it. */
int qd_book_check(const qd_book *book, const qd_reservation *reservation, int ranks, int64_t now_ns,
                  int64_t zero_ns);

/* NULL: there is none, or none any more. */
qd_booking *qd_book_find(qd_book *book, int64_t number);

/* Takes it out. */
void qd_book_remove(qd_book *book, qd_booking *booking);

#endif
