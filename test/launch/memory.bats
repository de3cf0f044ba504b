#!/usr/bin/env bats
# The peak memory of a worker is what plan said, to a tenth: for every job file that we ship, with its model, its
# batch (of resnets a part) and its training data, on one worker and (but for the slowest) on two, with evaluation and checkpoint.
load helpers

# The training data are whole; of what is evaluated, a little is enough.
data() {
  local fashion=/usr/share/datasets/fashion-mnist
  mkdir data
  ln -s $fashion/train-* data/
  first_entries 64 784 16 $fashion/t10k-images-idx3-ubyte.gz data/t10k-images-idx3-ubyte.gz
  first_entries 64 1 8 $fashion/t10k-labels-idx1-ubyte.gz data/t10k-labels-idx1-ubyte.gz
  cp "$QD_SOURCE_DIR"/conf/data/* data/
  echo 'liveness: {timeout_s: 300}' > patient.yaml # however busy the machine
}

# short_job FILE EDIT...: job.yaml, two steps of it.
short_job() {
  local file=$1
  shift
  sed -e 's/^name: .*/name: job/' -e 's#^  folder: .*#  folder: data#' -e 's/^  \(steps\|epochs\): .*/  steps: 2/' \
    -e 's/^  validation: .*/  validation: 64/' -e '/^  warmup:/d' "$@" "$file" > job.yaml
}

# as_planned WORKERS [COPY]: trains job.yaml, a copy of the model on so many, and compares every worker's peak with the plan.
as_planned() {
  local rank planned peak
  planned=$("$QUADRILLE" plan --json job.yaml | jq ".gangs[] | select(.dp == $1 / ${2:-1}).peak_bytes_per_rank")
  train "$1" job --conf patient.yaml > /dev/null
  for ((rank = 1; rank <= $1; rank++)); do
    peak=$(jq -s 'map(.peak_memory_bytes) | max' "runs/job/rank-$rank.jsonl")
    echo "$file: rank $rank of $1: planned $planned, was $peak"
    jq -en "($peak - $planned | fabs) <= 0.1 * $planned"
  done
  rm -r runs/job
}

@test "every job's peak memory is what plan said, within a tenth" {
  data
  for file in "$QD_SOURCE_DIR"/conf/jobs/*.yaml; do
    case $file in
      *resnet*) short_job "$file" -e 's/^  batch: .*/  batch: 16/' ;; # a step of the whole takes half a minute
      *) short_job "$file" ;;
    esac
    as_planned 1
    case $file in *resnet*) ;; *) as_planned 2 ;; esac # minutes
  done
}

@test "in bf16, too" {
  data
  for file in "$QD_SOURCE_DIR"/conf/jobs/{fashion-cnn,languages-lstm,shakespeare-gpt}.yaml; do
    short_job "$file" -e 's/^train:/&\n  precision: bf16/'
    as_planned 1
  done
}

@test "where tensor ranks share tokens, too, which takes less" {
  local with without
  data
  file="$QD_SOURCE_DIR/conf/jobs/shakespeare-gpt.yaml"
  short_job "$file" -e '/^slots:/,$d'
  echo 'layout: {dp: 1, tp: 2}' >> job.yaml
  without=$("$QUADRILLE" plan --json job.yaml | jq .gangs[0].peak_bytes_per_rank)
  sed -i 's/tp: 2/tp: 2, sequence_parallel: true/' job.yaml
  with=$("$QUADRILLE" plan --json job.yaml | jq .gangs[0].peak_bytes_per_rank)
  [ "$with" -lt "$without" ]
  as_planned 2 2
}

@test "a data set that is not there is not counted, and that is said" {
  job 10
  sed -i 's#^  folder: .*#  folder: nowhere#' small.yaml
  "$QUADRILLE" plan small.yaml | grep -q '^data set: not counted: nowhere/.*: No such file or directory$'
  "$QUADRILLE" plan --json small.yaml > plan.json
  jq -e '.gangs | all(.parts.data_set == null and .peak_bytes_per_rank == (.parts | add))' plan.json
}
