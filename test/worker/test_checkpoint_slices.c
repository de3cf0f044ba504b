/* How tensors are dealt to writers, and put together from slices. */
#include <check.h>
#include <limits.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "test/worker/checkpoint_gang.h"
#include "worker/checkpoint_deal.h"
#include "worker/checkpoint_manifest.h"
#include "worker/checksum.h"
#include "worker/safetensors.h"

START_TEST(pieces_of_all_writers_cover_every_element_once_and_evenly) {
    state s = make_state();
    enum { ELEMENTS = 37 * 11 + 37 + 5 * 37 + 37 * 11, WIDEST_ROW = 37 };
    for (int writers = 1; writers <= 200; writers++) {
        static int seen[MAX_TENSORS][37];
        int64_t all = 0;
        int twice = 0, invalid = 0;
        memset(seen, 0, sizeof seen);
        for (int w = 0; w < writers; w++) {
            qd_checkpoint_piece pieces[MAX_TENSORS];
            int count = qd_checkpoint_deal(s.tensors, s.count, w, writers, pieces);
            int64_t share = 0;
            for (int p = 0; p < count; p++) {
                const qd_slice *slice = &pieces[p].slice;
                invalid += !qd_slice_valid(slice);
                for (int64_t row = 0; row < slice->extent[0]; row++)
                    twice += seen[pieces[p].tensor][slice->offset[0] + row]++;
                share += qd_slice_elements(slice);
            }
            ck_assert_int_le(llabs(share - ELEMENTS / writers), WIDEST_ROW);
            all += share;
        }
        ck_assert_int_eq(invalid, 0);
        ck_assert_int_eq(twice, 0);
        ck_assert_int_eq(all, ELEMENTS);
    }
    free_state(&s);
}
END_TEST

START_TEST(a_large_tensor_is_cut_between_writers) {
    char *run = make_run("cut"), folder[PATH_MAX];
    state s = make_state();
    qd_manifest m;
    int holders = 0;
    save(run, &s, 3, 2, 5);
    qd_path_join(folder, sizeof folder, run, "checkpoints/step-00000003");
    ck_assert_msg(qd_manifest_read(folder, &m) == 0, "%s", qd_error_message());
    ck_assert_int_eq(m.file_count, 5);
    for (int f = 0; f < m.file_count; f++)
        for (int i = 0; i < m.files[f].count; i++)
            holders += strcmp(m.files[f].slices[i].name, "model/layer0.weight") == 0;
    ck_assert_int_ge(holders, 2);
    qd_manifest_fini(&m);
    free_state(&s);
    remove_run(run);
}
END_TEST

START_TEST(a_writer_without_tensors_still_has_its_files) {
    char *run = make_run("idle"), *path;
    state s = {.count = 0};
    add_tensor(&s, "only", 1, 2, 1);
    save(run, &s, 3, 2, 5);
    path = temp_path("idle/checkpoints/step-00000003/writer-004.json");
    ck_assert(qd_file_exists(path));
    ck_assert_int_eq(resume(run, &s), 3);
    assert_is_of_step(&s, 3);
    free(path);
    free_state(&s);
    remove_run(run);
}
END_TEST

/* Puts a checkpoint of step 1 together by hand: one tensor "t" of the given shape, whose element i
 * is i, in the given slices, one file each. */
static void store_slices(const char *run, const qd_shape *shape, const qd_slice *slices,
                         int count) {
    char folder[PATH_MAX], name[64], path[PATH_MAX];
    static float whole[4096], part[4096];
    qd_stored_file files[MAX_WRITERS];
    qd_stored_slice stored[MAX_WRITERS];
    qd_slice all = qd_slice_whole(shape);
    for (int64_t i = 0; i < qd_slice_elements(&all); i++)
        whole[i] = (float)i;
    qd_path_join(folder, sizeof folder, run, "checkpoints/step-00000001");
    ck_assert_int_eq(qd_file_make_folders(folder), 0);
    for (int f = 0; f < count; f++) {
        size_t bytes = (size_t)qd_slice_elements(&slices[f]) * sizeof(float);
        qd_safetensor tensor = {.name = "t", .shape = {.dims = shape->dims}};
        qd_text content = {0};
        memcpy(tensor.shape.dim, slices[f].extent, sizeof tensor.shape.dim);
        ck_assert_int_eq(qd_safetensors_write_header(&tensor, 1, &content), 0);
        qd_slice_copy(&all, whole, &slices[f], part);
        qd_text_add_bytes(&content, (const char *)part, bytes);
        snprintf(name, sizeof name, "writer-%03d.safetensors", f);
        qd_path_join(path, sizeof path, folder, name);
        temp_write(path, content.bytes, content.length);
        stored[f] = (qd_stored_slice){
            .name = "t", .slice = slices[f], .checksum = qd_checksum(part, bytes)};
        files[f] = (qd_stored_file){.bytes = content.length, .slices = &stored[f], .count = 1};
        qd_text_fini(&content);
    }
    char job[] = "name: by-hand\n";
    qd_manifest m = {.step = 1, .job_text = job, .files = files, .file_count = count};
    ck_assert_int_eq(qd_manifest_write(folder, &m), 0);
}

