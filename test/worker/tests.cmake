qd_test(worker test_idx qd_worker)
qd_test(worker test_text qd_worker)
qd_test(worker test_tokens qd_worker)
qd_test(worker test_npy qd_worker)
qd_test(worker test_csv qd_worker)
qd_test(worker test_lines qd_worker)
qd_test(worker test_loader qd_worker)
qd_test(worker test_checkpoint qd_worker)
qd_test(worker test_checkpoint_slices qd_worker)
qd_test(worker test_checkpoint_failure qd_worker)
target_link_options(test_checkpoint_failure PRIVATE -Wl,--wrap=rename,--wrap=renameat2)
qd_test(worker test_safetensors qd_worker)
qd_test(worker test_utilization qd_worker)
qd_test(worker test_trainer_memory qd_worker)
qd_test(worker test_steps_log qd_worker)

foreach(program test_loader test_checkpoint test_checkpoint_slices test_checkpoint_failure)
  qd_threads(worker/${program} ${program})
endforeach()

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
qd_test(worker test_op_rotary qd_worker)
target_sources(test_op_rotary PRIVATE worker/op_check.c)
qd_test(worker test_op_recurrent qd_worker)
target_sources(test_op_recurrent PRIVATE worker/op_check.c)
qd_test(worker test_op_training qd_worker)
target_sources(test_op_training PRIVATE worker/op_check.c)
qd_test(worker test_op_images qd_worker)
target_sources(test_op_images PRIVATE worker/op_check.c)
qd_test(worker test_optimizer qd_worker)
qd_test(worker test_golden qd_worker)
qd_test(worker test_families qd_worker)
qd_test(worker test_layer_list_runs qd_worker)
qd_test(worker test_engine qd_worker)
qd_test(worker test_device qd_worker)
qd_test(worker test_recompute qd_worker)
qd_test(worker test_steady qd_worker)
# These count what the engine allocates (count_allocations.h).
set(QD_COUNT_ALLOCATIONS -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=aligned_alloc,--wrap=mmap)
target_link_options(test_engine PRIVATE ${QD_COUNT_ALLOCATIONS})
# It asks for more than there can be.
set_property(TEST worker/test_engine APPEND PROPERTY ENVIRONMENT ASAN_OPTIONS=allocator_may_return_null=1)
target_link_options(test_steady PRIVATE ${QD_COUNT_ALLOCATIONS})

# The same programs with less of the processor than it has: what is computed there, too, must be right.
file(STRINGS /proc/cpuinfo avx512 LIMIT_COUNT 1 REGEX "^flags.* avx512bw .*avx512vl")
file(STRINGS /proc/cpuinfo avx512_bf16 LIMIT_COUNT 1 REGEX "^flags.* avx512_bf16")
set(instruction_sets)
if(avx512)
  list(APPEND instruction_sets avx2)
endif()
if(avx512_bf16)
  list(APPEND instruction_sets avx512)
endif()
foreach(isa ${instruction_sets})
  foreach(name test_ops test_op_basics test_op_rows test_op_losses test_op_attention test_op_rotary test_op_recurrent
      test_op_training test_op_images test_optimizer test_golden test_families)
    add_test(NAME worker/${name}_${isa} COMMAND ${name})
    set_tests_properties(worker/${name}_${isa} PROPERTIES TIMEOUT 300 ENVIRONMENT QD_ISA=${isa})
  endforeach()
endforeach()

# Gangs over real MPI.
add_executable(test_gang_mpi worker/test_gang_mpi.c)
target_include_directories(test_gang_mpi PRIVATE ${CMAKE_SOURCE_DIR}/test/collectives)
target_link_libraries(test_gang_mpi PRIVATE qd_worker PkgConfig::CHECK ${QD_COUNT_ALLOCATIONS})
target_compile_definitions(test_gang_mpi PRIVATE QD_SOURCE_DIR="${CMAKE_SOURCE_DIR}")
set(QD_GANGS shm_2 shm_3 mpi_4 hierarchical_4 shm_8)
if(QD_SANITIZE)
  set(QD_GANGS shm_3 mpi_4) # the same code, and slow
endif()
foreach(gang ${QD_GANGS})
  string(REGEX MATCH "^[a-z]+" transport ${gang})
  string(REGEX MATCH "[0-9]+$" ranks ${gang})
  add_test(NAME worker/test_gang_${gang} COMMAND mpirun --oversubscribe -mca btl self,vader -n ${ranks}
    $<TARGET_FILE:test_gang_mpi> ${transport})
  set_tests_properties(worker/test_gang_${gang} PROPERTIES TIMEOUT 300 PROCESSORS 2
    ENVIRONMENT "${QD_MPI_TEST_ENVIRONMENT}")
