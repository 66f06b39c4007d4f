#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
set -euo pipefail

usage() {
  cat <<'TEXT'
usage: dev matrix [--all] [--list] [--keep-going] [--libs NAMES] [ROW...]

Builds the project in other ways than a developer does every day, and runs what can run. Rows:

  clang19   clang++-19, all unit tests and corpora
  clang14   clang++-14, the oldest clang we support: libraries only
  bare      -fno-exceptions -fno-rtti: libraries only
  tsan      ThreadSanitizer, the tests of libraries that threads share
  release   -O3, LTO, asserts off: all unit tests and corpora
  cxx23     -std=c++23: libraries only
  aarch64   cross-built libraries that know no host (needs aarch64-linux-gnu-g++)
  riscv64   the same for riscv64 (needs riscv64-linux-gnu-g++)

Without ROW: clang19, bare and tsan; --all: every row. Each builds in build/matrix/ROW, or, with
--libs (for example --libs vm-memory,fdt), only these libraries in build/matrix/ROW-NAMES.
--keep-going: a row that fails does not stop the others. A row whose compiler isn't installed is
skipped by name; ./dev setup matrix installs them. The last line is "N passed, N failed, N skipped".
TEXT
}

cd "$(dirname "${BASH_SOURCE[0]}")/.."
all_rows=(clang19 clang14 bare tsan release cxx23 aarch64 riscv64)
rows=() keep_going='' libs=all
while [ $# -gt 0 ]; do
  case $1 in
    --all) rows=("${all_rows[@]}"); shift ;;
    --list) printf '%s\n' "${all_rows[@]}"; exit 0 ;;
    --keep-going) keep_going=yes; shift ;;
    --libs) libs=${2:?--libs needs names}; shift 2 ;;
    --help | -h) usage; exit 0 ;;
    -*) usage >&2; exit 2 ;;
    *) rows+=("$1"); shift ;;
  esac
done
[ ${#rows[@]} -gt 0 ] || rows=(clang19 bare tsan)

# Libraries that compute only, so that a cross compiler's C++ library is all they need.
pure=base,vm-device,vm-allocator,acpi-tables,vm-superio
# Libraries whose objects several threads use.
threaded='base|sys-util|vm-device|vm-memory|event-manager|virtio-queue|block'

passed=0 failed=0 skipped=0

with_ccache() { if command -v ccache >/dev/null; then echo "ccache $1"; else echo "$1"; fi; }

dir_of() { if [ "$libs" = all ]; then echo "build/matrix/$1"; else echo "build/matrix/$1-$libs"; fi; }

# setup ROW COMPILER [MESON-OPTION...]: configures once; the options of a row don't change.
setup() {
  local dir compiler=$2
  dir=$(dir_of "$1")
  shift 2
  [ -f "$dir/build.ninja" ] ||
    CXX=$(with_ccache "$compiler") meson setup "$dir" -Dexamples=false "-Dlibs=$libs" "$@" >/dev/null
}

cross_file() {  # cross_file CPU
  mkdir -p build/matrix
  cat >"build/matrix/$1.ini" <<TEXT
[binaries]
cpp = '$1-linux-gnu-g++'
ar = '$1-linux-gnu-ar'
[host_machine]
system = 'linux'
cpu_family = '$1'
cpu = '$1'
endian = 'little'
TEXT
  echo "build/matrix/$1.ini"
}

compiler_of() {
  case $1 in
    clang19) echo clang++-19 ;;
    clang14) echo clang++-14 ;;
    aarch64 | riscv64) echo "$1-linux-gnu-g++" ;;
    *) echo g++ ;;
  esac
}

configure() {
  local compiler=$2
  case $1 in
    clang19) setup "$1" "$compiler" ;;
    clang14) setup "$1" "$compiler" -Dtests=false ;;
    bare) setup "$1" "$compiler" -Dtests=false -Dcpp_eh=none -Dcpp_rtti=false ;;
    tsan) setup "$1" "$compiler" -Db_sanitize=thread ;;
    release) setup "$1" "$compiler" --buildtype=release -Db_lto=true ;;
    cxx23) setup "$1" "$compiler" -Dtests=false -Dcpp_std=none -Dcpp_args=-std=c++23 ;;
    aarch64 | riscv64)
      [ "$libs" != all ] || libs=$pure
      setup "$1" "$compiler" --cross-file "$(cross_file "$1")" -Dtests=false ;;
  esac
}

run_tests() {
  local dir; dir=$(dir_of "$1")
  case $1 in
    clang19 | release) meson test -C "$dir" --no-rebuild --print-errorlogs --suite unit --suite fuzz ;;
    tsan)
      local tests
      mapfile -t tests < <(meson test -C "$dir" --no-rebuild --list --suite unit 2>/dev/null |
        sed 's,.* / ,,' | grep -xE "$threaded")
      [ ${#tests[@]} = 0 ] || meson test -C "$dir" --no-rebuild --print-errorlogs "${tests[@]}" ;;
  esac
}

run_row() {
  configure "$1" "$2"
  nice ninja -C "$(dir_of "$1")"
  run_tests "$1"
}

for row in "${rows[@]}"; do
  printf '%s\n' "${all_rows[@]}" | grep -qxF -- "$row" || { echo "no row $row" >&2; exit 2; }
done
for row in "${rows[@]}"; do
  compiler=$(compiler_of "$row")
  if ! command -v "$compiler" >/dev/null; then
    printf '== %s: skipped, no %s here\n' "$row" "$compiler"
    skipped=$((skipped + 1))
    continue
  fi
  printf '== %s (%s)\n' "$row" "$compiler"
  # A subshell of its own, as set -e does not work inside a condition.
  if bash -c "set -euo pipefail; $(declare -f); $(declare -p pure threaded libs); run_row $row $compiler"; then
    passed=$((passed + 1))
  else
    printf '== %s: failed\n' "$row"
    failed=$((failed + 1))
    [ -n "$keep_going" ] || break
  fi
done
printf '%s passed, %s failed, %s skipped\n' "$passed" "$failed" "$skipped"
[ "$failed" = 0 ]
