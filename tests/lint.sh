#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
set -euo pipefail

usage() {
  cat <<'TEXT'
usage: dev lint [--fix] [--fast] [--changed REV] [--build-dir DIR] [--jobs N] [FILE...]

Checks the format (clang-format-19), the layers and rules of the house (tests/layering), shell
scripts (shellcheck) and, on the product code of libs/ and examples/, the checks of .clang-tidy
(clang-tidy-19). A tool that isn't installed is skipped by name. With FILE..., only these files.

  --fix            let clang-format rewrite the files instead of complaining
  --fast           without clang-tidy
  --changed REV    only files that differ from REV (for example main)
  --build-dir DIR  a build with compile_commands.json (default: build/clang, build/plain, or one is
                   configured in build/lint)
  --jobs N         clang-tidy processes at once (default 2)

Exit status: 0 clean, 1 something to mend, 2 wrong usage.
TEXT
}

cd "$(dirname "${BASH_SOURCE[0]}")/.."
fix='' fast='' since='' build_dir='' jobs=2 files=()
while [ $# -gt 0 ]; do
  case $1 in
    --fix) fix=yes; shift ;;
    --fast) fast=yes; shift ;;
    --changed) since=${2:?--changed needs a revision}; shift 2 ;;
    --build-dir) build_dir=${2:?--build-dir needs a folder}; shift 2 ;;
    --jobs) jobs=${2:?--jobs needs a number}; shift 2 ;;
    --help | -h) usage; exit 0 ;;
    -*) usage >&2; exit 2 ;;
    *) files+=("$1"); shift ;;
  esac
done

failed=0
say() { printf '== %s\n' "$*"; }
fail() { printf '   failed: %s\n' "$*"; failed=1; }
have() { command -v "$1" >/dev/null && return 0; say "$1 is not installed: skipped"; return 1; }

all_files() {
  if [ ${#files[@]} -gt 0 ]; then
    printf '%s\n' "${files[@]}"
  elif [ -n "$since" ]; then
    { git diff --name-only --diff-filter=d "$since"; git ls-files --others --exclude-standard; } | sort -u
  else
    git ls-files --cached --others --exclude-standard
  fi | while IFS= read -r name; do [ ! -f "$name" ] || printf '%s\n' "$name"; done
}
mapfile -t selected < <(all_files)
select_files() { printf '%s\n' "${selected[@]}" | grep -E "$1" || true; }

check_format() {
  local sources
  mapfile -t sources < <(select_files '\.(h|cc)$')
  [ ${#sources[@]} -gt 0 ] || return 0
  have clang-format-19 || return 0
  say "clang-format-19: ${#sources[@]} files"
  if [ -n "$fix" ]; then
    clang-format-19 -i "${sources[@]}"
  else
    clang-format-19 --dry-run -Werror "${sources[@]}" 2>&1 |
      awk -F: '/clang-format-violations/ { places[$1]++ }
        END { for (name in places) { print "   " name ": " places[name] " places"; bad = 1 }; exit bad }' ||
      fail "dev lint --fix mends the format"
  fi
}

check_scripts() {
  local scripts=() name
  while IFS= read -r name; do
    case $(head -c 64 "$name" | tr -d '\0' | head -n 1) in
      '#!'*bash* | '#!'*/sh*) scripts+=("$name") ;;
    esac
  done < <(select_files '(\.sh$|(^|/)[^.]*$)' | grep -v '/corpus/')
  [ ${#scripts[@]} -gt 0 ] || return 0
  have shellcheck || return 0
  say "shellcheck: ${#scripts[@]} scripts"
  shellcheck "${scripts[@]}" || fail shellcheck
}

find_build() {
  local folder
  for folder in ${build_dir:+"$build_dir"} build/clang build/plain build/lint; do
    if [ -f "$folder/compile_commands.json" ]; then build_dir=$folder; return 0; fi
  done
  [ -z "$build_dir" ] || { echo "$build_dir has no compile_commands.json" >&2; exit 2; }
  build_dir=build/lint
  say "configuring $build_dir"
  CXX=clang++-19 meson setup "$build_dir" -Dtests=false >/dev/null
}

# shellcheck disable=SC2317 # called by xargs
tidy_one() {
  local output
  if output=$(clang-tidy-19 -p "$1" --quiet --extra-arg=-Wno-unknown-warning-option "$2" 2>&1); then
    printf '   %s\n' "$2"
  else
    printf '   %s\n%s\n' "$2" "$output" | grep -v 'warnings generated'
    return 1
  fi
}
export -f tidy_one

check_tidy() {
  local sources
  mapfile -t sources < <(select_files '^(libs|examples)/.*\.cc$' | grep -Ev '/(tests|benches|fuzz)/')
  [ ${#sources[@]} -gt 0 ] || return 0
  have clang-tidy-19 || return 0
  find_build
  say "clang-tidy-19: ${#sources[@]} files with $build_dir"
  # shellcheck disable=SC2016 # expanded by the inner bash
  printf '%s\0' "${sources[@]}" |
    xargs -0 -n 1 -P "$jobs" bash -c 'tidy_one "$0" "$1"' "$build_dir" || fail clang-tidy-19
}

check_format
say "layering"
tests/layering/check.py || fail layering
check_scripts
[ -n "$fast" ] || check_tidy
if [ "$failed" = 0 ]; then say "lint: clean"; else say "lint: not clean"; fi
exit "$failed"
