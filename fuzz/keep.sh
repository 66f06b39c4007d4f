#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
set -euo pipefail

usage() {
  cat <<'TEXT'
usage: fuzz/keep.sh COUNT TARGET...

Adds to the seeds of each TARGET the inputs of build/fuzz/found that reach most of what the seeds do not:
COUNT at most, as long as there are no more than 60 seeds, and none of more than 4096 bytes. They are named
reaches_*. The targets are those that `dev fuzz` has built.
TEXT
}

[ $# -ge 2 ] || { usage >&2; exit 2; }
cd "$(dirname "${BASH_SOURCE[0]}")/.."
count=$1 most=60 build_dir=build/fuzz
shift
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for target in "$@"; do
  program=$(find "$build_dir/libs" "$build_dir/fuzz" -maxdepth 1 -name "${target}_fuzz" -type f)
  seeds=$(find libs fuzz -path "*/corpus/$target" -type d)
  if [ -z "$program" ] || [ -z "$seeds" ]; then
    echo "keep: there is no target $target" >&2
    exit 2
  fi
  mkdir -p "$work/$target" "$work/small"
  find "$build_dir/found/$target/corpus" -type f -size -4097c -exec cp -t "$work/small" {} +
  cp "$seeds"/* "$work/$target"
  touch "$work/begin"
  # The greedy way: what adds most comes first.
  "$program" -set_cover_merge=1 -timeout=10 -rss_limit_mb=2560 "$work/$target" "$work/small" \
    >"$work/log" 2>&1 || { tail -n 5 "$work/log" >&2; exit 1; }
  room=$((most - $(find "$seeds" -type f | wc -l)))
  if [ "$room" -gt "$count" ]; then room=$count; fi
  kept=0
  while read -r _ file; do
    [ "$kept" -lt "$room" ] || break
    cp "$file" "$seeds/reaches_$(basename "$file" | cut -c 1-8)"
    kept=$((kept + 1))
  done < <(find "$work/$target" -type f -newer "$work/begin" -printf '%T@ %p\n' | sort -n)
  printf '%-20s %3s kept\n' "$target" "$kept"
  rm -rf "$work/small"
done
