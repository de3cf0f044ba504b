#!/usr/bin/env bats
# The command line without ranks: help, plan, dry run, and what is said about mistakes.
load helpers

@test "help and version go to stdout and succeed" {
  for arguments in --help "run --help" "plan --help" "calibrate --help" "simulate --help" "why --help" "util --help" --version; do
    run "$QUADRILLE" $arguments
    [ "$status" -eq 0 ]
    [ -n "$output" ]
  done
}

@test "an unknown command names the nearest one" {
  run "$QUADRILLE" pln
  [ "$status" -eq 64 ]
  [[ "$output" == *'there is no command "pln"; did you mean "plan"?'* ]]
}

@test "wrong use of options is status 64" {
  job 10
  for arguments in "run" "plan" "util" "run -n 0 small.yaml" "run -n x small.yaml" \
    "run --progress=loud small.yaml" "run --nonsense small.yaml" "plan a b" "why a b" \
    "why --if=ranks=0 a" "why --if=time=1w a" "why --if=ranks a" "why --if=ranks=1" "why --session=0"; do
    run "$QUADRILLE" $arguments
    [ "$status" -eq 64 ]
  done
}

@test "two jobs of one name are refused" {
  job 10
  cp small.yaml again.yaml
  run "$QUADRILLE" run small.yaml again.yaml
  [ "$status" -eq 64 ]
  [[ "$output" == *'both describe a job named "small"'* ]]
}

@test "what a job comes after is named before it" {
  job 10 first
  job 10 second
  echo 'request: {after: "ok:first"}' >> second.yaml
  "$QUADRILLE" run --dry-run first.yaml second.yaml | grep -q '^  after: "\?ok:first'
  run "$QUADRILLE" run --dry-run second.yaml first.yaml
  [ "$status" -eq 78 ]
  [[ "$output" == *"second.yaml: request.after: 'first' is no job named before this one"* ]]
  sed -i 's/ok:first/first/' second.yaml
  run "$QUADRILLE" run first.yaml second.yaml
  [ "$status" -eq 78 ]
  [[ "$output" == *"second.yaml: request.after: 'first'; accepted: none, or up to 4 times any:JOB, ok:JOB or notok:JOB, with commas between"* ]]
}

@test "a broken job file is status 78, with file and line, and starts nothing" {
  job 10
  sed -i 's/learning_rate/lerning_rate/' small.yaml
  run "$QUADRILLE" run small.yaml
  [ "$status" -eq 78 ]
  [[ "$output" == *'small.yaml:13: '*'lerning_rate'*'did you mean "learning_rate"?'* ]]
  [ ! -e runs ]
}

@test "a missing file is status 74" {
  run "$QUADRILLE" run nothing.yaml
  [ "$status" -eq 74 ]
  run "$QUADRILLE" util nothing
  [ "$status" -eq 74 ]
  run "$QUADRILLE" why
  [ "$status" -eq 74 ]
  [[ "$output" == *"runs/journal.sqlite"* ]]
}

@test "the dry run prints a job that resolves to itself" {
  job 10
  "$QUADRILLE" run --dry-run small.yaml > resolved.yaml
  grep -q '^seed: 1' resolved.yaml
  "$QUADRILLE" run --dry-run resolved.yaml | cmp - resolved.yaml
}

@test "plan counts parameters and FLOPs of the 784-128-10 perceptron" {
  "$QUADRILLE" plan --json "$QD_SOURCE_DIR/conf/jobs/fashion-mlp.yaml" > plan.json
  # 784*128 + 128 + 128*10 + 10 parameters
  [ "$(jq .parameters plan.json)" -eq 101770 ]
  # two products of 2*m*n*k, batch 128, are most of the forward pass
  jq -e '.forward_flops_per_step as $f | (2 * 128 * (784 * 128 + 128 * 10)) as $gemm
         | $f >= $gemm and $f < 1.02 * $gemm' plan.json
  run "$QUADRILLE" plan "$QD_SOURCE_DIR/conf/jobs/fashion-mlp.yaml"
  [ "$status" -eq 0 ]
  [[ "$output" == *"101770"* ]]
}

