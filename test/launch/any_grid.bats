#!/usr/bin/env bats
# The same transformer gives the same bits on every grid of data, tensor and pipeline parallelism, at every stage of ZeRO.
load helpers
load grids

texts() {
  head -c 20000 "$QD_SOURCE_DIR/conf/data/tinyshakespeare.txt" > text.txt
  head -n 100 "$QD_SOURCE_DIR/conf/data/languages-train.tsv" > train.tsv
}

# gpt PRECISION: templates of jobs, LAYOUT and STEPS to be filled in. Neither the vocabulary nor the
# heads divide by the 4 slots, nor does the width of the layer between.
gpt() {
  cat > grid.in <<YAML
name: grid
model: {family: gpt, vocabulary: 259, layers: 2, heads: 5, width: 35, context: 24, dropout: 0.1}
data: {format: text, folder: ., file: text.txt, stride: 24}
train: {batch: 8, steps: STEPS, evaluate_every: 2, precision: $1}
optimizer: {kind: adamw, learning_rate: 0.01, clip: 1}
slots: {data: 4, tensor: 4, pipeline: 4}
layout: {LAYOUT}
YAML
}

# Groups of two query heads share a key head; positions turn; labels are smoothed.
grouped_gpt() {
  gpt "$1"
  sed -i -e 's/heads: 5, width: 35/heads: 8, kv_heads: 4, positions: rotary, label_smoothing: 0.1, width: 32/' \
    -e 's/adamw, learning_rate: 0.01/sgd, momentum: 0.9, learning_rate: 0.5/' grid.in
}

bert() {
  cat > grid.in <<YAML
name: grid
model: {family: bert, vocabulary: 257, classes: 4, layers: 2, heads: 5, width: 35, context: 20, dropout: 0.1}
data: {format: lines, folder: ., train: train.tsv, test: train.tsv, validation: 30}
train: {batch: 8, steps: STEPS, evaluate_every: 2, micro_batches: 2, recompute: 1, precision: $1}
optimizer: {kind: adam, learning_rate: 0.01, clip: 1}
slots: {data: 4, tensor: 4, pipeline: 4}
layout: {LAYOUT}
YAML
}

# bats test_tags=release
@test "gpt in fp32, of sizes that do not divide" {
  texts
  gpt fp32
  same_on 1x2 1x4 2x1z3 2x2 4x1z3 4x2z3 2x4 1x1p2f 1x1p4f 2x1p2fz1 4x1p2fz3 2x1p4fz2 1x2p2f 1x4p2f 2x2p2fz3 1x2p4f \
    1x1p2g 2x1p2gz3 1x1p2i 2x1p2iz3 1x2p2i 1x1p4b 2x1p2bz3 2x2p2bz2 3x1z3 3x1p2bz3
}

# bats test_tags=release
@test "gpt in bf16, with groups of heads that turn" {
  texts
  grouped_gpt bf16
  same_on 1x2 1x4 2x1z3 2x2z3 4x1z1 4x2z2 2x4z3 2x2p2fz3 1x4p2b 1x2p2i
}

@test "bert in fp32, with micro-batches and recomputation" {
  texts
  bert fp32
  same_on 2x2p2bz3 4x1z3 1x2 1x4 2x1 2x2z2 4x2z3 2x4 1x1p2f 1x1p4g 2x1p2iz3 1x2p4b 2x2p2fz1
}

# bats test_tags=release
@test "bert in bf16" {
  texts
  bert bf16
  same_on 1x2 1x4 2x1z1 2x2 4x1z3 4x2 2x4 1x2p4f 2x1p2bz3
}

@test "gpt in bf16, by shards, with stages that hold copies of the token table" {
  texts
  gpt bf16
  same_on 2x2p2fz3 2x2z2 2x1z1 4x1z2 4x2z1 2x4z2 2x1p2iz2
}

