#!/usr/bin/env bats
# `quadrille generate`: goes on from a prompt with a trained language model.

load helpers

# A language model that has learnt nothing yet but is one, in runs/NAME.
language_model() {
  cat > "$1.yaml" <<YAML
name: $1
model: {family: gpt, layers: 1, heads: 2, width: 16, context: 8, vocabulary: 256}
data: {format: text, folder: ., file: text.txt}
train: {batch: 8, steps: 20}
optimizer: {kind: adam, learning_rate: 0.01}
YAML
  for i in $(seq 100); do echo "to be or not to be, that is the question $i"; done > text.txt
  train 1 "$1"
}

@test "a text is as long as asked for, begins with the prompt and is the same for the same seed" {
  language_model words
  "$QUADRILLE" generate runs/words --prompt "to be" --tokens 40 > one
  "$QUADRILLE" generate runs/words --prompt "to be" --tokens 40 > two
  "$QUADRILLE" generate runs/words --prompt "to be" --tokens 40 --seed 2 > other
  [ "$(wc -c < one)" -eq $((5 + 40 + 1)) ]
  [ "$(head -c 5 one)" = "to be" ]
  cmp one two
  ! cmp -s one other
}

@test "a list of layers that predicts the next token can be continued" {
  cat > words.yaml <<YAML
name: words
model:
  family: layers
  context: 8
  vocabulary: 256
  next_token: true
  layers:
    - {kind: embedding, width: 16}
    - {kind: attention, heads: 2, causal: true}
    - {kind: lstm, width: 16}
    - {kind: linear, width: 256}
data: {format: text, folder: ., file: text.txt}
train: {batch: 8, steps: 20}
optimizer: {kind: adam, learning_rate: 0.01}
YAML
  for i in $(seq 100); do echo "to be or not to be, that is the question $i"; done > text.txt
  train 1 words
  "$QUADRILLE" generate runs/words --prompt "to be" --tokens 40 > one
  [ "$(head -c 5 one)" = "to be" ]
  [ "$(wc -c < one)" -eq $((5 + 40 + 1)) ]
}

@test "a run that cannot be continued is told why" {
  run "$QUADRILLE" generate runs/nothing
  [ "$status" -eq 65 ]
  [[ "$output" == *"runs/nothing: there is no complete checkpoint"* ]]
  job 2 plain
  train 1 plain
  run "$QUADRILLE" generate runs/plain
  [ "$status" -eq 78 ]
  [[ "$output" == *"model.family mlp does not predict the next token"* ]]
}

@test "wrong numbers are wrong usage" {
  run "$QUADRILLE" generate runs/a --tokens 0
  [ "$status" -eq 64 ]
  [[ "$output" == *"--tokens=0: use a number from 1 to"* ]]
  run "$QUADRILLE" generate
  [ "$status" -eq 64 ]
}