endforeach()

# Tensor groups over real MPI.
add_executable(test_tensor_mpi worker/test_tensor_mpi.c)
target_include_directories(test_tensor_mpi PRIVATE ${CMAKE_SOURCE_DIR}/test/collectives)
target_link_libraries(test_tensor_mpi PRIVATE qd_worker PkgConfig::CHECK ${QD_COUNT_ALLOCATIONS})
target_compile_definitions(test_tensor_mpi PRIVATE QD_SOURCE_DIR="${CMAKE_SOURCE_DIR}")
set(QD_TENSOR_GROUPS shm_2 shm_4 hierarchical_3)
if(QD_SANITIZE)
  set(QD_TENSOR_GROUPS shm_3)
endif()
foreach(group ${QD_TENSOR_GROUPS})
  string(REGEX MATCH "^[a-z]+" transport ${group})
  string(REGEX MATCH "[0-9]+$" ranks ${group})
  add_test(NAME worker/test_tensor_${group} COMMAND mpirun --oversubscribe -mca btl self,vader -n ${ranks}
    $<TARGET_FILE:test_tensor_mpi> ${transport})
  set_tests_properties(worker/test_tensor_${group} PROPERTIES TIMEOUT 300 PROCESSORS 2
    ENVIRONMENT "${QD_MPI_TEST_ENVIRONMENT}")
endforeach()

# A gang that saves, with a slow disk made of fsync.
add_executable(test_save_mpi worker/test_save_mpi.c)
target_include_directories(test_save_mpi PRIVATE ${CMAKE_SOURCE_DIR}/test/collectives)
target_link_libraries(test_save_mpi PRIVATE qd_worker -Wl,--wrap=fsync)
add_test(NAME worker/test_save_mpi COMMAND mpirun --oversubscribe -mca btl self,vader -n 2
  $<TARGET_FILE:test_save_mpi> shm)
set_tests_properties(worker/test_save_mpi PROPERTIES TIMEOUT 120 PROCESSORS 2
  ENVIRONMENT "${QD_MPI_TEST_ENVIRONMENT}")

# Pipelines whose stages sleep: as many processes as the widest has stages.
add_executable(test_pipeline_driver worker/test_pipeline_driver.c)
target_include_directories(test_pipeline_driver PRIVATE ${CMAKE_SOURCE_DIR}/test/collectives)
target_link_libraries(test_pipeline_driver PRIVATE qd_worker)
set(stages 8)
if(QD_SANITIZE)
  set(stages 2)
endif()
add_test(NAME worker/test_pipeline_driver COMMAND mpirun --oversubscribe -mca btl self,vader -n ${stages}
  $<TARGET_FILE:test_pipeline_driver> shm)
set_tests_properties(worker/test_pipeline_driver PROPERTIES TIMEOUT 120 PROCESSORS 2
  ENVIRONMENT "${QD_MPI_TEST_ENVIRONMENT}")
qd_threads(worker/test_pipeline_driver test_pipeline_driver)

# What is counted and measured is the same code as in the gangs above and in launch/any_grid, which sanitizers look at.
if(NOT QD_SANITIZE)
  # What is sent on grids of several axes.
  add_executable(test_grid_bytes_mpi worker/test_grid_bytes_mpi.c)
  target_include_directories(test_grid_bytes_mpi PRIVATE ${CMAKE_SOURCE_DIR}/test/collectives)
  target_link_libraries(test_grid_bytes_mpi PRIVATE qd_worker)
  add_test(NAME worker/test_grid_bytes_mpi COMMAND mpirun --oversubscribe -mca btl self,vader -n 4
    $<TARGET_FILE:test_grid_bytes_mpi> shm)
  set_tests_properties(worker/test_grid_bytes_mpi PROPERTIES TIMEOUT 120 PROCESSORS 2
    ENVIRONMENT "${QD_MPI_TEST_ENVIRONMENT}")

  # Communication behind computing that is slept.
  add_executable(test_overlap_mpi worker/test_overlap_mpi.c)
  target_include_directories(test_overlap_mpi PRIVATE ${CMAKE_SOURCE_DIR}/test/collectives)
  target_link_libraries(test_overlap_mpi PRIVATE qd_worker PkgConfig::CHECK)
  foreach(transport shm mpi)
    add_test(NAME worker/test_overlap_${transport} COMMAND mpirun --oversubscribe -mca btl self,vader -n 2
      $<TARGET_FILE:test_overlap_mpi> ${transport})
    set_tests_properties(worker/test_overlap_${transport} PROPERTIES TIMEOUT 120 PROCESSORS 2
      ENVIRONMENT "${QD_MPI_TEST_ENVIRONMENT}")
  endforeach()
endif()