static int load_t(const char *run, const qd_shape *shape, float *data) {
    qd_state_tensor t = {.name = "t", .slice = qd_slice_whole(shape), .data = data};
    qd_checkpoint_info info = find(run, -1);
    ck_assert_int_eq(info.step, 1);
    int rc = qd_checkpoint_load(&info, &t, 1, (qd_listener){0});
    qd_checkpoint_info_fini(&info);
    return rc;
}

static const qd_shape cube = {.dims = 4, .dim = {4, 6, 5, 3}};

START_TEST(slices_along_any_dimensions_are_put_together) {
    char *run = make_run("cube");
    float data[4 * 6 * 5 * 3];
    qd_slice slices[] = {
        {cube, {0, 0, 0, 0}, {4, 2, 5, 3}}, {cube, {0, 2, 0, 0}, {4, 4, 5, 1}},
        {cube, {0, 2, 0, 1}, {1, 4, 5, 2}}, {cube, {1, 2, 0, 1}, {3, 4, 2, 2}},
        {cube, {1, 2, 2, 1}, {3, 1, 3, 2}}, {cube, {1, 3, 2, 1}, {3, 3, 3, 2}},
    };
    store_slices(run, &cube, slices, 6);
    memset(data, 0xff, sizeof data);
    ck_assert_msg(load_t(run, &cube, data) == 0, "%s", qd_error_message());
    for (int i = 0; i < 4 * 6 * 5 * 3; i++)
        ck_assert_float_eq(data[i], (float)i);
    remove_run(run);
}
END_TEST

START_TEST(a_tensor_with_a_hole_is_refused_and_untouched) {
    char *run = make_run("hole");
    float data[4 * 6 * 5 * 3] = {0};
    qd_slice slices[] = {{cube, {0, 0, 0, 0}, {4, 2, 5, 3}}, {cube, {0, 2, 0, 0}, {4, 4, 5, 2}}};
    store_slices(run, &cube, slices, 2);
    assert_fails(load_t(run, &cube, data), QD_EDATA,
                 "%s/checkpoints/step-00000001: t: only 280 of 360 elements are there", run);
    for (int i = 0; i < 4 * 6 * 5 * 3; i++)
        ck_assert_float_eq(data[i], 0);
    remove_run(run);
}
END_TEST

START_TEST(overlapping_slices_are_refused) {
    char *run = make_run("overlap");
    float data[4 * 6 * 5 * 3];
    qd_slice slices[] = {{cube, {0, 0, 0, 0}, {4, 3, 5, 3}}, {cube, {0, 2, 0, 0}, {4, 3, 5, 3}}};
    store_slices(run, &cube, slices, 2);
    assert_fails(load_t(run, &cube, data), QD_EDATA,
                 "%s/checkpoints/step-00000001: two slices of t overlap", run);
    remove_run(run);
}
END_TEST

START_TEST(another_shape_or_a_missing_tensor_is_refused) {
    char *run = make_run("shape");
    float data[360];
    qd_shape other = {.dims = 2, .dim = {18, 20}};
    qd_slice slice = qd_slice_whole(&cube);
    store_slices(run, &cube, &slice, 1);
    assert_fails(load_t(run, &other, data), QD_EDATA,
                 "%s/checkpoints/step-00000001: t is [4, 6, 5, 3] there, [18, 20] here", run);
    qd_state_tensor u = {.name = "u", .slice = qd_slice_whole(&cube), .data = data};
    qd_checkpoint_info info = find(run, -1);
    assert_fails(qd_checkpoint_load(&info, &u, 1, (qd_listener){0}), QD_EDATA,
                 "%s/checkpoints/step-00000001: holds no tensor u", run);
    qd_checkpoint_info_fini(&info);
    remove_run(run);
}
END_TEST

/* ---- members that hold slices ---- */

