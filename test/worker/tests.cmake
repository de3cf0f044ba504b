qd_test(worker test_idx qd_worker)
qd_test(worker test_text qd_worker)
qd_test(worker test_loader qd_worker)
qd_test(worker test_checkpoint qd_worker)
qd_test(worker test_checkpoint_slices qd_worker)
qd_test(worker test_checkpoint_failure qd_worker)
qd_test(worker test_safetensors qd_worker)
qd_test(worker test_utilization qd_worker)
qd_test(worker test_steps_log qd_worker)

# Threads are started by these: test/run runs them under ThreadSanitizer, too.
set_tests_properties(worker/test_loader worker/test_checkpoint worker/test_checkpoint_slices
  worker/test_checkpoint_failure PROPERTIES LABELS threads)

qd_test(worker test_ops qd_worker)
qd_test(worker test_vector_math qd_worker)
qd_test(worker test_op_basics qd_worker)
target_sources(test_op_basics PRIVATE worker/op_check.c)
qd_test(worker test_op_rows qd_worker)
target_sources(test_op_rows PRIVATE worker/op_check.c)
qd_test(worker test_op_losses qd_worker)
target_sources(test_op_losses PRIVATE worker/op_check.c)
qd_test(worker test_op_attention qd_worker)
target_sources(test_op_attention PRIVATE worker/op_check.c)
qd_test(worker test_op_images qd_worker)
target_sources(test_op_images PRIVATE worker/op_check.c)
qd_test(worker test_optimizer qd_worker)
qd_test(worker test_golden qd_worker)
qd_test(worker test_families qd_worker)
qd_test(worker test_engine qd_worker)
# It counts what the engine allocates.
target_link_options(test_engine PRIVATE
  -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=aligned_alloc,--wrap=mmap)
