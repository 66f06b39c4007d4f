#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#
# sysroot.sh ARCH: the libraries that programs for another architecture are linked with: Debian's
# -dev packages, unpacked in the cache. Prints the folder; downloads only what is not there.
# shellcheck disable=SC1091,SC2154 # the lab's library, and what it sets
set -euo pipefail

top=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../.." && pwd)
# shellcheck source=../lab/lib/common.sh
source "$top/tests/lab/lib/common.sh"
# shellcheck source=../lab/lib/apt.sh
source "$top/tests/lab/lib/apt.sh"

packages=(catch2 libboost1.81-dev libboost-program-options1.81-dev libfdt-dev libseccomp-dev
  liburing-dev libzstd-dev zlib1g-dev)
# There is no static libslirp: the shared one, and what it needs.
packages+=(libslirp-dev libslirp0 libglib2.0-0 libpcre2-8-0)

# One cached folder a list of packages. Others stay: build folders made with them refer to them.
use_arch "${1:?sysroot.sh: which architecture?}"
root=$kit/sysroot-$(printf '%s\n' "${packages[@]}" | sha256sum | cut -c 1-16)

if [[ ! -d $root ]]; then
  need apt-get apt-cache dpkg flock
  mkdir -p "$kit"
  (
    flock 9
    [[ ! -d $root ]] || exit 0
    work=$kit/sysroot.$$
    mkdir "$work"
    trap 'rm -rf "$work"' EXIT
    apt_for "$arch"
    download "$work" "${packages[@]}" || {
      refresh_lists
      download "$work" "${packages[@]}" || die "download failed: $(tail -n 1 "$work/log")"
    }
    unpack_packages "$work" "$work/root"
    mv "$work/root" "$root"
  ) 9>"$kit/lock"
fi
echo "$root"