static float element(const qd_slice *slice, const float *data, const int64_t at[QD_MAX_DIMS]) {
    int64_t i = 0;
    for (int d = 0; d < slice->whole.dims; d++)
        i = i * slice->extent[d] + at[d] - slice->offset[d];
    return data[i];
}

static bool contains(const qd_slice *slice, const int64_t at[QD_MAX_DIMS]) {
    for (int d = 0; d < slice->whole.dims; d++)
        if (at[d] < slice->offset[d] || at[d] >= slice->offset[d] + slice->extent[d])
            return false;
    return true;
}

/* Element by element what qd_slice_copy does in runs; returns how many are wrong. */
static int wrong_after_copy(const qd_slice *from, const float *source, const qd_slice *to,
                            const float *target) {
    int wrong = 0;
    for (int64_t i = 0; i < qd_slice_elements(to); i++) {
        int64_t at[QD_MAX_DIMS] = {0}, rest = i;
        for (int d = to->whole.dims - 1; d >= 0; d--, rest /= to->extent[d + 1])
            at[d] = to->offset[d] + rest % to->extent[d];
        wrong += target[i] != (contains(from, at) ? element(from, source, at) : -1);
    }
    return wrong;
}

static int random_below(unsigned *seed, int limit) {
    *seed = *seed * 1664525u + 1013904223u;
    return (int)((*seed >> 8) % (unsigned)limit);
}

static qd_slice random_slice(unsigned *seed) {
    qd_slice slice = {.whole = cube};
    for (int d = 0; d < cube.dims; d++) {
        slice.offset[d] = random_below(seed, (int)cube.dim[d]);
        slice.extent[d] = 1 + random_below(seed, (int)(cube.dim[d] - slice.offset[d]));
    }
    return slice;
}

START_TEST(what_two_slices_share_is_copied_and_nothing_else) {
    unsigned random = 5;
    int wrong = 0, shared = 0;
    for (int trial = 0; trial < 2000; trial++) {
        float source[360], target[360];
        qd_slice from = random_slice(&random), to = random_slice(&random);
        for (int i = 0; i < 360; i++) {
            source[i] = (float)i;
            target[i] = -1;
        }
        qd_slice_copy(&from, source, &to, target);
        wrong += wrong_after_copy(&from, source, &to, target);
        shared += qd_slice_overlaps(&from, &to);
    }
    ck_assert_int_eq(wrong, 0);
    ck_assert_int_gt(shared, 200);
    ck_assert_int_lt(shared, 1800);
}
END_TEST

enum { ROWS = 7, COLUMNS = 10, GANG_DP = 2, GANG_TP = 3, GANG = GANG_DP * GANG_TP };

/* What member (d, t) of a grid of GANG_DP x GANG_TP holds: columns of one matrix, rows of another,
 * neither of which divides, and all of a vector. */
static state member_state(int d, int t) {
    state s = {.count = 0};
    int64_t first = COLUMNS * t / GANG_TP, end = COLUMNS * (t + 1) / GANG_TP;
    add_tensor(&s, "model/columns", 2, ROWS, COLUMNS);
    add_tensor(&s, "model/norm", 1, COLUMNS, 1);
    add_tensor(&s, "model/rows", 2, COLUMNS, ROWS);
    s.tensors[0].slice.offset[1] = s.tensors[2].slice.offset[0] = first;
    s.tensors[0].slice.extent[1] = s.tensors[2].slice.extent[0] = end - first;
    for (int i = 0; i < s.count; i++) {
        bool cut = i != 1;
        s.tensors[i].replica = cut ? d : d * GANG_TP + t;
        s.tensors[i].replicas = cut ? GANG_DP : GANG;
    }
    return s;
}

static state whole_state(void) {
    state s = {.count = 0};
    add_tensor(&s, "model/columns", 2, ROWS, COLUMNS);
    add_tensor(&s, "model/norm", 1, COLUMNS, 1);
    add_tensor(&s, "model/rows", 2, COLUMNS, ROWS);
    return s;
}

/* Each held element says its tensor and its place in the whole. */
static void fill_held(state *s, bool clear) {
    for (int t = 0; t < s->count; t++) {
        const qd_slice *slice = &s->tensors[t].slice;
        int64_t width = slice->whole.dims > 1 ? slice->extent[1] : 1;
        int64_t whole_width = slice->whole.dims > 1 ? slice->whole.dim[1] : 1;
        for (int64_t i = 0; i < elements_of(&s->tensors[t]); i++) {
            int64_t row = slice->offset[0] + i / width, column = slice->offset[1] + i % width;
            s->tensors[t].data[i] = clear ? -1 : (float)(1000 * t + row * whole_width + column);
        }
    }
}

