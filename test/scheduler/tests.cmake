qd_test(scheduler test_policy qd_scheduler)
qd_test(scheduler test_core qd_scheduler)

# Random histories, and the witness that judges them: for the property tests and the fuzzer.
set(QD_CORE_TRIAL core_trial.c core_witness.c witness_books.c witness_events.c witness_actions.c witness_queue.c
  witness_accounts.c witness_teams.c witness_quotas.c witness_room.c witness_places.c witness_ends.c witness_resize.c
  witness_reservations.c witness_pace.c)
list(TRANSFORM QD_CORE_TRIAL PREPEND ${CMAKE_CURRENT_SOURCE_DIR}/scheduler/)

qd_test(scheduler test_core_properties qd_scheduler)
target_sources(test_core_properties PRIVATE ${QD_CORE_TRIAL})

qd_test(scheduler test_core_memory qd_scheduler)
target_link_options(test_core_memory PRIVATE -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc)

qd_test(scheduler test_journal qd_scheduler)
target_sources(test_journal PRIVATE ${QD_CORE_TRIAL})

qd_test(scheduler test_cluster qd_scheduler)
qd_test(scheduler test_broken_files qd_scheduler)

qd_test(scheduler test_trace qd_scheduler ZLIB::ZLIB)

qd_test(scheduler test_plan_structures qd_scheduler)
target_sources(test_plan_structures PRIVATE ${QD_CORE_TRIAL})

qd_test(scheduler test_simulator qd_scheduler)
target_sources(test_simulator PRIVATE ${QD_CORE_TRIAL} scheduler/naive_scheduler.c)

qd_test(scheduler test_backfill qd_scheduler)
qd_test(scheduler test_multifactor qd_scheduler)
qd_test(scheduler test_limits qd_scheduler)
qd_test(scheduler test_gates qd_scheduler)
qd_test(scheduler test_why qd_scheduler)
qd_test(scheduler test_progress qd_scheduler)
qd_test(scheduler test_preemption qd_scheduler)
qd_test(scheduler test_account_limits qd_scheduler)
qd_test(scheduler test_drained_ranks qd_scheduler)
qd_test(scheduler test_restart qd_scheduler)
qd_test(scheduler test_starvation qd_scheduler)
target_sources(test_starvation PRIVATE ${QD_CORE_TRIAL})
qd_test(scheduler test_placement qd_scheduler)
qd_test(scheduler test_elastic qd_scheduler)
qd_test(scheduler test_reservation_book qd_scheduler)
target_sources(test_reservation_book PRIVATE ${QD_CORE_TRIAL})
qd_test(scheduler test_reservations qd_scheduler)
qd_test(scheduler test_reservation_worlds qd_scheduler)
target_sources(test_reservation_worlds PRIVATE ${QD_CORE_TRIAL})
qd_test(scheduler test_elastic_reservations qd_scheduler)
qd_test(scheduler test_teams qd_scheduler)
qd_test(scheduler test_regroup qd_scheduler)
target_sources(test_regroup PRIVATE ${QD_CORE_TRIAL})
qd_test(scheduler test_swap qd_scheduler)
target_sources(test_swap PRIVATE ${QD_CORE_TRIAL})
qd_test(scheduler test_migration qd_scheduler)
target_sources(test_migration PRIVATE ${QD_CORE_TRIAL})
