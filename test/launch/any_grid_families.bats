#!/usr/bin/env bats
# Networks of other kinds give the same bits on every grid of data and pipeline parallelism, at every stage of ZeRO. A batch norm
# measures a micro-batch, which is the same wherever it runs.
load helpers
load grids

GRIDS="2x1p4bz3 3x1p2iz3 2x1 4x1 8x1 2x1z1 4x1z3 8x1z2 1x1p2f 1x1p4f 2x1p2f 4x1p2f 2x1p4f 1x1p2g 4x1p2g 1x1p2i
  2x1p2i 1x1p4b 2x1p2b 4x1p2b 2x1p4g 2x1p2fz1 4x1p2fz3 2x1p2gz2 5x1z3"

# rest PRECISION: of a job on images.
rest() {
  cat <<YAML
data:
  format: idx
  folder: $(small_fashion)
  train_images: train-images-idx3-ubyte.gz
  train_labels: train-labels-idx1-ubyte.gz
  test_images: t10k-images-idx3-ubyte.gz
  test_labels: t10k-labels-idx1-ubyte.gz
  validation: 40
train: {batch: 32, steps: STEPS, evaluate_every: 2, micro_batches: 2, precision: $1}
slots: {data: 8, pipeline: 4}
layout: {LAYOUT}
YAML
}

@test "a perceptron in bf16" {
  cat > grid.in <<YAML
name: grid
model: {family: mlp, inputs: 784, hidden: [37, 21], activation: relu, classes: 10}
optimizer: {kind: adam, learning_rate: 0.001, clip: 1}
$(rest bf16)
YAML
  same_on $GRIDS
}

@test "a convolutional network with batch norms in fp32" {
  cat > grid.in <<YAML
name: grid
model:
  family: layers
  image: [28, 28, 1]
  classes: 10
  layers:
    - {kind: convolution, filters: 6, kernel: 3}
    - batch_norm
    - {kind: relu, name: a}
    - {kind: convolution, filters: 6, kernel: 3}
    - batch_norm
    - {kind: add, with: a}
    - {kind: max_pool, window: 4}
    - global_mean_pool
    - {kind: linear, width: 10}
optimizer: {kind: sgd, learning_rate: 0.05, momentum: 0.9, clip: 1}
$(rest fp32)
YAML
  same_on $GRIDS
}

@test "an LSTM on texts of varying length in bf16" {
  head -n 100 "$QD_SOURCE_DIR/conf/data/languages-train.tsv" > train.tsv
  cat > grid.in <<YAML
name: grid
model: {family: lstm, vocabulary: 256, classes: 4, layers: 2, width: 13, context: 20}
data: {format: lines, folder: ., train: train.tsv, test: train.tsv, validation: 30}
train: {batch: 16, steps: STEPS, evaluate_every: 2, micro_batches: 2, recompute: 1, precision: bf16}
optimizer: {kind: adamw, learning_rate: 0.01, clip: 1}
slots: {data: 8, pipeline: 4}
layout: {LAYOUT}
YAML
  same_on $GRIDS
}
