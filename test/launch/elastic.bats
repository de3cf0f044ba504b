#!/usr/bin/env bats
# A job that becomes narrower and wider while it runs.
load helpers

# wait_for_words FILE WORDS: until they are there.
wait_for_words() {
  local i
  for ((i = 0; i < 600; i++)); do
    grep -q "$2" "$1" && return 0
    sleep 0.05
  done
  cat "$1"
  return 1
}

# E has {1..3} on three workers; a more important job comes three seconds later, gets one of them, and gives it back. The
# workers have to be up by then, which they are not under a sanitizer.
# bats test_tags=release
@test "an elastic job shrinks for a more important one, grows again, and its losses are bitwise the same" {
  job 100000 e
  job 5 hi
  sed -i 's/^ranks: .*/ranks: {min: 1, max: 1}/' hi.yaml
  sed -i 's/^ranks: .*/ranks: {min: 1, max: 3}/' e.yaml
  echo 'request: {importance: 50, begin_s: 3}' >> hi.yaml
  cat > cluster.yaml << END
scheduler:
  policy: multifactor
  preemption: {by: class, min_run_s: 0}
  grow: {enabled: true, cost_s: 0, min_run_s: 0}
END
  begin out 3 hi e.yaml --conf cluster.yaml
  wait_for_words out "e: started on ranks 1,2,3 "
  wait_for_words out "e: RESIZING: shrinks to 2 ranks: makes room for job"
  wait_for_words out "hi: started on rank 3 "
  wait_for_words out "e: started on ranks 1,2 "
  wait_for_words out "hi: COMPLETED"
  wait_for_words out "e: RESIZING: grows to 3 ranks"
  for ((i = 0; i < 600; i++)); do
    [ "$(grep -c 'e: started on ranks 1,2,3 ' out)" -ge 2 ] && break
    sleep 0.05
  done
  sleep 0.2 # some steps on all three
  kill -TERM $launcher
  ended
  [ $status -eq 75 ]
  grep '"bits"' runs/e/steps.jsonl > resized
  job "$(wc -l < resized)" e
  rm -r runs/e
  train 1 e > whole
  grep '"bits"' runs/e/steps.jsonl | cmp - resized
}
