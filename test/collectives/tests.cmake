qd_test(collectives test_tree qd_collectives)

# The same program on worlds of several sizes, over each transport. Messages stay on this host.
function(qd_mpi_test name)
  add_executable(${name} collectives/${name}.c)
  target_include_directories(${name} PRIVATE ${CMAKE_SOURCE_DIR}/test/collectives)
  target_link_libraries(${name} PRIVATE qd_collectives)
  foreach(ranks 2 3 4 5 8)
    foreach(transport shm mpi hierarchical)
      set(test collectives/${name}_${transport}_${ranks})
      add_test(NAME ${test} COMMAND mpirun --oversubscribe -mca btl self,vader -n ${ranks}
        $<TARGET_FILE:${name}> ${transport})
      set_tests_properties(${test} PROPERTIES TIMEOUT 120 PROCESSORS 2
        ENVIRONMENT "${QD_MPI_TEST_ENVIRONMENT}")
    endforeach()
  endforeach()
endfunction()

qd_mpi_test(test_allreduce_mpi)
qd_mpi_test(test_group_mpi)
qd_mpi_test(test_exchange_mpi)
