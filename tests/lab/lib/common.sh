# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# shellcheck shell=bash
# shellcheck disable=SC2034  # used by those who source this
# Shared by the lab's commands: where things are kept, and how they speak.

lab_dir=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cache=${CPP_VMM_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/cpp-vmm}

# use_arch ARCH: the architecture of L1 and its guests; its kernel, busybox and images are in $kit.
use_arch() {
  arch=$1
  kit=$cache/$arch
}
use_arch "$(uname -m)"

say() { printf 'lab: %s\n' "$*" >&2; }

die() {
  say "$*"
  exit 1
}

# need TOOL...: the first tool that is missing ends the command, with the way out.
need() {
  local tool
  for tool in "$@"; do
    command -v "$tool" >/dev/null 2>&1 || die "$tool is not installed (./dev setup installs it)"
  done
}

# pack FOLDER: the folder as a cpio archive on stdout, owned by root, the same bytes every time.
pack() {
  (
    cd "$1" || exit
    find . -exec touch -h -d @0 {} +
    find . -mindepth 1 -print0 | LC_ALL=C sort -z |
      cpio --null --create --format=newc --owner 0:0 --reproducible --quiet
  )
}
