#!/usr/bin/env bats
# No process of a run leaks: the launcher, the scheduler, the workers. For builds with a sanitizer that looks.
load helpers

@test "nothing leaks in a run, nor in one that is resumed on another gang" {
  job 60
  train 1 small
  job 90
  train 3 small --resume
}

@test "nothing leaks on a grid of pipeline and tensor parallelism" {
  head -c 20000 "$QD_SOURCE_DIR/conf/data/tinyshakespeare.txt" > text.txt
  cat > grid.yaml <<YAML
name: grid
model: {family: gpt, vocabulary: 259, layers: 2, heads: 5, width: 35, context: 24, dropout: 0.1}
data: {format: text, folder: ., file: text.txt, stride: 24}
train: {batch: 8, steps: 4, evaluate_every: 2, recompute: 1, precision: bf16}
optimizer: {kind: adamw, learning_rate: 0.01, clip: 1}
slots: {data: 2, tensor: 2, pipeline: 2}
layout: {dp: 1, pp: 2, tp: 2, schedule: zb-h1}
YAML
  train 4 grid
}

@test "nothing leaks in a job that is refused, in one that is preempted, in one that fails" {
  job 60
  sed -i 's/min: 1/min: 4/' small.yaml
  run train 2 small
  [ "$status" -ne 0 ]
  job 100000
  begin out 2 small
  wait_for_step out 10
  kill -TERM $launcher
  ended
  [ $status -eq 75 ]
  job 60 broken
  sed -i 's/learning_rate: 0.05/learning_rate: 1000/; s/hidden: .32./hidden: [512, 512, 512]/' broken.yaml
  run train 2 broken
  [ "$status" -ne 0 ]
  [[ "$output" != *LeakSanitizer* ]]
}
