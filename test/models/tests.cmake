qd_test(models test_graph qd_models)
qd_test(models test_memory_plan qd_models)
qd_test(models test_job qd_models)
target_include_directories(test_job PRIVATE ${CMAKE_CURRENT_SOURCE_DIR})