@test "plan shows what recomputing blocks costs, and what it saves" {
  sed 's/^train:/&\n  recompute: 4/' "$QD_SOURCE_DIR/conf/jobs/shakespeare-gpt.yaml" > gpt.yaml
  "$QUADRILLE" plan --json "$QD_SOURCE_DIR/conf/jobs/shakespeare-gpt.yaml" > kept.json
  "$QUADRILLE" plan --json gpt.yaml > again.json
  jq -e '.blocks == 4 and .recomputed_blocks == 0 and .recompute_flops_per_step == 0' kept.json
  # most of forward is the blocks, and of these all but the last product, 4 of 12 w^2
  jq -e '.recomputed_blocks == 4 and .recompute_flops_per_step / .forward_flops_per_step > 0.6
         and .recompute_flops_per_step / .forward_flops_per_step < 0.75' again.json
  [ "$(jq '.gangs[0].parts.arena' again.json)" -lt "$(jq '.gangs[0].parts.arena' kept.json)" ]
  run "$QUADRILLE" plan gpt.yaml
  [[ "$output" == *"forward again for 4 of 4 blocks"* ]]
}

@test "plan --schedule draws who computes what when" {
  run "$QUADRILLE" plan --schedule=1f1b --stages 3 --micro-batches 4 "$QD_SOURCE_DIR/conf/jobs/shakespeare-gpt.yaml"
  [ "$status" -eq 0 ]
  # Worked out by hand: a backward takes two forwards.
  grep -qxF '  0 | F0 F1 F2 .  .  .  .  B0--- F3 B1--- .  B2--- .  B3--- |' <<< "$output"
  grep -qxF '  1 | .  F0 F1 .  .  B0--- F2 B1--- F3 B2--- .  B3--- .  .  |' <<< "$output"
  grep -qxF '  2 | .  .  F0 B0--- F1 B1--- F2 B2--- F3 B3--- .  .  .  .  |' <<< "$output"
  [[ "$output" == *"tokens.weight is read by the parts on stages 0, 2"* ]]
}

@test "plan --schedule --json holds every node, action and time once" {
  local job="$QD_SOURCE_DIR/conf/jobs/shakespeare-gpt.yaml" kind chunks
  for kind in gpipe 1f1b interleaved zb-h1; do
    chunks=1; [ $kind = interleaved ] && chunks=2
    "$QUADRILLE" plan --json --schedule $kind --stages 3 --chunks $chunks --micro-batches 5 "$job" > plan.json
    # an even pipeline: 5 micro-batches in both chunks, 3 each, and the bubble of models/pipeline.h
    jq -e --arg kind $kind '.pipeline | .chunks as $v | (.parts | length) == 3 * $v
           and (.parts | map(.nodes) | add | length == (unique | length))
           and .total == 5 * 3 * $v + 2 * (if $kind == "zb-h1" then 1 else 3 end)
           and all(.stages[]; [.actions[] | select(.action == "forward")] | length == 5 * $v)
           and .shared == [{parameter: "tokens.weight", parts: [0, 3 * $v - 1]}]' plan.json
    jq -e '(.pipeline.parts | map(.forward_flops) | add) * 8 / .forward_flops_per_step - 1
           | fabs < 1e-9' plan.json
  done
  # all micro-batches of a step, where their number is not given
  "$QUADRILLE" plan --json --schedule gpipe --stages 2 "$job" | jq -e '.pipeline.micro_batches == 8'
}

@test "plan --cluster chooses a layout, says what it takes and why others lost" {
  local gpt="$QD_TEST_DATA/jobs/gpt2-124m.yaml" a100="$QD_SOURCE_DIR/conf/clusters/a100-80.yaml"
  run "$QUADRILLE" plan "$gpt" --cluster "$a100" --ranks 8
  [ "$status" -eq 0 ]
  [[ "$output" == *"layout      dp 8, pp 1, tp 1"* ]]
  [[ "$output" == *"layout: {dp: 8, pp: 1, tp: 1, zero: "* ]]
  [[ "$output" == *" % slower: "* ]]
  "$QUADRILLE" plan --json "$gpt" --cluster "$a100" --ranks 8 --layout=zero=0,dp=4 > plan.json
  jq -e '.best | .layout.dp == 4 and .layout.zero == 0
         and (([.seconds[]] | add) / .step_s - 1 | fabs) < 1e-9
         and (([.memory[]] | add) / .memory_bytes - 1 | fabs) < 1e-9
         and .tokens_per_s == .samples_per_s * 1024' plan.json
  jq -e '(.others | length) > 0 and all(.others[]; .reason | length > 0)' plan.json
}

@test "plan --cluster keeps the dp that a job file asks for" {
  sed 's/^slots:/layout: {dp: 2}\n&/' "$QD_TEST_DATA/jobs/gpt2-124m.yaml" > two.yaml
  "$QUADRILLE" plan --json two.yaml --cluster "$QD_SOURCE_DIR/conf/clusters/h100.yaml" --ranks 8 | jq -e '.best.layout.dp == 2'
}

