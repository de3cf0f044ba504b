#include "scheduler/reservation_book.h"

#include <string.h>

#include "runtime/error.h"

static double seconds(int64_t ns, int64_t zero_ns) {
    return (double)(ns - zero_ns) * 1e-9;
}

static int check_values(const qd_book *book, const qd_reservation *r, int ranks, int64_t now_ns) {
    bool maintenance = r->kind == QD_RESERVATION_MAINTENANCE;
    if (!memchr(r->name, '\0', sizeof r->name) || !r->name[0])
        return qd_error_set(QD_EPROTO, "a reservation's name is empty or has no end");
    if ((!maintenance && r->kind != QD_RESERVATION_ADVANCE) ||
        (maintenance ? r->ranks != 0 : r->ranks < 1 || r->ranks > ranks))
        return qd_error_set(QD_EPROTO,
                            "reservation %s: %d ranks; accepted: 1 .. %d, 0 (all) for maintenance",
                            r->name, r->ranks, ranks);
    if (r->from_ns < 0 || r->until_ns <= r->from_ns || r->until_ns <= now_ns)
        return qd_error_set(QD_EPROTO, "reservation %s: it must end after it begins, and after now",
                            r->name);
    if (r->every_ns < 0 || (r->every_ns > 0 && (QD_WEEK_NS % r->every_ns != 0 ||
                                                r->every_ns < r->until_ns - r->from_ns)))
        return qd_error_set(QD_EPROTO,
                            "reservation %s: it comes every %g s; accepted: 0, or what divides a "
                            "week and is no shorter than the reservation",
                            r->name, (double)r->every_ns * 1e-9);
    if (r->number <= book->last_number || book->count == QD_RESERVATIONS)
        return qd_error_set(QD_EPROTO,
                            "reservation %s: number %lld, %d there are; a number above "
                            "%lld and %d at most are accepted",
                            r->name, (long long)r->number, book->count,
                            (long long)book->last_number, QD_RESERVATIONS);
    for (int i = 0; i < book->count; i++)
        if (strcmp(book->bookings[i].is.name, r->name) == 0)
            return qd_error_set(QD_EPROTO, "reservation %s: there is one of that name", r->name);
    return 0;
}

/* ---- who has ranks when ---- */

static int ranks_of(const qd_reservation *r, int all) {
    return r->kind == QD_RESERVATION_MAINTENANCE ? all : r->ranks;
}

/* The beginning of the occurrence that at_ns lies in; INT64_MAX: it lies in none. */
static int64_t occurrence(const qd_reservation *r, int64_t at_ns) {
    int64_t length = r->until_ns - r->from_ns, since = at_ns - r->from_ns;
    if (since < 0)
        return INT64_MAX;
    if (r->every_ns > 0)
        since %= r->every_ns;
    return since < length ? at_ns - since : INT64_MAX;
}

static int64_t end_of(const qd_reservation *r, int64_t at_ns) {
    return occurrence(r, at_ns) + (r->until_ns - r->from_ns);
}

typedef struct conflict {
    int64_t at_ns, until_ns; /* at_ns INT64_MAX: there is none */
    int missing;
    const qd_reservation *other; /* the one that has most */
} conflict;

typedef struct search {
    const qd_book *book;
    const qd_reservation *fresh;
    int ranks;
    conflict found; /* the earliest */
} search;

static void look_at(search *s, int64_t at_ns) {
    if (at_ns >= s->found.at_ns || occurrence(s->fresh, at_ns) == INT64_MAX)
        return;
    conflict c = {.at_ns = at_ns, .until_ns = end_of(s->fresh, at_ns)};
    int wanted = ranks_of(s->fresh, s->ranks);
    for (int i = 0; i < s->book->count; i++) {
        const qd_reservation *r = &s->book->bookings[i].is;
        if (occurrence(r, at_ns) == INT64_MAX)
            continue;
        wanted += r->ranks;
        if (!c.other || r->ranks > c.other->ranks)
            c.other = r;
        if (end_of(r, at_ns) < c.until_ns)
            c.until_ns = end_of(r, at_ns);
    }
    c.missing = wanted - s->ranks;
    if (c.missing > 0)
        s->found = c;
}

static int64_t gcd(int64_t a, int64_t b) {
    while (b > 0) {
        int64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

/* After this long all that come again come alike; divides a week. */
static int64_t common_period(const search *s) {
    int64_t period = s->fresh->every_ns > 0 ? s->fresh->every_ns : 1;
    for (int i = 0; i < s->book->count; i++) {
        int64_t every = s->book->bookings[i].is.every_ns;
        if (every > 0)
            period = period / gcd(period, every) * every;
    }
    return period;
}

/* All beginnings of a reservation within [from, from + span). */
static void look_at_starts(search *s, const qd_reservation *r, int64_t from_ns, int64_t span_ns) {
    int64_t at = r->from_ns;
    if (r->every_ns > 0 && at < from_ns)
        at += (from_ns - at + r->every_ns - 1) / r->every_ns * r->every_ns;
    for (; at - from_ns < span_ns && at < s->found.at_ns; at += r->every_ns) {
        if (at >= from_ns)
            look_at(s, at);
        if (r->every_ns == 0)
            return;
    }
}

/* From from_ns on until something begins that does not come again: the sums are greatest where
 * something begins, and repeat after the common period. */
static void look_from(search *s, int64_t from_ns) {
    int64_t span = common_period(s);
    look_at(s, from_ns);
    look_at_starts(s, s->fresh, from_ns, span);
    for (int i = 0; i < s->book->count; i++)
        look_at_starts(s, &s->book->bookings[i].is, from_ns, span);
}

int qd_book_check(const qd_book *book, const qd_reservation *reservation, int ranks, int64_t now_ns,
                  int64_t zero_ns) {
    int rc = check_values(book, reservation, ranks, now_ns);
    if (rc)
        return rc;
    search s = {.book = book, .fresh = reservation, .ranks = ranks, .found = {.at_ns = INT64_MAX}};
    look_from(&s, reservation->from_ns);
    for (int i = 0; i < book->count; i++)
        if (book->bookings[i].is.from_ns > reservation->from_ns)
            look_from(&s, book->bookings[i].is.from_ns);
    if (s.found.at_ns == INT64_MAX)
        return 0;
    return qd_error_set(QD_EPROTO,
                        "reservation %s: beside reservation %s it lacks %d rank%s in [%.10g "
                        "s, %.10g s)",
                        reservation->name, s.found.other->name, s.found.missing,
                        s.found.missing == 1 ? "" : "s", seconds(s.found.at_ns, zero_ns),
                        seconds(s.found.until_ns, zero_ns));
}

int qd_book_add(qd_book *book, const qd_reservation *reservation, int ranks, int64_t now_ns,
                int64_t zero_ns) {
    int rc = qd_book_check(book, reservation, ranks, now_ns, zero_ns);
    if (rc)
        return rc;
    qd_booking *booking = &book->bookings[book->count++];
    *booking = (qd_booking){.is = *reservation};
    booking->is.ranks = ranks_of(reservation, ranks);
    book->last_number = reservation->number;
    return 0;
}

qd_booking *qd_book_find(qd_book *book, int64_t number) {
    for (int i = 0; i < book->count; i++)
        if (book->bookings[i].is.number == number)
            return &book->bookings[i];
    return NULL;
}

void qd_book_remove(qd_book *book, qd_booking *booking) {
    for (qd_booking *last = &book->bookings[--book->count]; booking < last; booking++)
        *booking = booking[1];
}
