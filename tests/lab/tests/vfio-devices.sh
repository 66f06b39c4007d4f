# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# shellcheck shell=sh source=lib.sh disable=SC2154
# needs: vmm-reference generic fio api-call
# l1: --iommu
# on request
# timeout: 1000
. ./lib.sh
# shellcheck source=lib-hotplug.sh
. ./lib-hotplug.sh
# shellcheck source=lib-vfio.sh
. ./lib-vfio.sh

# An NVMe disk and an e1000e network device of L1 are the guest's, whose kernel is Debian's for all hardware:
# fio and ping, MSI-X, resets of both functions, DMA of the network device beyond guest memory and to the
# disk's registers, and both devices taken away while they are busy. fio is Debian's.

may_give 'vfio-devices: devices of the host for a guest' || exit
dmesg -c >/dev/null
fill_given 4
of_host=$(sum_of_given 0 4)
for address in $disk_address $card_address; do
  to vfio-pci "$address"
  check "vfio-devices: $address is there to be given" has_driver vfio-pci "$address"
done

# fio_with_libraries: L1 has these for fio.
fio_with_libraries() {
  cp fio /fio
  (cd / && find fio lib lib64 ! -path 'lib/modules*' ! -path lib 2>/dev/null | cpio -o -H newc 2>/dev/null)
  rm /fio
}
cp guest-virtio.cpio kernel-and-drivers
{ cat kernel-and-drivers && fio_with_libraries; } >guest-virtio.cpio
rm kernel-and-drivers

# What the guests below have in common: fio, the addresses of both devices, and counts of MSI-X.
cat >>words <<'EOF'
find_devices() {
  wait_for [ -b /dev/nvme0n1 ]
  wait_for [ -e /sys/class/net/eth0 ]
  disk_at=$(basename "$(readlink /sys/class/nvme/nvme0/device)")
  card_at=$(basename "$(readlink /sys/class/net/eth0/device)")
}
interrupts() { sed -n "s/^ *[0-9]*: *\([0-9]*\) .*MSI.*$1.*/\1/p" /proc/interrupts | sort -n | tail -n 1; }
# fio NAME SECONDS OPTION...: writes at random for so long, reads all back and compares.
fio() {
  fio_name=$1 fio_seconds=$2
  shift 2
  timeout "$fio_seconds" /fio --name=verify --filename=/dev/nvme0n1 --offset=8m --size=32m --rw=randwrite \
    --bsrange=4k-128k --iodepth=16 --ioengine=libaio --direct=1 --verify=crc32c --verify_fatal=1 \
    --output-format=terse "$@" >/tmp/fio 2>/tmp/fio.err
  echo "fio $fio_name: $?, $(grep -c '^3;' /tmp/fio) reports, $(sed -n '/^3;/p' /tmp/fio | cut -d ';' -f 5) errors"
}
network() {
  ip link set eth0 up
  ip addr flush dev eth0
  ip addr add 10.0.2.15/24 dev eth0
  wait_for grep -q 1 /sys/class/net/eth0/carrier
  echo "$1 $(ping -A -c 20 -s 1400 -W 5 10.0.2.2 | grep received)"
}
EOF
modules='modules=virtio_pci,crc32c_generic,nvme,e1000e'

cat words - >script <<'EOF'
dmesg -c >/dev/null
find_devices
for at in $disk_at $card_at; do
  echo "messages $(cat "/sys/bus/pci/devices/$at/msi_irqs"/* | sort -u)"
done
echo "drivers $(basename "$(readlink "/sys/bus/pci/devices/$disk_at/driver")") $(basename "$(readlink "/sys/bus/pci/devices/$card_at/driver")")"
echo "read $(dd if=/dev/nvme0n1 bs=1M count=4 2>/dev/null | sha256sum)"
before=$(interrupts nvme0q1)
fio first 120
echo "disk interrupts $(($(interrupts nvme0q1) - before))"
before=$(interrupts eth0-rx)
network ping
echo "card interrupts $(($(interrupts eth0-rx) - ${before:-0}))"
grep -E 'nvme|eth0' /proc/interrupts
for at in $disk_at $card_at; do
  echo "reset methods $(cat "/sys/bus/pci/devices/$at/reset_method")"
  echo flr >"/sys/bus/pci/devices/$at/reset_method"
  echo 1 >"/sys/bus/pci/devices/$at/reset" && echo "reset done"
done
sleep 1
fio 'after reset' 120
network 'after reset'
dmesg | grep -iE 'nvme.*(timeout|error|fail)|e1000e.*(error|fail|hang|reset adapter)|DMAR|BUG|Call Trace'

