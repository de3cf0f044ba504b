#include "scheduler/ranks.h"

#include <stdlib.h>

#include "runtime/error.h"

int qd_ranks_init(qd_rank_table *table, int count) {
    size_t entries = (size_t)count + 1;
    *table = (qd_rank_table){.count = count,
                             .in_state[QD_RANK_ABSENT] = count,
                             .rank = calloc(entries, sizeof *table->rank),
                             .place = calloc(entries, sizeof *table->place)};
    int rc = table->rank && table->place
                 ? qd_places_init(&table->places, count)
                 : qd_error_set(QD_ENOMEM, "no memory for a table of %d ranks", count);
    if (rc)
        qd_ranks_fini(table);
    return rc;
}

void qd_ranks_fini(qd_rank_table *table) {
    free(table->rank);
    free(table->place);
    qd_places_fini(&table->places);
    *table = (qd_rank_table){0};
}

int qd_ranks_alive(const qd_rank_table *table) {
    return table->count - table->in_state[QD_RANK_LOST];
}

bool qd_ranks_held_by(const qd_rank_table *table, int rank, int64_t job, int attempt) {
    const qd_rank *r = &table->rank[rank];
    return r->state == QD_RANK_HELD && r->job == job && r->attempt == attempt;
}

int qd_ranks_idle(const qd_rank_table *table) {
    return table->in_state[QD_RANK_FREE] + table->in_state[QD_RANK_CLAIMED];
}

int qd_ranks_in_service(const qd_rank_table *table) {
    return qd_ranks_alive(table) - table->drained;
}

static qd_presence presence(const qd_rank *rank) {
    bool alive = rank->state != QD_RANK_LOST;
    return (qd_presence){
        .free = rank->state == QD_RANK_FREE, .in_service = alive && !rank->drained, .alive = alive};
}

static void settle_places(qd_rank_table *table) {
    qd_places_settle(&table->places, table->place);
    for (int rank = 1; rank <= table->count; rank++)
        qd_places_change(&table->places, rank, (qd_presence){0}, presence(&table->rank[rank]));
}

static void set(qd_rank_table *table, int rank, qd_rank entry) {
    table->in_state[table->rank[rank].state]--;
    table->in_state[entry.state]++;
    qd_places_change(&table->places, rank, presence(&table->rank[rank]), presence(&entry));
    table->drained += entry.drained - table->rank[rank].drained;
    table->rank[rank] = entry;
    if (table->in_state[QD_RANK_ABSENT] == 0 && !table->places.known)
        settle_places(table);
}

static qd_rank_state idle_state(const qd_rank *rank) {
    if (rank->drained)
        return QD_RANK_DRAINED;
    if (rank->reservation)
        return QD_RANK_RESERVED;
    return rank->claimed_by ? QD_RANK_CLAIMED : QD_RANK_FREE;
}

static void serve_nobody(qd_rank_table *table, int rank, bool drained) {
    qd_rank entry = {.drained = drained};
    if (!drained) {
        entry.reservation = table->rank[rank].reservation;
        entry.claimed_by = table->rank[rank].claimed_by;
    }
    entry.state = idle_state(&entry);
    set(table, rank, entry);
}

void qd_ranks_ready(qd_rank_table *table, int rank, qd_place place) {
    if (table->rank[rank].state != QD_RANK_ABSENT)
        return;
    table->place[rank] = place;
    serve_nobody(table, rank, table->rank[rank].drained);
}

void qd_ranks_hold(qd_rank_table *table, int rank, int64_t job, int attempt) {
    set(table, rank,
        (qd_rank){.state = QD_RANK_HELD,
                  .job = job,
                  .attempt = attempt,
                  .reservation = table->rank[rank].reservation});
}

void qd_ranks_release(qd_rank_table *table, int rank) {
    const qd_rank *r = &table->rank[rank];
    if (r->kept)
        set(table, rank, (qd_rank){.state = QD_RANK_KEPT, .kept = true, .job = r->job});
    else
        serve_nobody(table, rank, r->drained);
}

void qd_ranks_keep(qd_rank_table *table, int rank, int64_t job) {
    qd_rank entry = table->rank[rank];
    if (entry.state == QD_RANK_FREE)
        entry = (qd_rank){.state = QD_RANK_KEPT, .job = job};
    entry.kept = true;
    set(table, rank, entry);
}

void qd_ranks_unkeep(qd_rank_table *table, int rank) {
    if (table->rank[rank].state == QD_RANK_KEPT)
        serve_nobody(table, rank, false);
    else
        table->rank[rank].kept = false;
}

void qd_ranks_drain(qd_rank_table *table, int rank, bool drained) {
    qd_rank entry = table->rank[rank];
    if (entry.state != QD_RANK_HELD && entry.state != QD_RANK_ABSENT) {
        serve_nobody(table, rank, drained);
        return;
    }
    entry.drained = drained;
    entry.kept &= !drained;
    entry.claimed_by = entry.reservation = 0;
    set(table, rank, entry);
}

void qd_ranks_reserve(qd_rank_table *table, int rank, int64_t reservation) {
    table->rank[rank].reservation = reservation;
    if (table->rank[rank].state != QD_RANK_HELD)
        serve_nobody(table, rank, false);
}

void qd_ranks_claim(qd_rank_table *table, int rank, int64_t job) {
    qd_rank entry = table->rank[rank];
    entry.claimed_by = job;
    if (entry.state == QD_RANK_FREE || entry.state == QD_RANK_CLAIMED)
        entry.state = job ? QD_RANK_CLAIMED : QD_RANK_FREE;
    set(table, rank, entry);
}

void qd_ranks_lose(qd_rank_table *table, int rank) {
    set(table, rank, (qd_rank){.state = QD_RANK_LOST});
}