# What a channel between two ranks holds at once is half a MiB (collectives/stream.c).
# bats test_tags=release
@test "stages of several chunks do not wait for each other in a circle, however long their messages" {
  texts
  cat > grid.in <<YAML
name: grid
model: {family: gpt, vocabulary: 259, layers: 3, heads: 2, width: 64, context: 64}
data: {format: text, folder: ., file: text.txt, stride: 24}
train: {batch: 240, steps: STEPS}
optimizer: {kind: sgd, learning_rate: 0.1}
slots: {data: 5, pipeline: 6}
layout: {LAYOUT}
log: {every: 1}
YAML
  on 1x1 2
  cp runs/grid/steps.jsonl one
  on 1x1p2t 2
  cmp runs/grid/steps.jsonl one
}

# bats test_tags=release
@test "gradients that travel in bf16 are rounded alike on every grid" {
  texts
  gpt fp32
  sed -i 's/precision: fp32/reduce_precision: bf16/' grid.in
  same_on 2x1 3x1 4x1z2 2x2p2fz3 2x1p2bz1
  cp one rounded
  sed -i 's/reduce_precision: bf16/reduce_precision: fp32/' grid.in
  on 1x1 4
  ! cmp -s runs/grid/steps.jsonl rounded # it does round
}

@test "the library's own all-reduce comes to the same losses up to rounding" {
  texts
  gpt fp32
  on 1x1 4
  cp runs/grid/steps.jsonl one
  sed -i 's/LAYOUT/LAYOUT, reduction: fast/' grid.in
  on 4x1 4
  jq -en --slurpfile a one --slurpfile b runs/grid/steps.jsonl \
    '[$a, $b | map(select(.loss) | .loss)] | transpose | length > 0 and all(.[0] - .[1] | fabs < 1e-4)'
}

# Three ranks have 1, 1 and 2 of the tensor slots, and so tokens.
@test "tensor ranks that share the tokens of a gpt, with recomputation" {
  texts
  gpt bf16
  sed -i 's/train: {batch: 8,/train: {batch: 16, micro_batches: 2, recompute: 1,/' grid.in
  same_on 1x2sp2b 1x3s 1x4s 2x2sz1 2x2sp2fz1
}

# bats test_tags=release
@test "tensor ranks that share the tokens of a gpt whose groups of heads turn" {
  texts
  grouped_gpt fp32
  same_on 1x4s 2x2sz3 1x2sp2i
}

# bats test_tags=release
@test "tensor ranks that share the tokens of a bert" {
  texts
  bert fp32
  same_on 1x4s 2x2sp2f
}

@test "three tensor slots on two ranks, one of which holds two" {
  texts
  gpt fp32
  sed -i 's/tensor: 4/tensor: 3/' grid.in
  same_on 1x2 2x2 1x3 1x3p2f
}

# Lengths of whole tensors, of which ranks have parts, rows or columns that do not divide.
@test "LAMB" {
  texts
  gpt fp32
  sed -i 's/kind: adamw/kind: lamb/' grid.in
  same_on 2x2z3 1x3p2bz1
}

# Matrices as a whole, of which three ranks have parts of 1, 1 and 2 slots.
@test "Muon" {
  texts
  gpt fp32
  sed -i 's/kind: adamw/kind: muon, adamw_learning_rate: 0.01/' grid.in
  same_on 2x2z3 1x3p2b 2x1z3
  # And from a checkpoint of one grid on another.
  on 2x2z1 2
  on 1x3p2fz0 4 --resume
  grep '"bits"' runs/grid/steps.jsonl | cmp - <(grep '"bits"' one)
}