@test "plan --cluster refuses what does not fit, and wrong options" {
  local gpt="$QD_TEST_DATA/jobs/gpt3-175b.yaml" h100="$QD_SOURCE_DIR/conf/clusters/h100.yaml"
  run "$QUADRILLE" plan "$gpt" --cluster "$h100" --ranks 1
  [ "$status" -eq 78 ]
  [[ "$output" == *"does not fit on 1 rank(s) of h100: "*"; it would fit with at least "*" ranks" ]]
  for arguments in "--ranks=8" "--layout=dp=2" "--cluster=$h100" "--cluster=$h100 --ranks=0" \
    "--cluster=$h100 --ranks=8 --layout=dp" "--cluster=$h100 --ranks=8 --layout=ep=2" \
    "--cluster=$h100 --ranks=8 --layout=zero=4" "--cluster=$h100 --ranks=8 --layout=schedule=2f2b" \
    "--cluster=$h100 --ranks=8 --schedule=1f1b --stages=2"; do
    run "$QUADRILLE" plan "$gpt" $arguments
    [ "$status" -eq 64 ]
  done
  run "$QUADRILLE" plan "$gpt" --cluster nothing.yaml --ranks 8
  [ "$status" -eq 74 ]
}

@test "calibrate writes a description that plan reads" {
  "$QUADRILLE" calibrate -o here.yaml
  grep -q '^name: this-machine' here.yaml
  "$QUADRILLE" plan --json "$QD_SOURCE_DIR/conf/jobs/fashion-mlp.yaml" --cluster here.yaml --ranks 2 | jq -e '.best.step_s > 0'
}

@test "plan says which pipelines there can be" {
  local job="$QD_SOURCE_DIR/conf/jobs/fashion-mlp.yaml"
  run "$QUADRILLE" plan --schedule=2f2b --stages=2 "$job"
  [ "$status" -eq 78 ]
  [ "$output" = "quadrille: no pipeline schedule '2f2b'; there are: gpipe, 1f1b, interleaved, zb-h1" ]
  run "$QUADRILLE" plan --schedule=1f1b --stages=9 "$job"
  [ "$status" -eq 78 ]
  [ "$output" = "quadrille: 9 stages of 1 chunk: a pipeline of 9 parts; this model can be cut into 1 to 4" ]
  for arguments in "--stages=2" "--schedule=1f1b" "--schedule=1f1b --stages=0" "--schedule=1f1b --stages=2x"; do
    run "$QUADRILLE" plan $arguments "$job"
    [ "$status" -eq 64 ]
  done
}

@test "every job file in conf/jobs resolves" {
  for file in "$QD_SOURCE_DIR"/conf/jobs/*.yaml; do
    "$QUADRILLE" run --dry-run --conf "$QD_SOURCE_DIR/conf/cluster.yaml" "$file" > /dev/null
  done
}

@test "the man page knows every option and every command" {
  for command in run plan util why simulate generate; do
    grep -q "$command" "$QD_SOURCE_DIR/launch/quadrille.1"
    for option in $("$QUADRILLE" $command --help | grep -oE -- '--[a-z-]+' | sort -u); do
      grep -qF -- "${option//-/\\-}" "$QD_SOURCE_DIR/launch/quadrille.1" || { echo "$command $option"; false; }
    done
  done
}

@test "cmake --install puts a working program in place" {
  cmake --install "$QD_BUILD_DIR" --prefix "$PWD/usr" > /dev/null
  usr/bin/quadrille --version
  [ -f usr/share/man/man1/quadrille.1 ]
  usr/bin/quadrille plan usr/share/quadrille/conf/jobs/fashion-mlp.yaml
}

@test "every broken job and cluster file ends with its message and status 78, and starts nothing" {
  job 10
  cp "$QD_TEST_DATA"/broken/* .
  for message in *.err; do
    file=${message%.err}.yaml
    if [[ "$file" == cluster-* ]]; then
      run timeout 10 "$QUADRILLE" run --conf "$file" small.yaml
    elif [[ "$file" == hardware-* ]]; then
      run timeout 10 "$QUADRILLE" plan --cluster "$file" --ranks 2 small.yaml
    else
      run timeout 10 "$QUADRILLE" run "$file"
    fi
    [ "$status" -eq 78 ] || { echo "$file: status $status"; false; }
    [ "$output" = "quadrille: $(cat "$message")" ] || { echo "$file: $output"; false; }
  done
  [ ! -e runs ]
}