static void assert_filled(state *s) {
    state expected = {.count = s->count};
    for (int t = 0; t < s->count; t++) {
        expected.tensors[t] = s->tensors[t];
        expected.tensors[t].data = calloc((size_t)elements_of(&s->tensors[t]), sizeof(float));
    }
    fill_held(&expected, false);
    for (int t = 0; t < s->count; t++)
        ck_assert_mem_eq(s->tensors[t].data, expected.tensors[t].data,
                         (size_t)elements_of(&s->tensors[t]) * sizeof(float));
    free_state(&expected);
}

static void save_members(const char *run, state *members, int count) {
    qd_job job = make_job(2);
    qd_checkpoint_writer *writers[MAX_WRITERS];
    create_writers(run, count, writers);
    for (int w = 0; w < count; w++) {
        fill_held(&members[w], false);
        begin_all(&members[w], 1, 1, &writers[w]);
    }
    for (int w = 0; w < count; w++) {
        ck_assert_msg(qd_checkpoint_wait(writers[w], patience_s) == 0, "%s", qd_error_message());
        if (w > 0)
            qd_checkpoint_forget(writers[w]);
    }
    ck_assert_msg(qd_checkpoint_commit(writers[0], &job, &origin) == 0, "%s", qd_error_message());
    destroy_writers(count, writers);
}

static void load_and_check(const char *run, state *members, int count) {
    for (int w = 0; w < count; w++) {
        fill_held(&members[w], true);
        ck_assert_int_eq(resume(run, &members[w]), 1);
        assert_filled(&members[w]);
    }
}

START_TEST(what_one_saved_whole_members_load_as_slices_and_the_reverse) {
    char *from_one = make_run("from-one"), *from_many = make_run("from-many");
    state one = whole_state(), many[GANG];
    for (int i = 0; i < GANG; i++)
        many[i] = member_state(i / GANG_TP, i % GANG_TP);
    save_members(from_one, &one, 1);
    load_and_check(from_one, many, GANG);
    save_members(from_many, many, GANG);
    load_and_check(from_many, &one, 1);
    load_and_check(from_many, many, GANG);
    for (int i = 0; i < GANG; i++)
        free_state(&many[i]);
    free_state(&one);
    remove_run(from_one);
    remove_run(from_many);
}
END_TEST

START_TEST(members_share_the_writing_of_what_they_all_hold) {
    int64_t least = INT64_MAX, most = 0, all = 0;
    for (int i = 0; i < GANG; i++) {
        state s = member_state(i / GANG_TP, i % GANG_TP);
        qd_checkpoint_piece pieces[MAX_TENSORS];
        int64_t share = 0;
        int count = qd_checkpoint_deal(s.tensors, s.count, i, GANG, pieces);
        for (int p = 0; p < count; p++)
            share += qd_slice_elements(&pieces[p].slice);
        least = share < least ? share : least;
        most = share > most ? share : most;
        all += share;
        free_state(&s);
    }
    ck_assert_int_eq(all, 2 * ROWS * COLUMNS + COLUMNS);
    /* A third of the columns is 3 or 4 of 10, and a row of either matrix at most 7 elements. */
    ck_assert_int_le(most - least, ROWS + 7 + 1);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("checkpoint_slices");
    TCase *tc = tcase_create("checkpoint_slices");
    tcase_set_timeout(tc, 120);
    tcase_add_unchecked_fixture(tc, temp_folder_make, temp_folder_remove);
    tcase_add_test(tc, pieces_of_all_writers_cover_every_element_once_and_evenly);
    tcase_add_test(tc, a_large_tensor_is_cut_between_writers);
    tcase_add_test(tc, a_writer_without_tensors_still_has_its_files);
    tcase_add_test(tc, slices_along_any_dimensions_are_put_together);
    tcase_add_test(tc, a_tensor_with_a_hole_is_refused_and_untouched);
    tcase_add_test(tc, overlapping_slices_are_refused);
    tcase_add_test(tc, another_shape_or_a_missing_tensor_is_refused);
    tcase_add_test(tc, what_two_slices_share_is_copied_and_nothing_else);
    tcase_add_test(tc, what_one_saved_whole_members_load_as_slices_and_the_reverse);
    tcase_add_test(tc, members_share_the_writing_of_what_they_all_hold);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
