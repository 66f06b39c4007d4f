#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#
# ./dev test, after the builds: runs everything and counts. The order is quick to slow; a group
# that fails does not stop the others.
set -euo pipefail

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
host_arch=$(uname -m)
groups=()

heading() { printf '\n== %s\n' "$*"; }

# meson_tests TYPE: the tests of build/TYPE. Their results count, not Meson's exit status.
meson_tests() {
  local log=$top/build/$1/meson-logs/testlog.json
  heading "tests of build/$1"
  rm -f "$log"
  local options=()
  # In emulation there is no KVM to skip for: those tests run in the lab.
  if [[ $1 == aarch64 ]]; then options=(--no-suite kvm); fi
  meson test -C "$top/build/$1" --no-rebuild --print-errorlogs "${options[@]}" || true
  groups+=("$1=$log")
}

# lab_tests GROUP ARCH
lab_tests() {
  heading "lab: real guests ($2)"
  rm -f "$top/build/$1/results.json"
  "$top/tests/lab/run_tests.py" --again --arch "$2" || true
  groups+=("$1=$top/build/$1/results.json")
}

# QEMU's guests with our daemons, where QEMU is: the programs at once, as most of each is waiting.
qemu_tests() {
  heading 'vhost-user daemons and QEMU'
  local test results logs=()
  # What Debian does while its disks' daemons are killed takes two minutes, and is on request.
  for test in qemu boards 'debian devices'; do
    results=$top/build/plain/vhost-user-${test% *}.json
    logs+=("${results%.json}.log")
    rm -f "$results"
    # shellcheck disable=SC2086  # the names of tests
    "$top/tests/vhost-user/${test% *}_test.py" --again --results "$results" "$top/build/plain" ${test#"${test% *}"} \
      >"${logs[-1]}" 2>&1 &
    groups+=("vhost-user-${test% *}=$results")
  done
  wait
  cat "${logs[@]}"
}

meson_tests plain
if [[ ${1:-} != --quick ]]; then
  meson_tests asan
  lab_tests lab "$host_arch"
  if [[ $host_arch == x86_64 ]]; then
    qemu_tests
    meson_tests aarch64
    lab_tests lab-aarch64 aarch64
  fi
fi
heading 'summary'
"$top/tests/summary.py" "${groups[@]}"
