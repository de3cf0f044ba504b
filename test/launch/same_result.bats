#!/usr/bin/env bats
# The same job gives the same losses, bit for bit, on every gang and after every restart.
load helpers

@test "the loss of every step is bitwise the same with 1, 2, 3, 4 and 8 workers" {
  job 120
  train 1 small
  cp runs/small/steps.jsonl one
  [ "$(grep -c '"bits"' one)" -eq 120 ]
  for workers in 2 3 4 8; do
    train "$workers" small
    same_steps small one
  done
}

@test "the loss of every step is bitwise the same over shared memory and over MPI" {
  job 60
  for transport in shm mpi; do
    printf 'collectives: {transport: %s}\n' $transport > cluster.yaml
    train 4 small --conf cluster.yaml
    mv runs/small/steps.jsonl $transport
  done
  cmp shm mpi
}

# Interrupts by signal at a step nobody chose, continues on other numbers of workers.
interrupt_and_resume() {
  local signal=$1
  job $(steps 3000)
  train 1 small > whole
  cp runs/small/steps.jsonl one
  begin first 4 small
  wait_for_step first $((RANDOM % 300 + 1))
  kill "-$signal" $launcher
  ended
  [ $status -eq 75 ]
  grep -q PREEMPTED first
  last=$(ls runs/small/checkpoints | tail -n 1)
  [ -f "runs/small/checkpoints/$last/manifest.json" ]
  begin second 2 small --resume
  wait_for_step second $((10#${last#step-} + 100))
  kill "-$signal" $launcher
  ended
  [ $status -eq 75 ]
  train 8 small --resume
  same_steps small one
}

@test "stopped by SIGTERM at a random step and resumed on other counts: bitwise the same" {
  interrupt_and_resume TERM
}

@test "stopped by SIGUSR1 at a random step and resumed on other counts: bitwise the same" {
  interrupt_and_resume USR1
}

@test "a finished run that is resumed says its result again and changes nothing" {
  job 50
  train 2 small
  cp runs/small/steps.jsonl before
  run train 2 small --resume
  [ "$status" -eq 0 ]
  [[ "$output" == *"test accuracy"* ]]
  same_steps small before
}

@test "more steps can be added to a finished run" {
  job 100
  train 1 small
  grep '"bits"' runs/small/steps.jsonl > one
  job 60
  train 2 small
  job 100
  train 4 small --resume
  grep '"bits"' runs/small/steps.jsonl | cmp - one
}
