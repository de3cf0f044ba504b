#!/usr/bin/env bats
# Whatever is killed, and whenever: nothing stays behind, and the run folder resumes.
load helpers

# The run that nothing disturbs.
setup_file() {
  cd "$BATS_FILE_TMPDIR"
  job $(steps 6000)
  train 1 small > whole
}

# killed_and_resumed WHOM: kills at a random moment, then continues to the same end.
killed_and_resumed() {
  job $(steps 6000)
  local round resume=
  for round in 1 2 3; do
    begin out $((round + 1)) small $resume
    sleep "$((RANDOM % 2)).$((RANDOM % 10))"
    "$1" || true
    ended
    gone_within 20
    no_shm_left
    resume=--resume
  done
  train 2 small --resume
  same_steps small "$BATS_FILE_TMPDIR/runs/small/steps.jsonl"
}

kill_launcher() {
  kill -9 $launcher
}

kill_mpirun() {
  pkill -9 -P $launcher
}

kill_a_worker() {
  local ranks
  ranks=$(our_ranks | grep -v "^$launcher$" | tail -n 1)
  [ -z "$ranks" ] || kill -9 "$ranks"
}

@test "kill -9 of the launcher leaves no process, and the run resumes to the same losses" {
  killed_and_resumed kill_launcher
}

@test "kill -9 of mpirun leaves no process and no segment, and the run resumes to the same losses" {
  killed_and_resumed kill_mpirun
}

@test "kill -9 of a worker ends the run with an error, and it resumes to the same losses" {
  killed_and_resumed kill_a_worker
}

@test "the launcher reports an mpirun that was killed" {
  job 100000
  begin out 2 small
  wait_for_step out 10
  kill_mpirun
  ended
  [ $status -eq 137 ]
  grep -q 'mpirun was ended by signal 9' out.err
}
