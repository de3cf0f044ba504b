#include "models/grid.h"

int qd_grid_size(const qd_grid *grid) {
    return grid->dp * grid->pp * grid->tp;
}

int qd_grid_degree(const qd_grid *grid, qd_axis axis) {
    switch (axis) {
    case QD_AXIS_DATA:
        return grid->dp;
    case QD_AXIS_PIPELINE:
        return grid->pp;
    case QD_AXIS_TENSOR:
        break;
    }
    return grid->tp;
}

qd_grid_place qd_grid_place_of(const qd_grid *grid, int member) {
    return (qd_grid_place){
        .d = member / grid->tp % grid->dp,
        .p = member / grid->tp / grid->dp,
        .t = member % grid->tp,
    };
}

int qd_grid_member_at(const qd_grid *grid, qd_grid_place place) {
    return (place.p * grid->dp + place.d) * grid->tp + place.t;
}

void qd_grid_group(const qd_grid *grid, int member, qd_axis axis, int *members) {
    qd_grid_place place = qd_grid_place_of(grid, member);
    int *along = axis == QD_AXIS_DATA ? &place.d : axis == QD_AXIS_PIPELINE ? &place.p : &place.t;
    for (int i = 0; i < qd_grid_degree(grid, axis); i++) {
        *along = i;
        members[i] = qd_grid_member_at(grid, place);
    }
}
