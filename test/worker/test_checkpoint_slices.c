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
        qd_slice_take(&slices[f], whole, part);
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
    qd_state_tensor t = {.name = "t", .shape = *shape, .data = data};
    qd_checkpoint_info info = find(run, -1);
    ck_assert_int_eq(info.step, 1);
    int rc = qd_checkpoint_load(&info, &t, 1);
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
    qd_state_tensor u = {.name = "u", .shape = cube, .data = data};
    qd_checkpoint_info info = find(run, -1);
    assert_fails(qd_checkpoint_load(&info, &u, 1), QD_EDATA,
                 "%s/checkpoints/step-00000001: holds no tensor u", run);
    qd_checkpoint_info_fini(&info);
    remove_run(run);
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
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
