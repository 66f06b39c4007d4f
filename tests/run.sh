#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#
# ./dev test: builds, runs and counts. What does not compile ends it; a group of tests that fails
# does not stop the others.
set -euo pipefail

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
host_arch=$(uname -m)
how=${1:-}
groups=()

heading() { printf '\n== %s (%d:%02d)\n' "$*" $((SECONDS / 60)) $((SECONDS % 60)); }

# The lab's program asks for it too.
if [[ -n ${VMM_TEST_MINUTES:-} ]]; then
  VMM_TEST_UNTIL=$(($(date +%s) + 60 * VMM_TEST_MINUTES))
  export VMM_TEST_UNTIL
fi

# in_time GROUP: whether there is time for it; if not, it counts as skipped.
in_time() {
  if [[ -z ${VMM_TEST_UNTIL:-} || $(date +%s) -lt $VMM_TEST_UNTIL ]]; then return; fi
  local results=$top/build/$1-skipped.json
  printf '{"lab": "skip", "name": "all of it", "reason": "no time left"}\n' >"$results"
  groups+=("$1=$results")
  return 1
}

# build TYPE [TARGET...]
build() {
  heading "build of $1"
  if [[ $1 == aarch64 ]]; then
    "$top/dev" build --arch "$@"
  else
    "$top/dev" build --type "$@"
  fi
}

# Debian's llvm-symbolizer may be older than the compiler, and tells nothing then.
for sanitizer in ASAN UBSAN; do
  export "${sanitizer}_OPTIONS=external_symbolizer_path=/usr/bin/addr2line"
done

# meson_tests TYPE [OPTION...]: the tests of build/TYPE. Their results count, not Meson's exit status.
meson_tests() {
  local type=$1 log=$top/build/$1/meson-logs/testlog.json
  shift
  heading "tests of build/$type"
  rm -f "$log"
  meson test -C "$top/build/$type" --no-rebuild --print-errorlogs "$@" || true
  groups+=("$type=$log")
}

# lab_tests GROUP ARCH
lab_tests() {
  local core=(--core)
  if [[ $how == --all ]]; then core=(); fi
  heading "lab: real guests ($2)"
  rm -f "$top/build/$1/results.json"
  "$top/tests/lab/run_tests.py" --again "${core[@]}" --arch "$2" || true
  groups+=("$1=$top/build/$1/results.json")
}

# vhost_user_test PROGRAM [TEST...]: its results and what it says are files.
vhost_user_test() {
  local results=$top/build/plain/vhost-user-$1.json program=$1
  shift
  "$top/tests/vhost-user/${program}_test.py" --again --results "$results" "$top/build/plain" "$@" \
    >"${results%.json}.log" 2>&1
}

# QEMU's guests with our daemons, where QEMU is: the programs at once, as most of each is waiting.
# DPDK does not wait, but looks all the time, and is by itself.
peer_tests() {
  heading 'vhost-user with QEMU and DPDK'
  local test logs=()
  for test in qemu boards debian dpdk; do
    rm -f "$top/build/plain/vhost-user-$test.json"
    logs+=("$top/build/plain/vhost-user-$test.log")
    groups+=("vhost-user-$test=$top/build/plain/vhost-user-$test.json")
  done
  vhost_user_test qemu &
  vhost_user_test boards &
  # What Debian does while its disks' daemons are killed takes two minutes, and is on request.
  vhost_user_test debian devices &
  wait
  vhost_user_test dpdk || true
  cat "${logs[@]}"
}

main() {
  # Sanitizers run the same unit tests as the plain build, which only --quick and --all repeat.
  case $how in
    --quick | --all)
      build plain
      meson_tests plain
      ;;
    *)
      build plain programs examples/own-device/own_device_test \
        examples/vfio-user/vfio_user_nvme_test examples/vmm-reference/vmm_reference_test
      meson_tests plain --suite programs --suite with-programs --suite kvm --suite tooling --no-suite slow
      ;;
  esac

  if [[ $how != --quick ]]; then
    if in_time asan; then
      if [[ $how == --all ]]; then
        build asan
        meson_tests asan
      else
        build asan unit-tests
        meson_tests asan --no-suite programs --no-suite kvm
      fi
    fi
    if in_time lab; then lab_tests lab "$host_arch"; fi
    if [[ $host_arch == x86_64 ]]; then
      if in_time vhost-user-peers; then peer_tests; fi
      if in_time aarch64; then
        # In emulation there is no KVM: those tests run in the lab.
        if [[ $how == --all ]]; then
          build aarch64
          meson_tests aarch64 --no-suite kvm
        else
          build aarch64 programs
        fi
        lab_tests lab-aarch64 aarch64
      fi
    fi
  fi
  heading 'summary'
  "$top/tests/summary.py" "${groups[@]}"
}

main
