#!/usr/bin/env bash
# What an all-reduce sends between three hosts of two ranks each, flat, hierarchical, as bf16, and by Open MPI itself: a line
# of JSON for each (see hosts.c); of_flat: the network's bytes over those of the flat one. Root only.
#   test/bench/hosts.sh BENCH_HOSTS [BYTES]     BENCH_HOSTS: build/test/bench/bench_hosts
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
bench=$(readlink -f "${1:?BENCH_HOSTS, the program that the build made}")
[ -n "${QD_HOSTS:-}" ] || exec "$here/../hosts/hosts.sh" 3 "$here/hosts.sh" "$bench" "${@:2}"
"$QD_HOSTS/on" h1 "OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 mpirun --mca plm_rsh_agent '$QD_HOSTS/on' \
  --quiet --bind-to none --oversubscribe --host h1:2,h2:2,h3:2 -n 6 '$bench' ${2:-}" |
  jq -sc '.[0].network as $flat | .[] | . + {of_flat: (.network / $flat * 1000 | round / 1000)}'
