/*
 * core_witness_internal.h: the seams between the files of the witness (core_witness.h), one for
 * each kind of promise. A new promise goes where its kind is, and into core_witness.c, which says
 * when it must hold.
 */
#ifndef QD_TEST_SCHEDULER_CORE_WITNESS_INTERNAL_H
#define QD_TEST_SCHEDULER_CORE_WITNESS_INTERNAL_H

#include "core_witness.h"

/* Notes which rule was broken; always false. */
bool broken(witness *w, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* ---- witness_books.c: what the witness's books say of jobs and ranks ---- */

bool over(qd_job_state state);

/* Reads "KIND:JOB" from a list with commas; NULL behind the last. */
const char *read_after(const char *text, char kind[8], long long *job);

/* Counts the jobs that this one waits for, and those whose ends forbid it ever to run. */
void look_at_after(const witness *w, const witness_job *job, int *waits, int *forbid);
int count_ranks(const witness *w, bool (*is)(const witness_rank *));
bool is_alive(const witness_rank *r);
bool is_free(const witness_rank *r);
bool is_in_service(const witness_rank *r);
bool is_on_its_way(const witness_rank *r);

/* In the queue: no hold, begin or other job keeps it out. */
bool waits_for_ranks(const witness *w, const witness_job *job);
int step_of(const qd_submission *s);
bool is_size_of(const qd_submission *s, int ranks);

/* Whether it has run, in all its attempts, for its limit. */
bool is_late(const witness *w, const witness_job *job);
bool grace_is_over(const witness *w, const witness_job *job);

/* Ranks that others can have when it ends, or, if it goes on, when it has saved. */
uint64_t ranks_in_service(const witness *w, const witness_job *job);
int live_in_service(const witness *w, const witness_job *job);
bool may_start(const witness *w);
bool somebody_saves(const witness *w);

/* ---- witness_reservations.c: whose ranks are whose, and who has to be out of the way ---- */

/* One that is not over; NULL. */
witness_reservation *find_reservation(const witness *w, int64_t number);
bool expects_reserve(const witness *w, const qd_event *e);
bool reservation_takes(const witness *w, const qd_submission *s);

/* Jobs that are still inside hold their ranks as others do from now on. */
void outstay(witness *w, const witness_reservation *r);

/* At the end of an instant. */
void pass_edges(witness *w);

/* By when a job that is told to save has to be out of the way of a reservation, or of its own; 0:
 * that is no reason. */
int64_t way_by(const witness *w, const witness_job *job, const char *reason);

/* For who makes room from now on: until a reservation begins, at most. */
int64_t grace_from_now(const witness *w);

/* Whoever runs has what it needs, or all that is free; jobs outside take only of the rest. */
bool running_reservations_have_their_ranks(witness *w, const qd_core *core);

/* A job whose end is known starts only where it leaves the ranks in time; one grace before a
 * reservation begins nobody stays in its way. */
bool the_next_reservations_get_their_ranks(witness *w);

bool is_in_service(const witness_rank *r);

/* A singleton beside one of its name that runs, or came before it. */
bool waits_for_its_name(const witness *w, const witness_job *job);

/* ---- witness_teams.c: the tree of teams as the settings have it ---- */

void note_teams(witness *w, const qd_scheduling *s);

/* Whether the team is the account, or above it; of a job's account. */
bool is_below(const witness *w, int account, int team);
bool is_in(const witness *w, const witness_job *job, int team);

/* ---- witness_quotas.c: who owns, who borrows, who may call back ---- */

/* It has run for long enough, has something new to save, and somebody waits who may take its
 * ranks; or some of them alone. */
bool may_make_room(const witness *w, const witness_job *job, bool some);

/* What is borrowed is idle, and not for good; and who owns it gets it back. */
bool quotas_are_kept(witness *w);
bool some_keep_idle_ranks(const witness *w);

/* ---- witness_events.c: what may come in, and what an event means by itself ---- */

void note_event(witness *w, const qd_event *e);

/* ---- witness_actions.c: what may come out ---- */

bool see_action(witness *w, const qd_event *event, const qd_action *a);

/* ---- witness_resize.c: who goes on, on other ranks ---- */

/* Ranks that are kept for its next attempt. */
uint64_t kept_ranks(const witness *w, const witness_job *job);

/* It does not go on with them. */
void unkeep(witness *w, witness_job *job);

/* Its last attempt is over, and it goes on, or waits. */
void close_attempt(const witness *w, witness_job *job);

/* It is told with which ranks it goes on: its present members in service, or free ones. */
bool see_resize(witness *w, witness_job *job, const qd_action *a);

/* It went on with what was kept for it; the rest is free. */
bool see_resized(witness *w, witness_job *job, const qd_action *a);

/* Saved, and back in the queue. */
bool requeue(witness *w, witness_job *job);

/* Whether the ranks of a running gang of which a member failed just now are kept together. */
bool may_regroup(const witness *w, const witness_job *job);

/* Whether what has happened since it was told to save keeps it from going on. */
bool cannot_go_on(const witness *w, const witness_job *job);

/* ---- witness_pace.c: which ranks are slow ---- */

void note_pace(witness *w, const qd_event *e);

/* ---- witness_queue.c: who comes first, who may pass, and what is left idle ---- */

bool nobody_was_passed(witness *w);

/* Run time of a further attempt on so many ranks; INT64_MAX: nobody knows. */
int64_t run_on(const witness_job *job, int ranks);

/* When a job that holds ranks is predicted to end, or to have saved if it has been told to; when
 * one that is resized is predicted to end once it goes on. INT64_MAX: nobody knows. */
int64_t predicted_end(const witness *w, const witness_job *job);
int64_t resized_end(const witness *w, const witness_job *job);

/* Backfill: what starts behind the head leaves it the start that it was promised. Only jobs behind
 * the present head can have started without it: those before it are not pending any more. */
bool the_head_is_not_delayed(witness *w);
bool the_head_does_not_wait_for_nothing(witness *w);

/* Whoever the head is, it would fit; what is being saved may be kept for another. */
bool not_all_wait_though_each_fits(witness *w);

/* The same of a gang that lost a rank, as against jobs that are not more important. */
bool nobody_takes_what_is_owed(witness *w);

/* Where ranks are given to whoever fits. */
bool nobody_waits_beside_idle_ranks(witness *w);

/* Of two jobs that started together, dealt round robin in order: one below its most has at most one
 * spare rank less than an earlier, none less than a later; and no rank is left. */
bool spare_ranks_are_dealt_fairly(witness *w);

/* ---- witness_accounts.c: what accounts may hold ---- */

bool accounts_keep_their_limits(witness *w);

/* Which jobs their accounts keep out of the queue, in the core's own words: whether rightly so is
 * checked (accounts_keep_their_limits). */
void note_limits(witness *w, const qd_core *core);

/* ---- witness_room.c: who makes room, and for how long ---- */

/* What is free or being saved would not be enough for who waits first with a claim, had one of
 * those that were told just now been let off. Who that is, the witness does not know: some job of a
 * higher class, for whom each of them was needed. */
bool nobody_makes_room_for_nothing(witness *w);
bool nobody_saves_past_the_grace(witness *w);

/* What is free, or given back by those that move, is enough together for somebody who needs that,
 * and not more gangs move than may. */
bool nobody_migrates_for_nothing(witness *w);

/* ---- witness_places.c: where gangs lie ---- */

/* The most ranks that are such and are together as the job demands. */
uint64_t ranks_that(const witness *w, bool (*is)(const witness_rank *));
int most_together_of(const witness *w, const witness_job *job, uint64_t ranks);
int most_together(const witness *w, const witness_job *job, bool (*is)(const witness_rank *));

/* It does not take any place. */
bool is_choosy(const witness_job *job);

/* Together, and with the memory. */
bool is_as_demanded(witness *w, const witness_job *job, const qd_action *a);

/* The same, and where it fits best. Before its ranks are noted. */
bool has_its_place(witness *w, const witness_job *job, const qd_action *a);

/* ---- witness_ends.c: how jobs end, and that they do ---- */

/* The end that the members' words add up to. */
qd_job_state right_end(const witness *w, const witness_job *job);

/* Nobody waits for what will never be. */
bool nobody_waits_for_ever(witness *w);

/* Whoever cannot go on was told so; whoever was not told goes on. */
bool members_know_their_orders(witness *w);
bool shutdown_comes_when_due(witness *w);
bool views_agree(witness *w, const qd_core *core);
bool nobody_runs_past_its_limit(witness *w);

#endif
