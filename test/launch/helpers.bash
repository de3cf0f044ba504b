# helpers.bash: what the command-line tests share. QUADRILLE is the binary under test; each test
# works in a folder of its own, which bats removes.

setup() {
  cd "$BATS_TEST_TMPDIR"
  touch .begun
}

# No test may leave a rank, a shared-memory segment or a session folder behind.
teardown() {
  gone_within 10
  no_shm_left
}

# first_entries N BYTES HEADER FROM TO: the first N entries, of BYTES each, of a gzipped IDX file.
first_entries() {
  local count=$1 bytes=$2 header=$3 from=$4 to=$5
  gzip -dc "$from" 2>/dev/null | head -c $((header + count * bytes)) > "$to"
  printf "\\x00\\x00\\x$(printf %02x $((count / 256)))\\x$(printf %02x $((count % 256)))" |
    dd of="$to" bs=1 seek=4 conv=notrunc status=none
}

# The first entries of Fashion-MNIST, so that no run of the hundreds unpacks the whole. Made once a build.
small_fashion() {
  local whole=/usr/share/datasets/fashion-mnist part="$QD_BUILD_DIR/fashion-small" images labels
  if [ ! -d "$part" ]; then
    mkdir "$part.tmp"
    for set in "train 5000" "t10k 1000"; do
      set -- $set
      images=$1-images-idx3-ubyte.gz labels=$1-labels-idx1-ubyte.gz
      first_entries "$2" 784 16 $whole/$images "$part.tmp/$images"
      first_entries "$2" 1 8 $whole/$labels "$part.tmp/$labels"
    done
    mv "$part.tmp" "$part"
  fi
  echo "$part"
}

# steps N: of a run that lasts a while; a sanitizer makes each several times as long.
steps() {
  echo $(($1 / ${QD_TEST_SLOWER:-1}))
}

# job STEPS [NAME]: writes NAME.yaml, a small job of that many steps.
job() {
  sed "s/STEPS/$1/; s#FASHION#$(small_fashion)#; s/^name: .*/name: ${2:-small}/" "$QD_TEST_DATA/jobs/small.yaml" > "${2:-small}.yaml"
}

# The ranks that were started from this test's folder.
our_ranks() {
  local pid
  for pid in $(pgrep -f "$QUADRILLE run"); do
    [ "$(readlink "/proc/$pid/cwd" 2>/dev/null)" = "$PWD" ] && echo "$pid"
  done
  return 0
}

# Segments made since the test began that no process maps: other tests run beside it, but their ranks live.
shm_files() {
  find /dev/shm -newer "$BATS_TEST_TMPDIR/.begun" \( -name 'vader_segment.*' -o -name 'quadrille*' \) 2>/dev/null |
    grep -vxFf <(cat /proc/[0-9]*/maps 2>/dev/null | grep -o '/dev/shm/[^ ]*' | sort -u; echo)
  return 0
}

# A segment that is being made or removed is mapped by nobody for a moment; one that is left behind stays.
no_shm_left() {
  local i
  for ((i = 0; i < 20; i++)); do
    [ -n "$(shm_files)" ] || return 0
    sleep 0.1
  done
  echo "left in /dev/shm: $(shm_files)"
  return 1
}

# gone_within SECONDS: waits until no rank of ours is left.
gone_within() {
  local i
  for ((i = 0; i < $1 * 10; i++)); do
    [ -n "$(our_ranks)" ] || return 0
    sleep 0.1
  done
  echo "still there after $1 s: $(our_ranks)"
  return 1
}

# wait_for_step OUTPUT N: until that run has printed its step N.
wait_for_step() {
  local i
  for ((i = 0; i < 600; i++)); do
    grep -q "step $2/" "$1" 2>/dev/null && return 0
    sleep 0.05
  done
  echo "no step $2 in $1 after 30 s"
  return 1
}

# same_steps JOB FILE: every step's loss, and every evaluation, bit for bit.
same_steps() {
  cmp "runs/$1/steps.jsonl" "$2"
}

# train WORKERS JOB OPTION...
train() {
  local workers=$1 name=$2
  shift 2
  "$QUADRILLE" run -n "$workers" --progress=lines "$@" "$name.yaml"
}

# begin OUTPUT WORKERS JOB OPTION...: the same in the background; $launcher is its process.
begin() {
  local out=$1 workers=$2 name=$3
  shift 3
  "$QUADRILLE" run -n "$workers" --progress=lines "$@" "$name.yaml" >"$out" 2>"$out.err" &
  launcher=$!
}

# ended: waits for it; $status is its exit status.
ended() {
  wait "$launcher" && status=0 || status=$?
}
