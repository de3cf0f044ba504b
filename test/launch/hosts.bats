#!/usr/bin/env bats
# Jobs on three hosts, each with a network and shared memory of its own. test/hosts/hosts.sh starts this file.
load helpers
load grids

setup_file() {
  : "${QD_HOSTS:?start this file by test/hosts/hosts.sh 3 bats hosts.bats}"
}

# on_h1 COMMAND: a shell there. How to reach the other hosts, mpirun learns as an operator would tell it.
on_h1() {
  "$QD_HOSTS/on" h1 "cd '$PWD' && export OMPI_MCA_plm_rsh_agent='$QD_HOSTS/on' ${QD_ISA:+QD_ISA=$QD_ISA} && $*"
}

# train WORKERS JOB OPTION...: one worker trains without hosts; of more, the first is on h1 with the scheduler. Three have a
# host each: more than there are cores wait long for each other.
train() {
  local workers=$1 name=$2 hosts=h1:2,h2:2,h3:2
  [ "$workers" -gt 3 ] || hosts=h1:2,h2:1,h3:1
  shift 2
  set -- -n "$workers" --progress=lines "$@" "$name.yaml"
  if [ "$workers" -eq 1 ]; then
    "$QUADRILLE" run "$@"
  else
    on_h1 exec "$QUADRILLE" run --host $hosts "$@"
  fi
}

# ended_by COMMAND OPTION...: trains on three workers, does COMMAND once they are at it, and waits for the end.
ended_by() {
  local stop=$1
  shift
  : >out
  train 3 small "$@" >out 2>out.err &
  launcher=$!
  wait_for_step out '[0-9]*'
  $stop
  ended
  gone_within 20
  no_shm_left
}

stop_launcher() {
  kill "$(pgrep -ox quadrille)"
}

kill_mpirun() {
  pkill -9 -x mpirun
}

kill_a_rank_of_h3() {
  kill -9 "$(pgrep -nx --ns "$(cat "$QD_HOSTS/h3")" --nslist net quadrille)"
}

# There are no processes here but those of this file.
our_ranks() {
  pgrep -x quadrille || pgrep -x mpirun || pgrep -x orted || true
}

shm_files() {
  local host
  for host in h1 h2 h3; do
    find "/proc/$(cat "$QD_HOSTS/$host")/root"/{dev/shm,"$QD_HOSTS/tmp"} -mindepth 1 ! -name up
  done
}

# bats test_tags=release
@test "a job on three hosts has the losses and weights of one rank, bit for bit" {
  job 60
  train 1 small
  cp runs/small/steps.jsonl one
  "$CHECKPOINT_TENSORS" runs/small > tensors-of-one
  QD_ISA=avx2 train 5 small > out
  [ "$(sed -n 's/^worker rank \([0-9]* on h[0-9]\): .*, avx2,.*/\1/p' out | sort | tr '\n' ';')" = \
    "1 on h1;2 on h2;3 on h2;4 on h3;5 on h3;" ]
  grep -q 'small: started on ranks 1,2,3,4,5 ' out
  same_steps small one
  "$CHECKPOINT_TENSORS" runs/small | cmp - tensors-of-one
}

# bats test_tags=release
@test "so have tensor and pipeline groups that reach over hosts" {
  head -c 20000 "$QD_SOURCE_DIR/conf/data/tinyshakespeare.txt" > text.txt
  cat > grid.in <<YAML
name: grid
model: {family: gpt, vocabulary: 259, layers: 2, heads: 5, width: 35, context: 24, dropout: 0.1}
data: {format: text, folder: ., file: text.txt, stride: 24}
train: {batch: 8, steps: STEPS, evaluate_every: 2}
optimizer: {kind: adamw, learning_rate: 0.01, clip: 1}
slots: {data: 4, tensor: 3, pipeline: 3}
layout: {LAYOUT}
YAML
  same_on 1x3 1x1p3b
}

# bats test_tags=release
@test "stopped or killed, it leaves nothing on any host, and resumes to the same losses" {
  job 600
  train 1 small > whole
  cp runs/small/steps.jsonl one
  ended_by stop_launcher
  [ $status -eq 75 ]
  grep -q PREEMPTED out
  ended_by kill_mpirun --resume
  grep -q 'mpirun was ended by signal 9' out.err
  ended_by kill_a_rank_of_h3 --resume
  train 1 small --resume
  same_steps small one
}

# bats test_tags=release
@test "a folder of runs that the hosts do not share is an error that says so" {
  job 60
  run train 5 small --runs "$QD_HOSTS/tmp/runs"
  [ "$status" -eq 74 ]
  [[ "$output" == *"small: FAILED: $QD_HOSTS/tmp/runs/small is on h1, but not on h"[23]"; the folder of the runs"* ]]
  rm -rf "/proc/$(cat "$QD_HOSTS/h1")/root$QD_HOSTS/tmp/runs"
}

# sent_by HOST: bytes, by the counter of the switch's port.
sent_by() {
  ip -json -s link show dev "$1" | jq '.[0].stats64.rx.bytes'
}

# An all-reduce of S bytes on N hosts of g ranks each. Every rank sends every other its piece of S/(N g) bytes
# before and after the sum: 2 (N g - 1) S in all, 2 (N - 1) g S of them between hosts. With sums on each host before anything
# leaves it, each of the N g ranks sends 2 (S / g) (N - 1) / N. The network adds its headers and acknowledgements.
# bats test_tags=release
@test "sums on the hosts send a g-th between hosts of what flat MPI does, bf16 half of that, by the kernel's count, too" {
  local S=4718592 N=3 g=2 before=0 after=0 host
  for host in h1 h2 h3; do before=$((before + $(sent_by $host))); done
  "$QD_SOURCE_DIR/test/bench/hosts.sh" "$QD_BUILD_DIR/test/bench/bench_hosts" $S > sent
  for host in h1 h2 h3; do after=$((after + $(sent_by $host))); done
  cat sent
  echo "the switch: $((after - before))"
  jq -se --argjson S $S --argjson N $N --argjson g $g --argjson ports $((after - before)) '
    def within($expected; $share): . >= $expected and . <= $expected * (1 + $share);
    INDEX(.mode) as $of | (map(.network * .calls) | add) as $all_calls
    | (2 * ($N * $g - 1) * $S) as $all | (2 * ($N - 1) * $g * $S) as $flat | (2 * ($N - 1) * $S) as $hierarchical
    | all(.[]; .hosts == $N and .ranks == $N * $g and .bytes == $S)
      and $of.flat.transport == "mpi" and $of.flat.counted == $all and ($of.flat.network | within($flat; 0.05))
      and $of.hierarchical.transport == "hierarchical" and $of.hierarchical.counted == $hierarchical
      and ($of.hierarchical.network | within($hierarchical; 0.05))
      and $of.bf16.transport == "hierarchical" and $of.bf16.counted == $hierarchical / 2
      and ($of.bf16.network | within($hierarchical / 2; 0.05))
      and ($ports | within($all_calls; 0.05))' sent
}
