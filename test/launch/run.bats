#!/usr/bin/env bats
# quadrille run: what it makes, how jobs share the workers, how it fails.
load helpers

@test "a run leaves its resolved job, its steps, its checkpoints and a log for each rank" {
  job 50
  run train 2 small
  [ "$status" -eq 0 ]
  [[ "$output" == *"small: COMPLETED"* ]]
  [[ "$output" == *"test accuracy"* ]]
  for file in job.yaml steps.jsonl rank-1.jsonl rank-2.jsonl checkpoints/step-00000050/manifest.json; do
    [ -f "runs/small/$file" ]
  done
  [ -f runs/journal.sqlite ]
  [ -z "$(find runs -name '*.tmp')" ]
}

@test "the printed loss has all digits of the logged one" {
  job 5
  train 1 small > out
  grep -oP 'step 5/5 loss \K\S+' out > printed
  jq -r 'select(.step == 5 and .bits) | .loss' runs/small/steps.jsonl > logged
  awk 'NR == FNR { a = $1; next } { exit !(a == $1 || (a - $1) ^ 2 < 1e-16) }' printed logged
}

@test "the shares of every utilization line sum to its wall time within 1 %" {
  job 1500
  train 3 small
  for rank in 1 2 3; do
    [ "$(wc -l < runs/small/rank-$rank.jsonl)" -ge 2 ]
    jq -e '(.compute_s + .communication_s + .pipeline_s + .data_s + .checkpoint_s + .idle_s) as $sum
           | ($sum - .wall_s | fabs) <= 0.01 * .wall_s' runs/small/rank-$rank.jsonl
  done
}

@test "util shows a row for each rank, and the same as JSON" {
  job 300
  train 2 small
  run "$QUADRILLE" util runs/small
  [ "$status" -eq 0 ]
  [ "${#lines[@]}" -eq 3 ]
  "$QUADRILLE" util --json runs/small > util.json
  jq -e 'length == 2 and all(.[]; .steps == 300 and .seconds.compute > 0)' util.json
}

@test "two jobs that fit run side by side on disjoint ranks" {
  job 400 first
  job 400 second
  run "$QUADRILLE" run -n 4 --progress=none first.yaml second.yaml
  [ "$status" -eq 0 ]
  [[ "$output" == *"first: started on ranks 1,2"* ]]
  [[ "$output" == *"second: started on ranks 3,4"* ]]
}

@test "jobs that do not fit together run in order" {
  job 30 first
  job 30 second
  run "$QUADRILLE" run -n 1 --progress=none first.yaml second.yaml
  [ "$status" -eq 0 ]
  [[ "$output" == *"first: started"*"first: COMPLETED"*"second: started"*"second: COMPLETED"* ]]
}

@test "a job runs after those it comes after, or never, though there is a worker for it" {
  job 30 first
  job 30 second
  job 30 third
  echo 'request: {after: ok:first}' >> second.yaml
  echo 'request: {after: "any:first,notok:second"}' >> third.yaml
  run "$QUADRILLE" run -n 2 --progress=none first.yaml second.yaml third.yaml
  [[ "$output" == *"first: COMPLETED"*"second: started"*"second: COMPLETED"* ]]
  [[ "$output" == *"third: CANCELLED: DependencyNeverSatisfied: job 2 COMPLETED"* ]]
  [[ "$output" != *"third: started"* ]]
}

