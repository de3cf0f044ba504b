qd_test(worker test_idx qd_worker)
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
