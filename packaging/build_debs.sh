#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#
# Makes Debian packages of the tree as it is.
set -euo pipefail

usage() {
  cat <<'TEXT'
usage: ./dev package [--check] [--libs NAME,...] [--no-build]

Makes Debian packages of this tree, changes that are not committed among them, in build/package:
libcpp-vmm0.1 (shared libraries), libcpp-vmm-dev, vmm-reference and cpp-vmm-daemons. Takes about
twenty minutes on two processors the first time.

  --check     then: lintian, and the packages are unpacked into an empty folder, where an outside
              program is built against them (pkg-config and CMake, shared and static) and run, and
              each program of theirs started
  --libs      only these libraries and what they need, without programs: two packages, in a few
              minutes
  --no-build  take the packages that are there
TEXT
}

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
out=$top/build/package
check='' build=yes
while [ $# -gt 0 ]; do
  case $1 in
    --check) check=yes ;;
    --libs)
      export CPP_VMM_LIBS=${2:?--libs: which ones?} DEB_BUILD_PROFILES=pkg.cpp-vmm.noprograms
      shift
      ;;
    --no-build) build='' ;;
    --help | -h) usage; exit 0 ;;
    *) usage >&2; exit 2 ;;
  esac
  shift
done

say() { printf '== %s\n' "$*"; }

die() {
  printf 'package: %s\n' "$*" >&2
  exit 1
}

version=$(sed -n "s/^  version: '\(.*\)',/\1/p" "$top/meson.build")
series=$(sed 's/^0\.\([0-9]*\)\..*/0.\1/; t; s/\..*//' <<<"$version")
changelog=$top/packaging/debian/changelog
[[ $(head -1 "$changelog") == "cpp-vmm ($version-"* ]] ||
  die "the first entry of packaging/debian/changelog is not of version $version"
grep -q "^Package: libcpp-vmm$series\$" "$top/packaging/debian/control" ||
  die "packaging/debian/control has no package libcpp-vmm$series"

# What git would hand out, as it is in the working tree; outside of git everything but builds.
list_files() {
  if git -C "$top" rev-parse --git-dir >/dev/null 2>&1; then
    git -C "$top" ls-files -z --cached --others --exclude-standard
  else
    (cd "$top" && find . -path ./build -prune -o -type f -print0)
  fi
}

make_packages() {
  local tree=$out/cpp-vmm-$version
  say "packages of cpp-vmm $version"
  rm -rf "$out"
  mkdir -p "$tree"
  list_files | tar -C "$top" --null --files-from=- -c | tar -C "$tree" -x
  tar -C "$out" --sort=name -czf "$out/cpp-vmm_$version.orig.tar.gz" "cpp-vmm-$version"
  cp -r "$tree/packaging/debian" "$tree/debian"
  if [ -d /usr/lib/ccache ]; then PATH=/usr/lib/ccache:$PATH; fi
  if ! (cd "$tree" && dpkg-buildpackage --unsigned-source --unsigned-changes) >"$out/log" 2>&1; then
    tail -40 "$out/log" >&2
    die "dpkg-buildpackage failed; the whole of what it said is in ${out#"$top/"}/log"
  fi
  (cd "$out" && ls -1 ./*.deb)
}

# outside_program HOW WORD...: builds tests/standalone/one with the compiler's words and runs it.
outside_program() {
  local how=$1
  shift
  "${CXX:-c++}" -std=c++20 "$top/tests/standalone/one/main.cc" -o "$tmp/program" "$@"
  "$tmp/program"
  say "an outside program: $how"
}

check_libraries() {
  local libs
  export PKG_CONFIG_SYSROOT_DIR=$tmp/root
  export PKG_CONFIG_PATH=$libdir/pkgconfig
  # shellcheck disable=SC2046 # words of pkg-config
  outside_program 'pkg-config, shared' $(pkg-config --cflags --libs vmm-vm-memory)
  readelf -d "$tmp/program" | grep -q "NEEDED.*libvmm_vm_memory.so.$series" ||
    die "the program does not name libvmm_vm_memory.so.$series"
  libs=$(pkg-config --static --cflags --libs vmm-vm-memory)
  # shellcheck disable=SC2086 # words of pkg-config
  outside_program 'pkg-config, static' -static $libs
  for shared in ON OFF; do build_with_cmake "$shared"; done
}

build_with_cmake() {  # build_with_cmake ON|OFF
  local build=$tmp/cmake-$1
  if ! { cmake -S "$top/tests/standalone/one" -B "$build" -G Ninja -DVMM_SHARED="$1" \
    -DCMAKE_PREFIX_PATH="$tmp/root/usr" && cmake --build "$build"; } >"$tmp/log" 2>&1; then
    cat "$tmp/log" >&2
    die "an outside program does not build with CMake, VMM_SHARED=$1"
  fi
  "$build/program"
  say "an outside program: CMake, VMM_SHARED=$1"
}

# Each program starts, with the libraries of the package, and has a manual page.
check_programs() {
  local program name
  [ -d "$tmp/root/usr/bin" ] || return 0  # --libs
  for program in "$tmp"/root/usr/bin/*; do
    name=${program##*/}
    "$program" --help >/dev/null || die "$name --help fails"
    [ -e "$tmp/root/usr/share/man/man1/$name.1.gz" ] || die "$name has no manual page"
    if ldd "$program" | grep 'not found'; then die "$name misses a library"; fi
    say "$name starts"
  done
}

check_packages() {
  say lintian
  # There is no report of Debian's that these packages would answer.
  lintian --fail-on error,warning --info --suppress-tags initial-upload-closes-no-bugs \
    "$out"/*.changes
  tmp=$(mktemp -d "${TMPDIR:-/tmp}/cpp-vmm-package.XXXXXX")
  trap 'rm -rf "$tmp"' EXIT
  local deb
  for deb in "$out"/*.deb; do dpkg-deb -x "$deb" "$tmp/root"; done
  libdir=$tmp/root/usr/lib/$(dpkg-architecture -qDEB_HOST_MULTIARCH)
  export LD_LIBRARY_PATH=$libdir
  check_libraries
  check_programs
}

if [ -n "$build" ]; then make_packages; fi
if [ -n "$check" ]; then check_packages; fi
say 'package: done'
