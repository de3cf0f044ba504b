#!/usr/bin/env bats
# Every job file that we ship, made small: the same bits on one rank and on three, in both precisions.
load helpers

small_data() {
  local fashion=/usr/share/datasets/fashion-mnist name
  mkdir data
  for name in train t10k; do
    first_entries 64 784 16 $fashion/$name-images-idx3-ubyte.gz data/$name-images-idx3-ubyte.gz
    first_entries 64 1 8 $fashion/$name-labels-idx1-ubyte.gz data/$name-labels-idx1-ubyte.gz
  done
  for name in diabetes-train.csv diabetes-test.csv languages-train.tsv languages-test.tsv; do
    head -n 65 "$QD_SOURCE_DIR/conf/data/$name" > data/$name
  done
  head -c 20000 "$QD_SOURCE_DIR/conf/data/tinyshakespeare.txt" > data/tinyshakespeare.txt
}

# small_job FILE EDIT...: NAME.yaml for NAME=job, four steps on the small data.
small_job() {
  local file=$1
  shift
  sed -e 's/^name: .*/name: job/' -e 's#^  folder: .*#  folder: data#' -e 's/^  batch: .*/  batch: 16/' \
    -e 's/^  \(steps\|epochs\): .*/  steps: 4/' -e '/^  evaluate_every:/d' -e '/^  validation:/d' \
    -e '/^  warmup:/d' -e '/^  stop_after:/d' -e 's/^  family: resnet/&\n  width: 8/' "$@" "$file" > job.yaml
}

# same_on WORKERS...: trains job.yaml on each, and compares the logs with those of one worker.
same_on() {
  local workers
  train 1 job
  grep -q '"step":4,.*"bits"' runs/job/steps.jsonl
  cp runs/job/steps.jsonl one
  for workers in "$@"; do
    train "$workers" job
    same_steps job one
  done
}

# bats test_tags=release
@test "every job file runs, and with the same bits on three workers as on one" {
  small_data
  for file in "$QD_SOURCE_DIR"/conf/jobs/*.yaml; do
    small_job "$file"
    same_on 3
  done
}

@test "a list of layers that reads texts, too" {
  small_data
  cat > job.yaml <<YAML
name: job
model:
  family: layers
  context: 20
  vocabulary: 256
  classes: 4
  layers:
    - {kind: embedding, width: 12}
    - {kind: position, name: x}
    - {kind: attention, heads: 4, kv_heads: 2}
    - {kind: add, with: x}
    - {kind: dropout, rate: 0.2}
    - {kind: gru, width: 9}
    - {kind: position_take, position: -1}
    - {kind: linear, width: 4}
data: {format: lines, folder: data, train: languages-train.tsv}
train: {batch: 16, steps: 4}
optimizer: {kind: adam, learning_rate: 0.01}
YAML
  same_on 3
}

# bats test_tags=release
@test "in bf16, too" {
  small_data
  for file in "$QD_SOURCE_DIR"/conf/jobs/{fashion-cnn,languages-lstm,shakespeare-gpt}.yaml; do
    small_job "$file" -e 's/^train:/&\n  precision: bf16/'
    same_on 2
  done
}

# bats test_tags=release
@test "and cut into tensor slots" {
  small_data
  small_job "$QD_SOURCE_DIR/conf/jobs/shakespeare-gpt.yaml" -e 's/^slots:/&\n  tensor: 4/'
  same_on 4
}

# bats test_tags=release
@test "recomputed blocks change no bit, on any gang, nor does another number of them after a stop" {
  small_data
  for name in shakespeare-gpt languages-bert languages-lstm fashion-resnet18; do
    file="$QD_SOURCE_DIR/conf/jobs/$name.yaml"
    small_job "$file"
    train 1 job
    cp runs/job/steps.jsonl one
    small_job "$file" -e 's/^train:/&\n  recompute: 2/'
    train 3 job
    grep -q 'recompute: 2' runs/job/job.yaml
    same_steps job one
    small_job "$file" -e 's/^schedule:/&\n  steps: 4/' -e 's/^train:/&\n  recompute: 1/' -e 's/^  steps: 4/  steps: 2/'
    train 2 job
    small_job "$file" -e 's/^schedule:/&\n  steps: 4/'
    train 3 job --resume
    grep '"bits"' runs/job/steps.jsonl | cmp - <(grep '"bits"' one)
  done
}

@test "with dropout, a loss of its own and grouped rotary heads, too" {
  local gpt='s/^  family: gpt/&\n  dropout: 0.1\n  label_smoothing: 0.1\n  ignored_index: 32\n  positions: rotary\n  kv_heads: 2/'
  local text='s/^  family: [bl].*/&\n  dropout: 0.2\n  class_weights: [0.5, 1, 2, 1.5]\n  ignored_index: 3/'
  local images='s/^  family: [mc].*/&\n  dropout: 0.3\n  label_smoothing: 0.2\n  ignored_index: 0/'
  small_data
  small_job "$QD_SOURCE_DIR/conf/jobs/shakespeare-gpt.yaml" -e "$gpt"
  same_on 3
  small_job "$QD_SOURCE_DIR/conf/jobs/shakespeare-gpt.yaml" -e "$gpt" -e 's/^train:/&\n  precision: bf16/'
  same_on 3
  small_job "$QD_SOURCE_DIR/conf/jobs/shakespeare-gpt.yaml" -e "$gpt" -e 's/^slots:/&\n  tensor: 4/'
  same_on 3
  for file in "$QD_SOURCE_DIR"/conf/jobs/languages-{bert,lstm}.yaml; do
    small_job "$file" -e "$text"
    same_on 3
  done
  for file in "$QD_SOURCE_DIR"/conf/jobs/fashion-{mlp,cnn}.yaml; do
    small_job "$file" -e "$images"
    same_on 3
  done
}
