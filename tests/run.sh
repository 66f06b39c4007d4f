#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#
# ./dev test, after the builds: runs everything and counts. The order is quick to slow; a group
# that fails does not stop the others.
set -euo pipefail

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
groups=()

heading() { printf '\n== %s\n' "$*"; }

# meson_tests TYPE: the tests of build/TYPE. Their results count, not Meson's exit status.
meson_tests() {
  local log=$top/build/$1/meson-logs/testlog.json
  heading "tests of build/$1"
  rm -f "$log"
  meson test -C "$top/build/$1" --no-rebuild --print-errorlogs || true
  groups+=("$1=$log")
}

lab_tests() {
  heading 'lab: real guests'
  rm -f "$top/build/lab/results.json"
  "$top/tests/lab/run_tests.py" || true
  groups+=("lab=$top/build/lab/results.json")
}

meson_tests plain
if [[ ${1:-} != --quick ]]; then
  meson_tests asan
  lab_tests
fi
heading 'summary'
"$top/tests/summary.py" "${groups[@]}"