# The card is told of a ring in the disk's registers, which it reads there (and takes what it finds for the address of a
# packet, which is nowhere); then of one where the guest has no memory.
ip link set eth0 down
echo "$card_at" >/sys/bus/pci/drivers/e1000e/unbind
echo 1 >"/sys/bus/pci/devices/$card_at/enable"
printf '\006' | /bin/busybox dd of="/sys/bus/pci/devices/$card_at/config" bs=1 seek=4 conv=notrunc 2>/dev/null
read -r base _ <"/sys/bus/pci/devices/$card_at/resource"
set_register() { devmem $((base + $1)) 32 "$2"; }
read -r disk_base _ <"/sys/bus/pci/devices/$disk_at/resource"
printf 'peer %x\n' $((disk_base))
# ring_at LOW HIGH: of one descriptor, and what the card has taken of it a second later.
ring_at() {
  set_register 0x0400 0          # TCTL: disabled
  set_register 0x3810 0          # TDH
  set_register 0x3818 0          # TDT
  set_register 0x3800 "$1"       # TDBAL
  set_register 0x3804 "$2"       # TDBAH
  set_register 0x3808 0x00001000 # TDLEN
  set_register 0x0400 0x0000000a # TCTL: enabled
  set_register 0x3818 1          # TDT: there is a descriptor
  sleep 1
  echo "taken $(devmem $((base + 0x3810)) 32)"
}
set_register 0x0000 0x00000040 # CTRL: link up
ring_at $((disk_base & 0xffffffff)) $((disk_base >> 32))
ring_at 0x20000000 0x0000007f
echo 1 >"/sys/bus/pci/devices/$card_at/reset"
echo "$card_at" >/sys/bus/pci/drivers/e1000e/bind
wait_for [ -e /sys/class/net/eth0 ]
network afterwards
echo "disk afterwards $(dd if=/dev/nvme0n1 bs=1M count=4 2>/dev/null | sha256sum)"
EOF
guest_with_script "$modules" --memory size=768M --device path=$disk_device path=$card_device
boots 'vfio-devices: a guest with a disk and a network device of the host boots'
check 'vfio-devices: its own drivers have them' says '^drivers nvme e1000e' 1 0
check 'vfio-devices: the guest reads what the host wrote' says "^read $of_host" 1 0
check 'vfio-devices: fio reads back what it wrote' says '^fio first: 0, 1 reports, 0 errors' 1 0
check 'vfio-devices: both have MSI-X, and nothing else' says '^messages msix' 2 0
check 'vfio-devices: for which interrupts came' says '^disk interrupts [1-9][0-9][0-9]' 1 0
check 'vfio-devices: the network device answers' says '^ping .*20 packets received' 1 0
check 'vfio-devices: for which interrupts came, too' says '^card interrupts [1-9][0-9]' 1 0
check 'vfio-devices: both have a reset of the function' says '^reset methods .*flr' 2 0
check 'vfio-devices: it is done while the drivers have them' says '^reset done' 2 0
check 'vfio-devices: fio reads back what it wrote after it' says '^fio after reset: 0, 1 reports, 0 errors' 1 0
check 'vfio-devices: the network device answers after it' says '^after reset .*20 packets received' 1 0
check 'vfio-devices: the drivers have no complaints' \
  [ "$(grep -ciE 'nvme.*(timeout|error|fail)|e1000e.*(error|fail|hang)|BUG|Call Trace' "$log")" = 0 ]
check 'vfio-devices: the network device has read both rings' says '^taken 0x00000001' 2 0
peer=$(tr -d '\r' <"$log" | sed -n 's/^peer //p')
check 'vfio-devices: the guest has told where those of the disk are' [ -n "$peer" ]
check "vfio-devices: it reaches the disk's registers" [ "$(faults_at "$peer")" = 0 ]
check 'vfio-devices: the IOMMU stops what is not for guest memory, and reports it' [ "$(faults_at 7f20000000)" != 0 ]
dmesg | grep -A 5 -E "$fault"
check 'vfio-devices: the guest gets its network device to work again' says '^afterwards .*20 packets received' 1 0
check 'vfio-devices: its disk is as it was' says "^disk afterwards $of_host" 1 0

cat words - >script <<'EOF'
dmesg -c >/dev/null
echo ready
find_devices
network ping
fio busy 60 --time_based --runtime=50 &
ping -i 0.01 -s 1400 -W 5 10.0.2.2 >/dev/null &
sleep 1
echo 'both are busy'
wait_for no /sys/class/net/eth0
echo 'the card has gone'
wait_for no /dev/nvme0n1
echo 'the disk has gone'
kill $! 2>/dev/null
wait_for [ -b /dev/nvme0n1 ]
wait_for [ -e /sys/class/net/eth0 ]
fio again 120
network again
dmesg | grep -E 'BUG|WARNING|Call Trace'
EOF
guest_with_script "$modules" --memory size=768M --api-socket path=api.sock
check 'vfio-devices: a guest without devices runs' says '^ready' 1 120
check 'vfio-devices: the disk comes' add device "{\"path\":\"$disk_device\",\"id\":\"nvme\"}"
check 'vfio-devices: the network device comes' add device "{\"path\":\"$card_device\",\"id\":\"card\"}"
check 'vfio-devices: both are busy' says '^both are busy' 1 120
leaves card '^the card has gone' 'vfio-devices: the network device, while it is busy,'
leaves nvme '^the disk has gone' 'vfio-devices: the disk, while it is busy,'
check 'vfio-devices: the VMM holds nothing of VFIO any more' holds_no vfio
take_disk
check 'vfio-devices: meanwhile the host has the disk' [ "$(sum_of_given 0 4)" = "$of_host" ]
to vfio-pci $disk_address
check 'vfio-devices: the disk comes again' add device "{\"path\":\"$disk_device\",\"id\":\"nvme\"}"
check 'vfio-devices: the network device, too' add device "{\"path\":\"$card_device\",\"id\":\"card\"}"
check 'vfio-devices: fio reads back what it wrote' says '^fio again: 0, 1 reports, 0 errors' 1 150
check 'vfio-devices: the network device answers' says '^again .*20 packets received' 1 60
boots 'vfio-devices: the guest ends as others do'
check 'vfio-devices: it had no complaints' [ "$(grep -cE 'BUG|WARNING|Call Trace' "$log")" = 0 ]

take_disk
to '' $card_address
check 'vfio-devices: the host has its disk back, with what was on it' [ "$(sum_of_given 0 4)" = "$of_host" ]
dmesg | grep -E 'BUG:|WARNING:|Call Trace' | tee complaints
check 'vfio-devices: the host has no complaints' [ ! -s complaints ]
