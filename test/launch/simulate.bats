#!/usr/bin/env bats
# quadrille simulate: recorded traces through the scheduler, without ranks.
load helpers

# Three jobs on 4 ranks: A 4r for 10 s at 0; B 4r for 10 s at 1; C 1r for 2 s at 2.
three_jobs() {
  printf 'submit_s,duration_s,ranks\n0,10,4\n1,10,4\n2,2,1\n' > three.csv
}

@test "simulate prints a line of JSON for each policy, with figures worked out by hand" {
  three_jobs
  "$QUADRILLE" simulate three.csv --ranks 4 --policy fifo,sjf --json > out.jsonl
  [ "$(wc -l < out.jsonl)" -eq 2 ]
  # fifo: A ends at 10, B at 20, C at 22: JCT 10, 19, 20. 82 rank-seconds of 4 x 22.
  jq -se '.[0] | .policy == "fifo" and .trace == "three" and .ranks == 4
         and ."mean JCT s" == 16.3 and ."median JCT s" == 19 and ."p99 JCT s" == 20
         and ."mean wait s" == 9 and ."longest wait s" == 18 and ."makespan s" == 22
         and .utilization == 0.9318 and .goodput == 1 and ."preemptions per job" == 0' out.jsonl
  # sjf: A, C to 12, B to 22: JCT 10, 21, 10.
  jq -se '.[1] | .policy == "sjf" and ."mean JCT s" == 13.7 and ."median JCT s" == 10' out.jsonl
}

@test "simulate sets policies side by side, and counts what cannot run" {
  three_jobs
  echo '3,1,5' >> three.csv
  run "$QUADRILLE" simulate three.csv --ranks=4 --policy=fifo,easy,conservative,multifactor,attained
  [ "$status" -eq 0 ]
  [[ "$output" == *"three: 4 jobs on 4 ranks (1 wider than that refused)"* ]]
  [[ "$output" == *fifo*easy*conservative*multifactor*attained* ]]
}

@test "simulate takes ranks from a description of a cluster" {
  three_jobs
  sed 's/^nodes:.*/nodes: 3/' "$QD_SOURCE_DIR/conf/clusters/h100.yaml" > cluster.yaml
  grep -q '^nodes: 3' cluster.yaml || echo 'nodes: 3' >> cluster.yaml
  "$QUADRILLE" simulate three.csv --cluster cluster.yaml --json | jq -e '.ranks == 24'
  "$QUADRILLE" simulate three.csv --cluster cluster.yaml --ranks 5 --json | jq -e '.ranks == 5'
}

@test "simulate takes the settings of policies from a cluster file" {
  printf 'submit_s,duration_s,ranks\n0,100,1\n1,10,1\n' > two.csv
  printf 'scheduler: {attained: {quantum_s: 20, limit_1: 20, limit_2: 40, limit_3: 60}}\n' > conf.yaml
  # At 20 s the first has had 20 rank-seconds and makes room, for a save of 1 s; the second runs 21 to
  # 31; the first restarts for 2 s and has 80 s left.
  "$QUADRILLE" simulate two.csv --ranks 1 --policy attained --conf conf.yaml --save 1 --restart 2 --json > out.json
  jq -e '."makespan s" == 113 and ."preemptions per job" == 0.5 and ."longest wait s" == 20
         and .goodput == 0.9735' out.json
}

@test "simulate --plot writes an SVG" {
  three_jobs
  "$QUADRILLE" simulate three.csv --ranks 4 --policy fifo,easy --plot plot.svg > /dev/null
  head -c 4 plot.svg | grep -q '<svg'
  tail -n 1 plot.svg | grep -qx '</svg>'
  [ "$(grep -c '<polyline' plot.svg)" -eq 4 ]
  ! grep -q nan plot.svg
  run "$QUADRILLE" simulate three.csv --ranks 4 --plot /no/such/folder/plot.svg
  [ "$status" -eq 74 ]
}

@test "simulate says what is wrong with a trace, and where" {
  three_jobs
  echo '4,x,1' >> three.csv
  run "$QUADRILLE" simulate three.csv --ranks 4
  [ "$status" -eq 65 ]
  [[ "$output" == *"three.csv:5: duration_s 'x' is no number of seconds"* ]]
  run "$QUADRILLE" simulate nothing.csv --ranks 4
  [ "$status" -eq 74 ]
}

@test "simulate refuses wrong options" {
  three_jobs
  for arguments in "" "three.csv" "three.csv --ranks=0" "three.csv --ranks=4 --policy=lifo" \
    "three.csv --ranks=4 --save=-1" "three.csv three.csv --ranks=4"; do
    run "$QUADRILLE" simulate $arguments
    [ "$status" -eq 64 ]
  done
}
