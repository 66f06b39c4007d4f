#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#
# Checks that people outside this project can use one library of it.
set -euo pipefail

usage() {
  cat <<'TEXT'
usage: run.sh [--build-dir DIR] [--keep]

1. Builds and installs vm-memory and what it needs, nothing else, into an empty prefix; then builds
   and runs the program in one/ against it, with pkg-config and with CMake's find_package.
2. Installs all libraries of a build directory and, for each of them: configures -Dlibs=NAME, links a
   program with every public header and every object of the library against what `pkg-config --libs`
   says and nothing else, and does the same with CMake.

  --build-dir DIR  an up-to-date build without sanitizers for step 2 (default: build one)
  --keep           keep the temporary folder and say where it is
TEXT
}

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source_dir=$(cd "$here/../.." && pwd)
build_dir=
lib=vm-memory
keep=
while [ $# -gt 0 ]; do
  case $1 in
    --build-dir) build_dir=${2:?--build-dir needs a folder}; shift 2 ;;
    --keep) keep=yes; shift ;;
    --help | -h) usage; exit 0 ;;
    *) usage >&2; exit 2 ;;
  esac
done

tmp=$(mktemp -d "${TMPDIR:-/tmp}/cpp-vmm-standalone.XXXXXX")
finish() {
  if [ -n "$keep" ]; then echo "kept: $tmp"; else rm -rf "$tmp"; fi
}
trap finish EXIT

say() { printf '== %s\n' "$*"; }

# Runs a command quietly; its output is shown only when it fails.
quietly() {
  if ! "$@" >"$tmp/log" 2>&1; then
    cat "$tmp/log" >&2
    printf 'failed: %s\n' "$*" >&2
    exit 1
  fi
}

configure() {  # configure DIR LIBS...
  quietly meson setup "$1" "$source_dir" --prefix="$tmp/prefix" -Dlibs="$2" -Dtests=false \
    -Dexamples=false -Dbuildtype=plain
}

# Nothing of the machine's own packages of this project may be found.
pkg_config_path() {
  find "$1" -name pkgconfig -type d | paste -sd:
}

use_one_library() {
  say "-Dlibs=$lib: build, install, use"
  configure "$tmp/build-one" "$lib"
  quietly ninja -C "$tmp/build-one"
  quietly meson install -C "$tmp/build-one"
  local pc; pc=$(pkg_config_path "$tmp/prefix")
  cp -r "$here/one" "$tmp/one"
  quietly env PKG_CONFIG_PATH="$pc" make -C "$tmp/one"
  quietly "$tmp/one/program"
  echo "pkg-config: built and ran"
  if [ -n "$have_cmake" ]; then
    quietly cmake -S "$tmp/one" -B "$tmp/one/build" -G Ninja -DCMAKE_PREFIX_PATH="$tmp/prefix"
    quietly cmake --build "$tmp/one/build"
    quietly "$tmp/one/build/program"
    echo "CMake: built and ran"
    refuse_missing_component
  fi
}

# find_package must say which library is missing, not find half of it.
refuse_missing_component() {
  mkdir "$tmp/missing"
  cat >"$tmp/missing/CMakeLists.txt" <<'TEXT'
cmake_minimum_required(VERSION 3.21)
project(missing LANGUAGES CXX)
find_package(cpp-vmm REQUIRED COMPONENTS no-such-library)
TEXT
  if cmake -S "$tmp/missing" -B "$tmp/missing/build" -G Ninja \
    -DCMAKE_PREFIX_PATH="$tmp/prefix" >"$tmp/log" 2>&1; then
    echo "find_package found a library that does not exist" >&2
    exit 1
  fi
  if ! grep -q 'without its library no-such-library' "$tmp/log"; then
    cat "$tmp/log" >&2
    echo "find_package does not say which library is missing" >&2
    exit 1
  fi
  echo "CMake: a missing library is named"
}

# An installation of all libraries, moved to a prefix of ours.
install_all() {
  if [ -z "$build_dir" ]; then
    build_dir=$tmp/build-all
    configure "$build_dir" all
    quietly ninja -C "$build_dir"
  fi
  quietly meson install -C "$build_dir" --no-rebuild --destdir "$tmp/staged"
  local first; first=$(find "$tmp/staged" -name vmm-base.pc)
  root=$tmp/staged$(sed -n 's/^prefix=//p' "$first")
  find "$root" -name 'vmm-*.pc' -exec sed -i "s|^prefix=.*|prefix=$root|" {} +
}

# One source file a library, which includes all its public headers.
write_programs() {
  mkdir "$tmp/every"
  cp "$here/every/CMakeLists.txt" "$tmp/every"
  for name in "${names[@]}"; do
    local word=${name//-/_} folder
    folder=$root/include/vmm/$word
    [ -d "$folder" ] || folder=$root/include/vmm/${name//-//}
    {
      # shellcheck disable=SC2030 # find prints, nothing is set
      (cd "$root/include" && find "${folder#"$root/include/"}" -maxdepth 1 -name '*.h' | sort |
        sed 's/.*/#include <&>/')
      echo 'int main() { return 0; }'
    } >"$tmp/every/$name.cc"
    if ! grep -q '^#include' "$tmp/every/$name.cc"; then
      echo "$name installs no header in include/vmm/$word" >&2
      exit 1
    fi
  done
}

link_each() {
  local pc; pc=$(pkg_config_path "$root")
  for name in "${names[@]}"; do
    local cflags libs archive=-lvmm_${name//-/_}
    cflags=$(PKG_CONFIG_PATH=$pc pkg-config --cflags "vmm-$name")
    libs=$(PKG_CONFIG_PATH=$pc pkg-config --libs "vmm-$name")
    # Every object, so that each symbol it needs must come from a declared dependency.
    libs=${libs/"$archive"/-Wl,--whole-archive $archive -Wl,--no-whole-archive}
    # shellcheck disable=SC2086 # words of pkg-config
    quietly ${CXX:-c++} $cflags "$tmp/every/$name.cc" -o "$tmp/every/$name" $libs
    quietly "$tmp/every/$name"
    echo "$name: pkg-config links"
  done
}

configure_each() {
  for name in "${names[@]}"; do
    configure "$tmp/configure-$name" "$name"
    rm -rf "$tmp/configure-$name"
    echo "-Dlibs=$name: configures"
  done
}

have_cmake=$(command -v cmake || true)
[ -n "$have_cmake" ] || echo "no cmake here: the CMake half is skipped"
use_one_library
say "all libraries: link each"
install_all
mapfile -t names < <(find "$root" -name 'vmm-*.pc' -printf '%f\n' | sed 's/^vmm-//; s/\.pc$//' | sort)
write_programs
link_each
if [ -n "$have_cmake" ]; then
  quietly cmake -S "$tmp/every" -B "$tmp/every/build" -G Ninja -DCMAKE_PREFIX_PATH="$root" \
    "-DNAMES=$(IFS=';'; echo "${names[*]}")"
  quietly cmake --build "$tmp/every/build"
  echo "CMake: ${#names[@]} libraries link"
fi
say "each library alone: configure"
configure_each
say "standalone: all passed"
