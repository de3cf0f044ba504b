#!/usr/bin/env bash
# hosts.sh: several hosts on one machine, for as long as a command runs.
#   test/hosts/hosts.sh N COMMAND...   runs COMMAND beside hosts h1 .. hN; exit status 77 where that cannot be
#   $QD_HOSTS/on HOST COMMAND...       within COMMAND: runs on a host, with an environment of its own, as ssh does
#
# A host has a name, a network, a /dev/shm and a $TMPDIR of its own. The folder $QD_HOSTS is the same one on all hosts and
# for COMMAND, as on a network file system. A switch joins the hosts; where COMMAND runs, its port to host hI is the
# network device hI. All this hangs on one process and goes with it, whatever ends it: no name of it can meet
# another run's, and nothing has to be tidied up.
set -euo pipefail
me=$(readlink -f "$0")
network=10.77.0
apart=(--net --uts --ipc --mount)

# In a chroot `/' may be no mount, so that it cannot be made private; where nothing is shared, it need not be.
grep -q ' shared:' /proc/self/mountinfo || apart+=(--propagation unchanged)

cannot() {
  echo "no several hosts on this machine: $1" >&2
  exit 77
}

outside() {
  local room=(setpriv --pdeathsig KILL unshare "${apart[@]}" --pid --fork --kill-child --mount-proc) folder status=0
  [ "$(id -u)" -eq 0 ] || cannot "only root can make them"
  command -v ip >/dev/null || cannot "\`ip' is missing (Debian: iproute2)"
  "${room[@]}" ip link add probe type bridge 2>/dev/null || cannot "no network can be made here, not even by root"
  folder=$(mktemp -d)
  QD_HOSTS=$folder "${room[@]}" "$me" room "$@" || status=$?
  rmdir "$folder"
  return $status
}

room() {
  local count=$1 i
  shift
  mount -t tmpfs tmpfs "$QD_HOSTS"
  mkdir "$QD_HOSTS/tmp" "$QD_HOSTS/work"
  printf '#!/bin/sh\nexec %s on "$@"\n' "$me" >"$QD_HOSTS/on"
  chmod +x "$QD_HOSTS/on"
  cp /etc/hosts "$QD_HOSTS/names"
  for ((i = 1; i <= count; i++)); do echo "$network.$i h$i"; done >>"$QD_HOSTS/names"
  mount --bind "$QD_HOSTS/names" /etc/hosts
  ip link set lo up
  ip link add switch type bridge
  ip link set switch up
  for ((i = 1; i <= count; i++)); do start_host "$i"; done
  cd "$QD_HOSTS/work"
  TMPDIR=$QD_HOSTS/work "$@"
}

start_host() {
  unshare "${apart[@]}" "$me" host "$1" &
  echo $! >"$QD_HOSTS/h$1"
  while [ "/proc/$!/ns/mnt" -ef /proc/self/ns/mnt ]; do sleep 0.01; done
  ip link add "h$1" type veth peer name eth0 netns $!
  ip link set "h$1" master switch up
  while [ ! -e "/proc/$!/root$QD_HOSTS/tmp/up" ]; do sleep 0.01; done
}

# What a host is while nothing runs on it.
host() {
  hostname "h$1"
  mount -t tmpfs tmpfs /dev/shm
  mount -t tmpfs tmpfs "$QD_HOSTS/tmp"
  mount -t sysfs sysfs /sys
  while ! ip link set eth0 up 2>/dev/null; do sleep 0.01; done
  ip addr add "$network.$1/24" dev eth0
  ip link set lo up
  cd /
  touch "$QD_HOSTS/tmp/up"
  exec sleep infinity
}

on() {
  local host
  host=$(cat "$QD_HOSTS/$1")
  shift
  exec env -i PATH="$PATH" HOME="$HOME" TMPDIR="$QD_HOSTS/tmp" QD_HOSTS="$QD_HOSTS" \
    nsenter --target "$host" --net --uts --ipc --mount --root --wd sh -c "$*"
}

case ${1:-} in
  room | host | on) "$@" ;;
  [1-9]*) outside "$@" ;;
  *) sed -n '2,4p' "$0" >&2; exit 64 ;;
esac
