qd_test(runtime test_basics qd_runtime)
qd_test(runtime test_random qd_runtime)
qd_test(runtime test_file qd_runtime)

add_executable(test_wire_mpi runtime/test_wire_mpi.c)
target_link_libraries(test_wire_mpi PRIVATE qd_runtime)
add_test(NAME runtime/test_wire_mpi COMMAND mpirun --oversubscribe -mca btl self,vader -n 3 $<TARGET_FILE:test_wire_mpi>)
set_tests_properties(runtime/test_wire_mpi PROPERTIES TIMEOUT 120 ENVIRONMENT "${QD_MPI_TEST_ENVIRONMENT}")