@test "why tells, while a job runs, who the next one waits for, and what would be" {
  job 100000 first
  job 10 second
  "$QUADRILLE" run -n 1 --progress=none first.yaml second.yaml > out 2>&1 &
  for ((i = 0; i < 100; i++)); do
    "$QUADRILLE" why > why 2> /dev/null && grep -q RUNNING why && break
    sleep 0.1
  done
  grep -q "^first: job 1 RUNNING" why
  grep -q "^second: job 2 PENDING" why
  grep -q "^  Resources .*; needs 1 rank, free: 0;.* job 1 (end" why
  "$QUADRILLE" why --json --if time=1h second > json
  jq -e '.name == "second" and (.start_s == null or .start_s > 0) and (.reasons | map(.reason)) == ["Resources"]' json
  run "$QUADRILLE" why --if ranks=2 second
  [ "$status" -eq 64 ]
  [[ "$output" == *"2 ranks; accepted: 1 .. 1"* ]]
  run "$QUADRILLE" why third
  [ "$status" -eq 64 ]
  kill -TERM $!
  wait $! || [ $? -eq 75 ]
  "$QUADRILLE" why first | grep -q "^first: job 1 PREEMPTED"
}

@test "a job that fails does not disturb the other, and the exit status tells" {
  job 30 good
  job 30 bad
  sed -i 's,^  folder: .*,  folder: nowhere,' bad.yaml
  run "$QUADRILLE" run -n 2 --progress=none bad.yaml good.yaml
  [ "$status" -eq 74 ]
  [[ "$output" == *"bad: FAILED: nowhere/train-images-idx3-ubyte.gz: No such file or directory"* ]]
  [[ "$output" == *"good: COMPLETED"* ]]
}

@test "a label the model has no class for fails before a step runs" {
  job 30
  sed -i 's/classes: 10/classes: 5/' small.yaml
  run train 2 small
  [ "$status" -eq 78 ]
  [[ "$output" == *"train-labels-idx1-ubyte.gz"* ]]
  [ ! -s runs/small/steps.jsonl ]
}

@test "a loss that is not finite ends the job with the step and a remedy" {
  job 200
  sed -i 's/learning_rate: 0.05/learning_rate: 1000/; s/hidden: .32./hidden: [512, 512, 512]/' small.yaml
  run train 2 small
  [ "$status" -eq 65 ]
  [[ "$output" == *"step "*"learning_rate"* ]]
}

@test "a job that needs more workers than there are is refused, not left waiting" {
  job 30
  sed -i 's/min: 1/min: 4/' small.yaml
  run train 2 small
  [ "$status" -eq 64 ]
  [[ "$output" == *"needs 4 ranks"* ]]
}

@test "an earlier run is kept when a job is started anew" {
  job 20
  train 1 small
  train 1 small
  [ -f runs/small.1/steps.jsonl ]
  [ -f runs/small/steps.jsonl ]
}

@test "a run is not resumed by a job that means something else" {
  job 50
  train 1 small
  sed -i 's/batch: 64/batch: 128/' small.yaml
  cp runs/small/job.yaml before
  run train 1 small --resume
  [ "$status" -eq 78 ]
  [[ "$output" == *"train.batch"* ]]
  cmp runs/small/job.yaml before
}

@test "a run folder in use is refused" {
  job 100000
  begin out 1 small
  wait_for_step out 5
  run train 1 small
  [ "$status" -eq 74 ]
  [[ "$output" == *"another quadrille is running this job"* ]]
  kill -TERM $launcher
  ended
  [ "$status" -eq 75 ]
}

@test "under the user's own mpirun it is the same" {
  job 40
  OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 \
    mpirun --oversubscribe --bind-to none -n 3 "$QUADRILLE" run small.yaml > out
  grep -q 'small: COMPLETED' out
  cp runs/small/steps.jsonl mpirun
  train 1 small
  same_steps small mpirun
}

@test "a world of one rank is refused" {
  job 40
  OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 \
    run mpirun --quiet -n 1 "$QUADRILLE" run small.yaml
  [ "$status" -eq 64 ]
  [[ "$output" == *"start at least 2 ranks"* ]]
}

@test "a broken file under mpirun ends all ranks with its message" {
  job 40
  sed -i 's/batch: 64/batch: many/' small.yaml
  OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 \
    run mpirun --quiet --oversubscribe -n 3 "$QUADRILLE" run small.yaml
  [ "$status" -eq 78 ]
  [[ "$output" == *"small.yaml:12: train.batch"* ]]
}

