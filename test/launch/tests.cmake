# The whole program, through its command line, under real mpirun. A test tagged `release` adds sizes and
# grids, not code: sanitizers pass it over. Nor do they look for leaks in every run, which would take them five
# times as long: launch/leaks does.
find_program(BATS bats REQUIRED)
if(QD_SANITIZE)
  set(QD_BATS_OPTIONS --filter-tags !release)
  set(QD_TEST_GRIDS 2)
  set(QD_TEST_SLOWER 3)
endif()

# What a run has saved, whoever wrote which part.
add_executable(checkpoint_tensors launch/checkpoint_tensors.c)
target_link_libraries(checkpoint_tensors PRIVATE qd_worker)

# qd_bats(NAME WRAPPER...): a wrapper that ends with 77 cannot do its part here. Two run at once: one alone leaves half
# of two cores idle, in start-up and deadlines. qd_alone names those that time what they do or look at all processes.
function(qd_bats name)
  add_test(NAME launch/${name} COMMAND ${ARGN} ${BATS} ${QD_BATS_OPTIONS} ${CMAKE_CURRENT_SOURCE_DIR}/launch/${name}.bats)
  set_tests_properties(launch/${name} PROPERTIES TIMEOUT 900 COST 100 SKIP_RETURN_CODE 77 ENVIRONMENT
    "QUADRILLE=$<TARGET_FILE:quadrille>;CHECKPOINT_TENSORS=$<TARGET_FILE:checkpoint_tensors>;QD_TEST_DATA=${CMAKE_CURRENT_SOURCE_DIR}/data;QD_SOURCE_DIR=${CMAKE_SOURCE_DIR};QD_BUILD_DIR=${CMAKE_BINARY_DIR};QD_TEST_GRIDS=${QD_TEST_GRIDS};QD_TEST_SLOWER=${QD_TEST_SLOWER};ASAN_OPTIONS=detect_leaks=0;${QD_MPIRUN_ENVIRONMENT}")
endfunction()

function(qd_alone)
  list(TRANSFORM ARGN PREPEND launch/)
  set_tests_properties(${ARGN} PROPERTIES RUN_SERIAL TRUE)
endfunction()

qd_bats(command_line)
qd_bats(simulate)
qd_bats(run)
qd_bats(generate)
qd_bats(every_family)
qd_bats(same_result)
qd_bats(any_grid)
qd_bats(any_grid_families)
qd_bats(zero)
qd_bats(layout_auto)
qd_bats(elastic)
# The longest begins first, so that it is not left to run alone at the end.
set_tests_properties(launch/any_grid PROPERTIES COST 200)
qd_bats(killed)
qd_alone(killed)
if(QD_SANITIZE)
  qd_bats(leaks)
  set_property(TEST launch/leaks APPEND PROPERTY ENVIRONMENT ${QD_MPI_TEST_ENVIRONMENT})
else() # a sanitizer's memory is its own
  qd_bats(memory)
  qd_bats(hosts ${CMAKE_CURRENT_SOURCE_DIR}/hosts/hosts.sh 3)
  qd_alone(hosts)
endif()
