# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# shellcheck shell=sh disable=SC2034,SC2154  # what it shares with lib.sh and the tests
# For the lab's tests of devices of the host, after lib.sh: those that `lab run --iommu` gives to L1.

disk_address=0000:00:10.0 # NVMe
net_address=0000:00:11.0  # virtio
card_address=0000:00:12.0 # e1000e
disk_device=/sys/bus/pci/devices/$disk_address
net_device=/sys/bus/pci/devices/$net_address
card_device=/sys/bus/pci/devices/$card_address

# may_give NAME: whether there are devices to give away, which it reports when there are none. VFIO is ready then, and
# $given the disk while the host has it.
may_give() {
  if [ "$LAB" = host ] || [ ! -e $disk_device/iommu_group ]; then
    skip "$1" 'there is nothing to give away'
    return 1
  fi
  modprobe vfio-pci && modprobe vfio_iommu_type1
  given=$(readlink /dev/disk-given)
}

# to DRIVER ADDRESS: the device leaves its driver, if it has one, for another; '' for none.
to() {
  at=/sys/bus/pci/devices/$2
  if [ -e "$at/driver" ]; then echo "$2" >"$at/driver/unbind"; fi
  echo "$1" >"$at/driver_override"
  echo "$2" >/sys/bus/pci/drivers_probe
}
has_driver() { [ "$(basename "$(readlink "/sys/bus/pci/devices/$2/driver")")" = "$1" ]; }

# fill_given COUNT: so many MiB of random bytes on the disk.
fill_given() {
  dd if=/dev/urandom of="$given" bs=1M count="$1" 2>/dev/null
  sync
}
# sum_of_given FIRST COUNT: of so many MiB of the disk.
sum_of_given() { dd if="$given" bs=1M skip="$1" count="$2" iflag=direct 2>/dev/null | sha256sum; }

# take_disk: the host has the disk again.
take_disk() {
  to nvme $disk_address
  tenths=600
  until [ -b "$given" ] || [ $tenths -le 0 ]; do
    sleep 0.1
    tenths=$((tenths - 1))
  done
}

# leaves ID PATTERN NAME: the device with that id is taken from the guest, who says so.
leaves() {
  check "$3 goes" remove "$1"
  check "$3 goes: the guest notices" says "$2" 1 60
}

# holds_no NAME: the VMM has no such file any more, soon.
holds_no() {
  tenths=600
  while for fd in "/proc/$vmm_pid/fd"/*; do readlink "$fd"; done | grep -q "$1"; do
    tenths=$((tenths - 1))
    [ $tenths -gt 0 ] || return 1
    sleep 0.1
  done
}

# What the IOMMU of the host has stopped, of any device or of one address.
fault='DMAR: .*fault addr|arm-smmu-v3.*event 0x'
faults() { dmesg | grep -cE "$fault"; }
faults_at() { dmesg | grep -A 5 -E "$fault" | grep -c "$1"; }
