# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# shellcheck shell=bash disable=SC2154  # kit, arch and lab_dir come from common.sh
# The two initial file systems: L1's (the machine with KVM) and L2's (the guest in it).

# What L1 can load; KVM is built into the kernel for aarch64.
l1_modules() {
  echo tun macvtap veth vhost_net vhost_vsock loop brd crc32c_generic vfio-pci vfio_iommu_type1
  if [[ $arch == x86_64 ]]; then echo kvm-amd kvm-intel; fi
}

# key_of FILE...: names a cached image after what goes into it.
key_of() { cat "$kit/linux/release" "$@" | sha256sum | cut -c 1-16; }

# module_files NAME...: the modules and what they depend on, relative to modules/RELEASE.
module_files() {
  local name dep=$kit/linux/modules/$1/modules.dep
  shift
  for name in "$@"; do
    sed -n "s|^\(.*/$name\.ko[.a-z]*\):|\1|p" "$dep"
  done | tr ' ' '\n' | sed '/^$/d' | sort -u
}

skeleton() {
  mkdir -p "$1"/{bin,sbin,dev,proc,sys,tmp,run,etc,root}
  cp "$kit/busybox" "$1/bin/busybox"
  ln -s busybox "$1/bin/sh"
  printf '%s\n' root:x:0:0::/root:/bin/sh nobody:x:65534:65534::/:/bin/sh >"$1/etc/passwd"
}

# cached NAME SOURCE BUILDER: prints the path of an image, built first when its sources changed.
cached() {
  local file
  file=$kit/$1-$(key_of "$2" "${BASH_SOURCE[0]}").cpio
  if [[ ! -e $file ]]; then
    local work
    work=$(mktemp -d "$kit/image.XXXXXX")
    "$3" "$work/tree"
    pack "$work/tree" >"$work/image"
    rm -f "$kit/$1"-*.cpio
    mv "$work/image" "$file"
    rm -rf "$work"
  fi
  echo "$file"
}

# modules_tree TREE NAME...: the modules and what they depend on, for modprobe.
modules_tree() {
  local tree=$1 release file
  shift
  release=$(<"$kit/linux/release")
  mkdir -p "$tree/lib/modules/$release"
  for file in $(module_files "$release" "$@"); do
    install -D -m 644 "$kit/linux/modules/$release/$file" "$tree/lib/modules/$release/$file"
  done
  cp "$kit/linux/modules/$release"/modules.{builtin,builtin.modinfo,order} "$tree/lib/modules/$release/"
  depmod --basedir "$tree" "$release"
}

build_l1() {
  skeleton "$1"
  ln -s ../bin/busybox "$1/sbin/modprobe"
  install -m 755 "$lab_dir/init/l1" "$1/init"
  # shellcheck disable=SC2046  # a list of words
  modules_tree "$1" $(l1_modules)
}

build_l2() {
  skeleton "$1"
  install -m 755 "$lab_dir/init/l2" "$1/init"
}

# What a guest with virtio devices loads.
l2_modules() {
  printf '%s\n' virtio_mmio virtio_pci virtio_blk virtio_net virtio_console virtio-rng \
    virtio_balloon virtio_pmem virtio_mem vmw_vsock_virtio_transport virtiofs nd_pmem ext4 \
    crc32c_generic virtio-iommu nvme e1000e pvpanic-pci
}

build_l2_virtio() {
  build_l2 "$1"
  ln -s ../bin/busybox "$1/sbin/modprobe"
  # shellcheck disable=SC2046  # a list of words
  modules_tree "$1" $(l2_modules)
}

l1_image() { cached l1 "$lab_dir/init/l1" build_l1; }
l2_image() { cached l2 "$lab_dir/init/l2" build_l2; }
l2_virtio_image() { cached virtio "$lab_dir/init/l2" build_l2_virtio; }