@test "a checkpoint of any grid goes on on any other" {
  texts
  gpt fp32
  on 1x1 4
  cp runs/grid/steps.jsonl one
  for pair in "1x4 2x2p2fz3" "2x2p2bz3 4x1z2" "4x1z3 1x2p2i" "1x2 2x4" "1x1p4b 2x2" "2x1p4fz1 1x4p2g" "2x2 1x1p2f" "1x2p4b 4x2" \
    "4x1p2g 1x1p4f" "1x1p2i 2x1p2b" "2x4z3 1x1p4f" "1x4p2f 4x1p2b"; do
    set -- $pair
    on "$1" 2
    on "$2" 4 --resume
    # It did go on, and not begin anew.
    [ "$(jq -s 'map(.steps) | add' runs/grid/rank-1.jsonl)" -eq 4 ]
    # The last evaluation of the first run is beside those of the second.
    grep '"bits"' runs/grid/steps.jsonl | cmp - <(grep '"bits"' one)
  done
}

# bats test_tags=release
@test "with dp: auto a job gets whole tensor groups of the ranks that there are" {
  texts
  gpt fp32
  on 1x1 4
  cp runs/grid/steps.jsonl one
  for workers in 3 8; do
    sed "s/STEPS/4/; s/LAYOUT/dp: auto, tp: 2/" grid.in > grid.yaml
    train $workers grid | grep -q "(dp $((workers / 2)), tp 2, 4 data slots)"
    cmp runs/grid/steps.jsonl one
  done
  sed -i '$ a ranks: {min: 3, max: 3}' grid.yaml
  run train 3 grid
  [ "$status" -eq 78 ]
  [[ "$output" == *"no multiple of layout.tp 2 lies between ranks.min 3 and ranks.max 3"*"raise ranks.max to 4"* ]]
}

@test "stopped at a random step on one grid and resumed on others: bitwise the same" {
  texts
  gpt fp32
  sed -i 's/evaluate_every: 2, //' grid.in
  echo 'log: {every: 1}' >> grid.in
  on 1x1 1500 > /dev/null
  cp runs/grid/steps.jsonl one
  sed "s/STEPS/1500/; s/LAYOUT/dp: 2, tp: 2/" grid.in > grid.yaml
  begin first 4 grid
  wait_for_step first $((RANDOM % 100 + 1))
  kill -TERM $launcher
  ended
  [ $status -eq 75 ]
  on 1x4 1500 --resume
  cmp runs/grid/steps.jsonl one
}

# bats test_tags=release
@test "kill -9 of a worker of a pipeline of tensor groups ends the run, and it resumes to the same losses" {
  texts
  gpt fp32
  sed -i 's/evaluate_every: 2, //' grid.in
  printf 'log: {every: 1}\ncheckpoint: {every: 20}\n' >> grid.in
  on 1x1 200 > /dev/null
  cp runs/grid/steps.jsonl one
  sed "s/STEPS/200/; s/LAYOUT/dp: 1, pp: 2, tp: 2, schedule: zb-h1/" grid.in > grid.yaml
  begin first 4 grid
  wait_for_step first $((RANDOM % 60 + 41))
  kill -9 "$(our_ranks | grep -v "^$launcher$" | tail -n 1)"
  ended
  [ $status -ne 0 ]
  gone_within 20
  no_shm_left
  on 1x4 200 --resume > second
  grep -q 'tp 4' second
  cmp runs/grid/steps.jsonl one
}

@test "what tensor parallelism can't do is refused before it starts, with what would be accepted" {
  texts
  gpt fp32
  sed -i 's/STEPS/4/; s/LAYOUT/dp: 1, tp: TP/' grid.in
  sed 's/TP/8/' grid.in > grid.yaml
  run train 8 grid
  [ "$status" -eq 78 ]
  [[ "$output" == *"layout.tp 8 is more than slots.tensor 4"*"lower layout.tp to 4"* ]]
  sed 's/TP/8/; s/tensor: 4/tensor: 8/' grid.in > grid.yaml
  run train 8 grid
  [ "$status" -eq 78 ]
  [[ "$output" == *"block0.qkv.weight: 5 part(s)"*"use layout.tp 4 or less"* ]]
}
