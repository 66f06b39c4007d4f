#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#
# Checks that people outside this project can use one library of it.
set -euo pipefail

usage() {
  cat <<'TEXT'
usage: run.sh [--build-dir DIR] [--keep]

1. Builds and installs vm-memory and what it needs, nothing else, into an empty prefix, shared and
   static; then builds and runs the program in one/ against both, with pkg-config and with CMake's
   find_package.
2. Builds the same program in a Meson project that has this tree as a subproject.
3. Checks the .pc files of all libraries, as a build of shared and static ones makes them.
4. Installs all libraries of a build directory and, for each of them: configures -Dlibs=NAME, links a
   program with every public header and every object of the library against what `pkg-config --libs`
   says and nothing else, and does the same with CMake.

  --build-dir DIR  an up-to-date build without sanitizers for step 4 (default: build one)
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

configure() {  # configure DIR LIBS [OPTION...]
  local folder=$1 libs=$2
  shift 2
  quietly meson setup "$folder" "$source_dir" --prefix="$tmp/prefix" -Dlibs="$libs" -Dtests=false \
    -Dexamples=false -Dbuildtype=plain "$@"
}

# Nothing of the machine's own packages of this project may be found.
pkg_config_path() {
  find "$1" -name pkgconfig -type d | paste -sd:
}

use_one_library() {
  say "-Dlibs=$lib: build, install, use"
  configure "$tmp/build-one" "$lib" -Ddefault_library=both
  quietly ninja -C "$tmp/build-one"
  quietly meson install -C "$tmp/build-one" --tags devel,runtime  # as distributions may ask
  cp -r "$here/one" "$tmp/one"
  pc=$(pkg_config_path "$tmp/prefix")
  libdir=${pc%/pkgconfig}
  use_pkg_config
  if [ -n "$have_cmake" ]; then
    use_cmake ON
    use_cmake OFF
    refuse_missing_component
  fi
}

# The loader does not look into our prefix, for what a shared library of it needs.
use_pkg_config() {
  quietly env PKG_CONFIG_PATH="$pc" make -C "$tmp/one"
  quietly env LD_LIBRARY_PATH="$libdir" "$tmp/one/program"
  names_shared_library "$tmp/one/program"
  rm "$tmp/one/program"
  quietly env PKG_CONFIG_PATH="$pc" make -C "$tmp/one" PKG_CONFIG='pkg-config --static' LDFLAGS=-static
  quietly "$tmp/one/program"
  echo "pkg-config: built and ran, shared and static"
  # shellcheck disable=SC2046 # words of pkg-config
  if ${CXX:-c++} -std=c++17 -fsyntax-only $(PKG_CONFIG_PATH=$pc pkg-config --cflags "vmm-$lib") \
    "$tmp/one/main.cc" 2>"$tmp/log"; then
    echo "C++17 compiles the headers" >&2
    exit 1
  fi
  if ! grep 'error:' "$tmp/log" | head -1 | grep -q 'need C++20'; then
    head -20 "$tmp/log" >&2
    echo "the first error with C++17 does not say that C++20 is needed" >&2
    exit 1
  fi
  echo "pkg-config: C++17 is told what is missing"
}

# By the name that stays as long as the interface: two numbers before 1.0, one after.
names_shared_library() {
  local version series
  version=$(PKG_CONFIG_PATH=$pc pkg-config --modversion "vmm-$lib")
  series=$(sed -E 's/^(0\.[0-9]+|[1-9][0-9]*)\..*/\1/' <<<"$version")
  if ! readelf -d "$1" | grep -qF "[libvmm_${lib//-/_}.so.$series]"; then
    echo "${1##*/} does not name libvmm_${lib//-/_}.so.$series" >&2
    exit 1
  fi
}

use_cmake() {  # use_cmake ON|OFF
  local build=$tmp/one/build-$1
  quietly cmake -S "$tmp/one" -B "$build" -G Ninja -DCMAKE_PREFIX_PATH="$tmp/prefix" -DVMM_SHARED="$1"
  quietly cmake --build "$build"
  quietly env LD_LIBRARY_PATH="$libdir" "$build/program"
  if [ "$1" = ON ]; then names_shared_library "$build/program"; fi
  echo "CMake: built and ran, VMM_SHARED=$1"
}

# A checkout in subprojects/ and the wrap file, nothing installed.
use_as_subproject() {
  say "a Meson project with this tree as its subproject"
  cp -r "$here/subproject" "$tmp/outside"
  cp "$here/one/main.cc" "$tmp/outside"
  mkdir "$tmp/outside/subprojects"
  cp "$source_dir/packaging/meson/cpp-vmm.wrap" "$tmp/outside/subprojects"
  ln -s "$source_dir" "$tmp/outside/subprojects/cpp-vmm"
  quietly env PKG_CONFIG_PATH= meson setup "$tmp/outside/build" "$tmp/outside" \
    --wrap-mode=nodownload --force-fallback-for=vmm-vm-memory -Dbuildtype=plain
  quietly ninja -C "$tmp/outside/build"
  quietly meson test -C "$tmp/outside/build" --no-rebuild
  echo "built and ran"
}

check_pc_files() {
  say "all .pc files"
  configure "$tmp/configure-both" all -Ddefault_library=both
  "$here/pc_check.py" "$tmp/configure-both/meson-private"
  rm -rf "$tmp/configure-both"
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
    quietly ${CXX:-c++} -std=c++20 $cflags "$tmp/every/$name.cc" -o "$tmp/every/$name" $libs
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
use_as_subproject
check_pc_files
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
