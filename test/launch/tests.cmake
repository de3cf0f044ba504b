# The whole program, through its command line, under real mpirun.
find_program(BATS bats REQUIRED)

function(qd_bats name)
  add_test(NAME launch/${name} COMMAND ${BATS} ${CMAKE_CURRENT_SOURCE_DIR}/launch/${name}.bats)
  set_tests_properties(launch/${name} PROPERTIES TIMEOUT 900 RUN_SERIAL TRUE ENVIRONMENT
    "QUADRILLE=$<TARGET_FILE:quadrille>;QD_TEST_DATA=${CMAKE_CURRENT_SOURCE_DIR}/data;QD_SOURCE_DIR=${CMAKE_SOURCE_DIR};QD_BUILD_DIR=${CMAKE_BINARY_DIR};${QD_MPI_TEST_ENVIRONMENT}")
endfunction()

qd_bats(command_line)
qd_bats(run)
qd_bats(generate)
qd_bats(every_family)
qd_bats(same_result)
qd_bats(any_grid)
qd_bats(killed)
# A sanitizer's memory is its own.
if(NOT QD_SANITIZE)
  qd_bats(memory)
endif()
