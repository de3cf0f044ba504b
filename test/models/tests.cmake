qd_test(models test_graph qd_models)
qd_test(models test_memory_plan qd_models)
qd_test(models test_job qd_models)
qd_test(models test_schedule qd_models)