@test "a damaged newest checkpoint is passed over for the one before" {
  job 100
  train 2 small
  cp runs/small/steps.jsonl whole
  file=$(find runs/small/checkpoints/step-00000100 -name '*.safetensors' | head -n 1)
  printf 'X' | dd of="$file" bs=1 seek=$(($(stat -c %s "$file") - 9)) conv=notrunc status=none
  run train 2 small --resume
  [ "$status" -eq 0 ]
  [[ "$output" == *"passed over"* ]]
  grep '"bits"' whole > a
  grep '"bits"' runs/small/steps.jsonl > b
  cmp a b
}

# Of a pipeline the first stage, which leads, reads nothing of what the second one has.
@test "damage that one member alone reads is told, too" {
  job 40
  echo "layout: {dp: 1, pp: 2}" >> small.yaml
  train 2 small
  file=runs/small/checkpoints/step-00000040/writer-001.safetensors
  printf 'X' | dd of="$file" bs=1 seek=$(($(stat -c %s "$file") - 9)) conv=notrunc status=none
  run train 2 small --resume
  [ "$status" -eq 0 ]
  [[ "$output" == *"passed over: "*"writer-001.safetensors"* ]]
}

# Steps this small leave the loss as it is: the first evaluation, of step 5, stays the best.
still_job() {
  job "$1"
  sed -i 's/evaluate_every: 50/evaluate_every: 5, stop_after: 3/; s/learning_rate: 0.05/learning_rate: 1e-30/;
    s/every: 40/every: 4/' small.yaml
}

@test "a run ends when the validation loss has not improved for long enough, on any grid" {
  still_job 40
  run train 1 small
  [ "$status" -eq 0 ]
  [[ "$output" == *"ended at step 20: the validation loss"* ]]
  [ "$(grep -c '"validation"' runs/small/steps.jsonl)" -eq 4 ]
  [ "$(grep -c '"test"' runs/small/steps.jsonl)" -eq 1 ]
  [ -d runs/small/checkpoints/step-00000020 ]
  cp runs/small/steps.jsonl one
  train 3 small
  same_steps small one
}

@test "a resumed run remembers the evaluations before" {
  still_job 40
  train 3 small
  cp runs/small/steps.jsonl whole
  still_job 12
  train 2 small
  [ "$(grep -c '"validation"' runs/small/steps.jsonl)" -eq 3 ]
  still_job 40
  run train 3 small --resume
  [ "$status" -eq 0 ]
  [[ "$output" == *"ended at step 20: the validation loss"* ]]
  grep '"bits"' whole > a
  grep '"bits"' runs/small/steps.jsonl > b
  cmp a b
  run train 2 small --resume
  [ "$status" -eq 0 ]
  [ "$(grep -c '"bits"' runs/small/steps.jsonl)" -eq 20 ]
}

# A threshold that no evaluation passes: the rate is halved at each but the first.
plateau_job() {
  job "$1"
  sed -i 's/evaluate_every: 50/evaluate_every: 5/; s/every: 40/every: 4/' small.yaml
  echo 'schedule: {kind: plateau, gamma: 0.5, patience: 0, threshold: 0.9, warmup: 3}' >> small.yaml
}

# The losses in runs/small and in FILE, evaluations left out.
same_losses() {
  grep '"bits"' "$1" > a
  grep '"bits"' runs/small/steps.jsonl > b
  cmp a b
}

@test "on a plateau of the validation loss the learning rate falls, alike on any grid" {
  plateau_job 40
  train 1 small
  cp runs/small/steps.jsonl one
  train 3 small
  same_steps small one
  sed -i 's/patience: 0/patience: 100/' small.yaml
  train 1 small
  [ "$(jq -r 'select(.step == 11 and .bits) | .bits' one runs/small/steps.jsonl | uniq | wc -l)" -eq 1 ]
  [ "$(jq -r 'select(.step == 12 and .bits) | .bits' one runs/small/steps.jsonl | uniq | wc -l)" -eq 2 ]
}

