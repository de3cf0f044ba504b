/*
 * planner_shortlist.h: the best plans of a search, one of each grid. Inside of models/planner*.c.
 */
#ifndef QD_MODELS_PLANNER_SHORTLIST_H
#define QD_MODELS_PLANNER_SHORTLIST_H

#include "models/planner_search.h"

bool qd_search_same_grid(const qd_plan_layout *a, const qd_plan_layout *b);

/* Whether plan would come into the list, but for a better one of its grid. */
bool qd_search_wanted(const qd_search *s, const qd_search_list *list, const qd_plan *plan);

/* Puts plan into its place by the search's aim; of a grid the better plan stays. */
void qd_search_keep(const qd_search *s, qd_search_list *list, const qd_plan *plan);

#endif
