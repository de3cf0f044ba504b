/*
 * grid.h: the grid that a job lays over its gang: dp x pp x tp, and where each member of the gang
 * stands in it. Pure. Neighbours along the tensor axis come first, since they exchange most and
 * most often, so that they share a host; then those along the data axis, then pipeline stages.
 */
#ifndef QD_MODELS_GRID_H
#define QD_MODELS_GRID_H

/* Degrees of data, pipeline and tensor parallelism, each 1 or more. */
typedef struct qd_grid {
    int dp, pp, tp;
} qd_grid;

typedef enum { QD_AXIS_DATA, QD_AXIS_PIPELINE, QD_AXIS_TENSOR } qd_axis;

/* Coordinates, each from 0. */
typedef struct qd_grid_place {
    int d, p, t;
} qd_grid_place;

/* Members of the gang. */
int qd_grid_size(const qd_grid *grid);

/* Members along an axis. */
int qd_grid_degree(const qd_grid *grid, qd_axis axis);

/* Of member 0 .. size - 1, and back. */
qd_grid_place qd_grid_place_of(const qd_grid *grid, int member);
int qd_grid_member_at(const qd_grid *grid, qd_grid_place place);

/* The members that differ from this one along one axis only, itself among them, ascending, to
 * members [degree of the axis]: a group. */
void qd_grid_group(const qd_grid *grid, int member, qd_axis axis, int *members);

#endif