@test "a resumed run goes on along its plateau" {
  plateau_job 40
  train 3 small
  cp runs/small/steps.jsonl whole
  plateau_job 13
  train 2 small
  plateau_job 25
  train 1 small --resume
  plateau_job 40
  train 3 small --resume
  same_losses whole
}

@test "an evaluation that is missing where a run goes on is made" {
  plateau_job 40
  train 1 small
  cp runs/small/steps.jsonl whole
  plateau_job 10
  train 2 small
  sed -i '/"step":10,"split"/d' runs/small/steps.jsonl
  plateau_job 40
  train 2 small --resume
  same_losses whole
}

@test "a plateau needs validation samples" {
  plateau_job 40
  sed -i '/^  validation:/d' small.yaml
  run train 2 small
  [ "$status" -eq 78 ]
  [[ "$output" == *"schedule.kind plateau: there are no validation samples; set some apart in data, or choose another kind"* ]]
}

# bats test_tags=release
@test "a job that reaches its limit is saved, and goes on with another one" {
  job 2000 cut
  printf 'request:\n  limit_s: 0.5\n' >> cut.yaml
  run train 1 cut
  [ "$status" -eq 75 ]
  [[ "$output" == *"cut: TIMEOUT"*"TimeLimit: ran for its limit of 0.5 s"* ]]
  sed -i 's/limit_s: .*/limit_s: 600/' cut.yaml
  run train 1 cut --resume
  [ "$status" -eq 0 ]
  [[ "$output" == *"cut: COMPLETED"* ]]
}

@test "jobs that make room for each other end with the losses of jobs that had the worker alone" {
  job 4000 first
  job 4000 second
  printf 'scheduler: {policy: attained, attained: {quantum_s: 1, limit_1: 1, limit_2: 2, limit_3: 3}}\n' > conf.yaml
  run "$QUADRILLE" run -n 1 --progress=none --conf conf.yaml first.yaml second.yaml
  [ "$status" -eq 0 ]
  [ "$(grep -c '^first: started' <<< "$output")" -ge 2 ]
  [[ "$output" == *"first: COMPLETED"* && "$output" == *"second: COMPLETED"* ]]
  mv runs/first/steps.jsonl shared.jsonl
  train 1 first
  same_steps first shared.jsonl
}

# The low one is told to save while it trains, and later goes on: its steps are bitwise those of an undisturbed run.
@test "a job of a higher class takes the ranks of a lower one, which goes on afterwards as if nothing had been" {
  printf 'scheduler: {policy: multifactor, preemption: {by: class, min_run_s: 0, grace_s: 60}}\n' > cluster.yaml
  job 5000 low
  train 1 low > /dev/null
  cp runs/low/steps.jsonl undisturbed
  rm -r runs
  job 50 high
  printf 'request: {importance: 50, begin_s: 2}\n' >> high.yaml
  run "$QUADRILLE" run -n 1 --progress=none --conf cluster.yaml low.yaml high.yaml
  [ "$status" -eq 0 ]
  [[ "$output" == *"low: started"*"high: started"*"high: COMPLETED"*"low: started"*"low: COMPLETED"* ]]
  cmp runs/low/steps.jsonl undisturbed
}

@test "members of a gang tell how long a step keeps them busy, where slow ranks are left" {
  job 300
  echo 'scheduler: {swap: {enabled: true, ratio: 1000}}' > cluster.yaml
  train 2 small --conf cluster.yaml > out
  [ "$(grep -ac RANK_TIME runs/journal.sqlite)" -ge 1 ]
  rm -r runs
  train 2 small > out
  [ "$(grep -ac RANK_TIME runs/journal.sqlite)" -eq 0 ]
}
