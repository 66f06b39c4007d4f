#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
set -euo pipefail

usage() {
  cat <<'TEXT'
usage: dev fuzz [TARGET...] [--list] [--time 10m] [--jobs N] [--build-dir DIR] [--log FILE]

Builds the fuzz targets with clang's libFuzzer, AddressSanitizer and UndefinedBehaviorSanitizer, and
runs TARGET... (default: all) from their seeds in libs/*/fuzz/corpus/TARGET. Prints how long each ran,
executions, coverage (edges, and libFuzzer's features) and findings.

  --list           print the targets and where their seeds are; run nothing
  --time T         how long each target runs: 30s, 10m, 2h (default 10m)
  --jobs N         targets at once; with one TARGET, processes that share the work (default 1)
  --build-dir DIR  default build/fuzz
  --log FILE       add CPU seconds, executions and findings to a table, such as docs/fuzz-log.md

New inputs go to DIR/found/TARGET/corpus, findings to DIR/found/TARGET/{crash,leak,timeout,oom}-*;
nothing else is written to the source tree. fuzz/README.md says what to do with them.

Exit status: 0 no findings, 1 findings, 2 wrong usage.
TEXT
}

die() { printf 'fuzz: %s\n' "$*" >&2; exit 2; }

cd "$(dirname "${BASH_SOURCE[0]}")/.."
targets=() list='' time=10m jobs=1 build_dir=build/fuzz log=''
while [ $# -gt 0 ]; do
  case $1 in
    --list) list=yes; shift ;;
    --time) time=${2:?--time needs a duration}; shift 2 ;;
    --jobs) jobs=${2:?--jobs needs a number}; shift 2 ;;
    --build-dir) build_dir=${2:?--build-dir needs a folder}; shift 2 ;;
    --log) log=${2:?--log needs a file}; shift 2 ;;
    --help | -h) usage; exit 0 ;;
    -*) usage >&2; exit 2 ;;
    *) targets+=("$1"); shift ;;
  esac
done
case $jobs in '' | *[!0-9]* | 0) die "--jobs $jobs: not a number of jobs" ;; esac

seconds_of() {
  local number=${1%[smh]} unit=${1##*[0-9]}
  case $number in '' | *[!0-9]*) die "--time $1: not a duration like 30s, 10m or 2h" ;; esac
  case $unit in
    s | '') echo "$number" ;;
    m) echo $((number * 60)) ;;
    h) echo $((number * 3600)) ;;
  esac
}
seconds=$(seconds_of "$time")
[ "$seconds" -gt 0 ] || die "--time $time: nothing would run"

configure() {
  if [ -f "$build_dir/build.ninja" ]; then
    ninja -C "$build_dir" build.ninja >/dev/null  # targets may have come since
    return 0
  fi
  local compiler
  compiler=$(command -v clang++-19 || command -v clang++) || die "clang++-19 is not installed"
  printf 'configuring %s with %s\n' "$build_dir" "$compiler" >&2
  if command -v ccache >/dev/null; then compiler="ccache $compiler"; fi
  CXX=$compiler meson setup "$build_dir" -Dfuzzing=true -Dtests=false -Dexamples=false \
    -Db_sanitize=address,undefined -Db_lundef=false >&2
}

known_targets() {
  ninja -C "$build_dir" -t targets all | sed -nE 's,^(libs|fuzz)/([^/:]+)_fuzz: .*,\2,p' | sort -u
}

program_of() { find "$build_dir/libs" "$build_dir/fuzz" -maxdepth 1 -name "$1_fuzz" -type f; }

# The seeds of a target: one folder beside its source.
seeds_of() { find libs fuzz -path "*/corpus/$1" -type d; }

dictionary_of() { find libs fuzz -name "$1.dict" -type f | head -n 1; }

findings_of() {
  find "$1" -maxdepth 1 -type f \( -name 'crash-*' -o -name 'leak-*' -o -name 'timeout-*' \
    -o -name 'oom-*' \)
}

# A finding of an earlier run that no longer fails becomes an input like any other.
retry_findings() {
  local program=$1 found=$2 input
  while IFS= read -r input; do
    if "$program" -timeout=10 -rss_limit_mb=2560 "$input" >/dev/null 2>&1; then
      mv "$input" "$found/corpus/"
      printf '%s: no longer fails\n' "$input"
    fi
  done < <(findings_of "$found")
}

# Runs one target and prints its summary.
run_target() {
  local target=$1 found=$build_dir/found/$1 seeds dictionary status=0 begin=$SECONDS before
  mkdir -p "$found/corpus"
  retry_findings "$(program_of "$target")" "$found"
  before=$(findings_of "$found" | wc -l)
  mapfile -t seeds < <(seeds_of "$target")
  dictionary=$(dictionary_of "$target")
  local words=("$(program_of "$target")" "-max_total_time=$seconds" "-artifact_prefix=$found/"
    -timeout=10 -rss_limit_mb=2560 -print_final_stats=1)
  [ -z "$dictionary" ] || words+=("-dict=$dictionary")
  [ "$processes" = 1 ] || words+=("-fork=$processes")
  local TIMEFORMAT='%U %S'
  { time "${words[@]}" "$found/corpus" "${seeds[@]}" >"$found/log" 2>&1 || status=$?; } 2>"$found/cpu"
  summarize "$target" "$found" "$status" $((SECONDS - begin)) "$before"
}

summarize() {
  local target=$1 found=$2 status=$3 spent=$4 before=$5 findings runs edges features
  findings=$(findings_of "$found" | wc -l)
  runs=$(sed -nE 's/^(#|stat::number_of_executed_units: )([0-9]+).*/\2/p' "$found/log" | sort -n |
    tail -n 1)
  edges=$(sed -nE 's/^#.*cov: ([0-9]+).*/\1/p' "$found/log" | tail -n 1)
  features=$(sed -nE 's/^#.*ft: ([0-9]+).*/\1/p' "$found/log" | tail -n 1)
  printf '%-20s %6s s %11s executions %6s edges %7s features %5s inputs %4s findings\n' "$target" \
    "$spent" "${runs:-0}" "${edges:-0}" "${features:-0}" "$(find "$found/corpus" -type f | wc -l)" "$findings"
  if [ -n "$log" ]; then
    fuzz/log.py "$log" "$target" "$(awk '{ print int($1 + $2 + 0.5) }' "$found/cpu")" "${runs:-0}" \
      "${edges:-0}" $((findings - before))
  fi
  if [ "$status" != 0 ] || [ "$findings" != 0 ]; then
    grep -hE '^(==[0-9]+==)?ERROR|runtime error|Assertion|^SUMMARY|Test unit written' "$found/log" |
      head -n 8 | sed 's/^/    /' || true
    printf '    log: %s/log\n' "$found"
    return 1
  fi
}

configure
mapfile -t known < <(known_targets)
[ ${#known[@]} -gt 0 ] || { echo "no fuzz targets in this build"; exit 0; }
if [ -n "$list" ]; then
  for target in "${known[@]}"; do
    printf '%-28s %s\n' "$target" "$(seeds_of "$target" | paste -sd' ')"
  done
  exit 0
fi
for target in "${targets[@]}"; do
  printf '%s\n' "${known[@]}" | grep -qxF -- "$target" ||
    die "there is no target $target; there are: ${known[*]}"
done
[ ${#targets[@]} -gt 0 ] || targets=("${known[@]}")
pattern="/($(IFS='|'; echo "${targets[*]}"))_fuzz\$"
mapfile -t programs < <(ninja -C "$build_dir" -t targets all |
  sed -nE 's,^((libs|fuzz)/[^/:]+_fuzz): .*,\1,p' | grep -E "$pattern")
printf 'building %s targets in %s\n' "${#targets[@]}" "$build_dir" >&2
ninja -C "$build_dir" "${programs[@]}" >&2

processes=1
if [ ${#targets[@]} = 1 ]; then processes=$jobs; fi
printf '%s targets, %s each, %s at once\n' "${#targets[@]}" "$time" "$jobs" >&2
export build_dir seconds processes log
export UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1${UBSAN_OPTIONS:+:$UBSAN_OPTIONS}
export -f run_target retry_findings findings_of summarize seeds_of dictionary_of program_of
# shellcheck disable=SC2016 # expanded by the inner bash
if printf '%s\0' "${targets[@]}" | xargs -0 -n 1 -P "$jobs" bash -c 'run_target "$0" || exit 1'; then
  echo "no findings"
else
  echo "there are findings in $build_dir/found"
  exit 1
fi
