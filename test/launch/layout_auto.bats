#!/usr/bin/env bats
# layout: auto: the planner's layout is one that runs, is told, and may change without a trace; a job
# that memory has no room for is refused before it starts.
load helpers

CLUSTER="$QD_SOURCE_DIR/conf/clusters/cpu-2.yaml"

# auto STEPS [LAYOUT]: a small gpt.
auto() {
  head -c 20000 "$QD_SOURCE_DIR/conf/data/tinyshakespeare.txt" > text.txt
  cat > auto.yaml <<YAML
name: auto
model: {family: gpt, vocabulary: 259, layers: 2, heads: 4, width: 32, context: 24, dropout: 0.1}
data: {format: text, folder: ., file: text.txt, stride: 24}
train: {batch: 8, steps: $1}
optimizer: {kind: adamw, learning_rate: 0.01, clip: 1}
layout: ${2:-auto}
YAML
}

@test "layout: auto runs as planned, and a resumed run keeps the slots on another number of ranks" {
  auto 3
  train 2 auto --cluster "$CLUSTER" 2>log
  grep -q 'auto: layout  *dp 2, pp 1, tp 1' log
  grep -q 'slower' log
  grep -q '^other grids' runs/auto/layout.txt
  grep -q 'grid: given' runs/auto/job.yaml
  auto 6
  train 1 auto --resume --cluster "$CLUSTER"
  grep -q 'dp: 1' runs/auto/job.yaml
  grep -q 'data: 2' runs/auto/job.yaml
  cp runs/auto/steps.jsonl resumed
  sed '$ a slots: {data: 2, tensor: 1}' auto.yaml | sed 's/^layout: auto/layout: {dp: 2}/' > given.yaml
  train 2 given
  cmp <(grep '"bits"' resumed) <(grep '"bits"' runs/auto/steps.jsonl)
}

@test "what a job of layout: auto says is kept, and the dry run prints numbers" {
  auto 3 "{grid: auto, tp: 2}"
  "$QUADRILLE" run --dry-run -n 2 --cluster "$CLUSTER" auto.yaml > resolved.yaml
  grep -A5 '^layout:' resolved.yaml | grep -q 'tp: 2'
  grep -A2 '^slots:' resolved.yaml | grep -q 'tensor: 2'
  "$QUADRILLE" run --dry-run resolved.yaml | cmp - resolved.yaml
  "$QUADRILLE" plan auto.yaml | grep -q '^layout auto'
  auto 3 "{grid: auto, pp: 2}" # a pipeline, of a schedule and micro-batches that go with it
  train 2 auto --cluster "$CLUSTER"
  grep -A9 '^layout:' runs/auto/job.yaml | grep -q 'pp: 2'
  auto 3 "{grid: auto, tp: 2}"
  sed -i 's/tp: 2/tp: 2, dp: 2/' auto.yaml
  run "$QUADRILLE" run --dry-run -n 2 --cluster "$CLUSTER" auto.yaml
  [ "$status" -eq 78 ]
  sed 's/^layout:.*/layout: auto/; $ a ranks: {min: 3}' auto.yaml > wide.yaml
  run "$QUADRILLE" run --dry-run -n 3 --cluster "$CLUSTER" wide.yaml
  [ "$status" -eq 78 ]
  [[ "$output" == *"ranks.min is 3"* ]]
}

@test "a job that does not fit into memory is refused before it starts, with what would help" {
  sed 's/  memory_bytes: .*/  memory_bytes: 35200000/' "$CLUSTER" > tiny.yaml
  for layout in auto "{dp: 2}"; do
    auto 3 "$layout"
    run "$QUADRILLE" run -n 2 --cluster tiny.yaml auto.yaml
    [ "$status" -eq 78 ]
    [[ "$output" == *"auto does not fit on 2 rank(s)"*"most of it"* ]]
    [ ! -e runs/auto ]
  done
}

@test "a sample that is not a number ends the job on all ranks alike, and the checkpoint before it stays" {
  for i in $(seq 1 32); do echo "$i,$((i % 7)),$((i % 3))"; done > train.csv
  cat > nan.yaml <<YAML
name: nan
model: {family: regression, inputs: 2, outputs: 1, hidden: []}
data: {format: csv, folder: ., train: train.csv}
train: {batch: 8, steps: STEPS}
optimizer: {kind: sgd, learning_rate: 1.0e-4}
slots: {data: 4}
YAML
  sed -i 's/STEPS/2/' nan.yaml
  train 2 nan
  sed -i 's/steps: 2/steps: 40/' nan.yaml
  sed -i '7s/.*/3e38,3e38,3e38/' train.csv
  run train 2 nan --resume
  echo "$output"
  [ "$status" -eq 65 ]
  [[ "$output" == *"learning_rate"* ]]
  [ -d runs/nan/checkpoints/step-00000002 ]
}
