# grids.bash: the same job, in grid.in, on many grids. A grid is DPxTP, with s where tensor ranks share tokens, too, then
# pSTAGES with the letter of a schedule (f 1f1b, g gpipe, i interleaved with 2 chunks, t with 3, b zb-h1), then zZERO:
# 2x1p2bz1, 2x2sp2f.

# on GRID STEPS OPTION...: runs the job so.
on() {
  local -A schedules=([f]="1f1b" [g]="gpipe" [i]="interleaved, chunks: 2" [t]="interleaved, chunks: 3"
    [b]="zb-h1")
  [[ "$1" =~ ^([0-9]+)x([0-9]+)(s?)(p([0-9]+)([fgitb]))?(z([0-9]))?$ ]]
  local dp=${BASH_REMATCH[1]} tp=${BASH_REMATCH[2]} sequence=${BASH_REMATCH[3]:+true}
  local pp=${BASH_REMATCH[5]:-1} zero=${BASH_REMATCH[8]:-0} steps=$2
  local layout="dp: $dp, tp: $tp, pp: $pp, schedule: ${schedules[${BASH_REMATCH[6]:-f}]}, zero: $zero, bucket_mib: 0.01"
  layout+=", sequence_parallel: ${sequence:-false}"
  shift 2
  sed "s/STEPS/$steps/; s/LAYOUT/$layout/" grid.in > grid.yaml
  train $((dp * pp * tp)) grid "$@"
}

# same_on GRID...: losses, norms and evaluations of every grid, and all tensors of its last checkpoint. A sanitizer is
# shown the first two grids.
same_on() {
  on 1x1 4
  cp runs/grid/steps.jsonl one
  grep -q '"step":4,.*"grad_norm"' one
  grep -q '"step":4,.*"validation"' one
  "$CHECKPOINT_TENSORS" runs/grid > tensors-of-one
  grep -q '^optimizer/' tensors-of-one
  for grid in "${@:1:${QD_TEST_GRIDS:-$#}}"; do
    on "$grid" 4
    cmp runs/grid/steps.jsonl one
    "$CHECKPOINT_TENSORS" runs/grid | cmp - tensors-of-one
  done
}
