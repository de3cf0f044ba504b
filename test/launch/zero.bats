#!/usr/bin/env bats
# What ranks keep by shards, and how gradients are cut into buckets, changes no bit and no checkpoint.
load helpers

# layout ZERO BUCKET_MIB: the job of 60 steps with that layout.
layout() {
  job 60
  sed -i 's/^optimizer: .*/optimizer: {kind: adam, learning_rate: 0.001, clip: 1}/' small.yaml
  echo "layout: {zero: $1, bucket_mib: $2}" >> small.yaml
}

@test "losses and gradient norms are bitwise the same for every stage, gang and size of buckets" {
  layout 0 4
  train 1 small
  cp runs/small/steps.jsonl one
  for zero in 0 1 2 3; do
    for workers in 2 3 8; do
      layout $zero 0.02
      train $workers small
      same_steps small one
    done
  done
}

@test "a checkpoint saved at one stage and gang is loaded at another" {
  local from to
  layout 0 4
  train 1 small
  cp runs/small/steps.jsonl one
  for pair in "1 4 2 3" "2 8 0 2" "2 3 1 8" "0 2 3 5" "3 3 0 4" "3 8 3 2"; do
    read -r from workers to others <<< "$pair"
    layout "$from" 0.02
    sed -i 's/steps: 60/steps: 30/' small.yaml
    train "$workers" small
    layout "$to" 0.01
    train "$others" small --resume
    [ "$(jq -s 'map(.steps) | add' runs/small/rank-1.jsonl)" -eq 60 ] # not anew
    cmp <(grep '"bits"' runs/small/steps.jsonl) <(grep '"bits"' one)
  done
}

@test "plan knows that shards take less memory" {
  local peak last=
  for zero in 0 1 2 3; do
    layout $zero 0.02
    sed -i 's/hidden: .32./hidden: [128, 128, 128, 128, 128, 128, 128, 128]/' small.yaml
    peak=$("$QUADRILLE" plan --json small.yaml | jq '.gangs[] | select(.dp == 8).parts.arena')
    echo "zero $zero: $peak"
    [ -z "$last" ] || [ "$peak" -lt "$last" ]
    last=$peak
  done
}
