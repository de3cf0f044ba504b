qd_test(collectives test_tree qd_collectives)

# The same program on worlds of several sizes, over each transport. Messages stay on this host. A sanitizer looks at
# the same code whatever the size, and is slow: two sizes do.
set(QD_MPI_TEST_RANKS 2 3 4 5 8)
if(QD_SANITIZE)
  set(QD_MPI_TEST_RANKS 3 5)
endif()
function(qd_mpi_program name)
  add_executable(${name} collectives/${name}.c)
  target_include_directories(${name} PRIVATE ${CMAKE_SOURCE_DIR}/test/collectives)
  target_link_libraries(${name} PRIVATE qd_collectives)
endfunction()
function(qd_mpi_run name transport ranks)
  set(test collectives/${name}_${transport}_${ranks})
  add_test(NAME ${test} COMMAND mpirun --oversubscribe -mca btl self,vader -n ${ranks}
    $<TARGET_FILE:${name}> ${transport})
  set_tests_properties(${test} PROPERTIES TIMEOUT 120 PROCESSORS 2
    ENVIRONMENT "${QD_MPI_TEST_ENVIRONMENT}")
endfunction()
function(qd_mpi_test name)
  qd_mpi_program(${name})
  foreach(ranks ${QD_MPI_TEST_RANKS})
    foreach(transport shm mpi hierarchical)
      qd_mpi_run(${name} ${transport} ${ranks})
    endforeach()
  endforeach()
endfunction()

qd_mpi_test(test_allreduce_mpi)
qd_mpi_test(test_group_mpi)
qd_mpi_test(test_exchange_mpi)
qd_mpi_test(test_sums_mpi)

# What is counted follows from the code alone: powers of two and others, on one host and on several.
qd_mpi_program(test_bytes_mpi)
qd_mpi_run(test_bytes_mpi hierarchical 5)
if(NOT QD_SANITIZE)
  qd_mpi_run(test_bytes_mpi hierarchical 8)
  qd_mpi_run(test_bytes_mpi shm 3)
  qd_mpi_run(test_bytes_mpi shm 4)
  qd_mpi_run(test_bytes_mpi mpi 3)
endif()

# Those with a second thread also under TSan, which takes Open MPI's own shared memory for a race.
qd_mpi_test(test_progress_mpi)
foreach(ranks ${QD_MPI_TEST_RANKS})
  qd_threads(collectives/test_progress_mpi_shm_${ranks} test_progress_mpi)
endforeach()

add_executable(test_lost_mpi collectives/test_lost_mpi.c)
target_include_directories(test_lost_mpi PRIVATE ${CMAKE_SOURCE_DIR}/test/collectives)
target_link_libraries(test_lost_mpi PRIVATE qd_collectives)
foreach(transport shm mpi hierarchical)
  add_test(NAME collectives/test_lost_mpi_${transport} COMMAND mpirun --oversubscribe --enable-recovery
    -mca btl self,vader -n 4 $<TARGET_FILE:test_lost_mpi> ${transport})
  set_tests_properties(collectives/test_lost_mpi_${transport} PROPERTIES TIMEOUT 60 PROCESSORS 2
    PASS_REGULAR_EXPRESSION "the lost member was named" ENVIRONMENT "${QD_MPI_TEST_ENVIRONMENT}")
endforeach()
