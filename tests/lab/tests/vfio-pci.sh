# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# shellcheck shell=sh source=lib.sh
# core
# needs: vmm-reference vmlinuz guest-virtio.cpio
# l1: --iommu
# timeout: 600
. ./lib.sh
# shellcheck source=lib-vfio.sh
. ./lib-vfio.sh

# An NVMe disk and a network device of L1 are the guest's: its stock drivers use them, by DMA and MSI-X.

may_give 'vfio-pci: a disk of the host for a guest' || exit

# For the guest: sum FIRST COUNT: of so many MiB of the disk.
cat >words <<'EOF'
sum() { dd if="$disk" bs=1M skip="$1" count="$2" 2>/dev/null | sha256sum; }
wait_for_disk() {
  i=0
  while [ ! -b "$disk" ] && [ $i -lt 600 ]; do sleep 0.1; i=$((i + 1)); done
}
EOF

fill_given 8
of_host=$(sum_of_given 0 8)
to vfio-pci $disk_address
to vfio-pci $net_address
check 'vfio-pci: the device is there to be given' has_driver vfio-pci $disk_address

# What the scripts below have in common.
cat >>words <<'EOF'
for node in /sys/bus/pci/drivers/nvme/0000:*; do pci=$(basename "$node"); done
disk=/dev/$(basename /sys/bus/pci/drivers/nvme/0000:*/nvme/nvme*/nvme*n1)
echo "disk $disk"
EOF

cat words - >script <<'EOF'
echo "read $(sum 0 8)"
dd if=/dev/urandom of=/tmp/data bs=1M count=16 2>/dev/null
dd if=/tmp/data of="$disk" bs=1M seek=16 2>/dev/null
sync
echo 3 >/proc/sys/vm/drop_caches
echo "wrote $(sha256sum </tmp/data)"
echo "back $(sum 16 16)"
grep nvme /proc/interrupts
echo "reset methods $(cat "/sys/bus/pci/devices/$pci/reset_method")"
echo 1 >"/sys/bus/pci/devices/$pci/reset" && echo 'reset done'
sleep 1
echo 3 >/proc/sys/vm/drop_caches
echo "after reset $(sum 16 16)"
echo "$pci" >/sys/bus/pci/drivers/nvme/unbind
echo "$pci" >/sys/bus/pci/drivers/nvme/bind
wait_for_disk
echo "bound again $(sum 0 8)"
dmesg | grep -i 'nvme.*\(timeout\|error\|fail\)'
ip link set eth0 up
ip addr add 10.0.2.15/24 dev eth0
ping -A -c 3 -W 5 10.0.2.2 | grep received
grep virtio /proc/interrupts
EOF
guest_with_script 'modules=virtio_pci,virtio_net' --device path=$disk_device path=$net_device,id=net
boots 'vfio-pci: a guest with a disk and a network device of the host boots'
check 'vfio-pci: the guest reads what the host wrote' says "^read $of_host" 1 0
of_guest=$(tr -d '\r' <"$log" | sed -n 's/^wrote //p')
check 'vfio-pci: the guest reads back what it wrote' says "^back $of_guest" 1 0
check 'vfio-pci: interrupts come by MSI-X' says '[1-9][0-9]* .*MSI.*nvme0q1' 1 0
check 'vfio-pci: the function can be reset' says '^reset methods .*flr' 1 0
check 'vfio-pci: it is reset while its driver has it' says '^reset done' 1 0
check 'vfio-pci: it works after the reset' says "^after reset $of_guest" 1 0
check 'vfio-pci: the driver may leave and come back' says "^bound again $of_host" 1 0
check 'vfio-pci: the driver has no complaints' [ "$(grep -ci 'nvme.*\(timeout\|error\|fail\)' "$log")" = 0 ]

check 'vfio-pci: the network device answers' says '3 packets received' 1 0
check 'vfio-pci: its interrupts come by MSI-X' says '[1-9][0-9]* .*MSI.*virtio[0-9]*-input' 1 0

cat words - >script <<'EOF'
if [ "$(dd if="$disk" bs=6 count=1 2>/dev/null)" != marker ]; then
  printf marker | dd of="$disk" conv=notrunc,fsync 2>/dev/null
  sync
  echo 'first life'
  reboot -f
fi
echo "second life $(sum 16 16)"
echo "$pci" >/sys/bus/pci/drivers/nvme/unbind
# The controller is told of an admin queue where the guest has no memory.
echo 1 >"/sys/bus/pci/devices/$pci/enable"
printf '\006' | dd of="/sys/bus/pci/devices/$pci/config" bs=1 seek=4 conv=notrunc 2>/dev/null
read -r base _ <"/sys/bus/pci/devices/$pci/resource"
set_register() { devmem $((base + $1)) 32 "$2"; }
set_register 0x14 0
sleep 0.5
set_register 0x24 0x001f001f
set_register 0x28 0x10000000
set_register 0x2c 0x7f
set_register 0x30 0x20000000
set_register 0x34 0x7f
set_register 0x14 0x00460001
sleep 0.5
set_register 0x1000 1
sleep 1
echo "$pci" >/sys/bus/pci/drivers/nvme/bind
wait_for_disk
echo "afterwards $(sum 16 16)"
EOF
guest_with_script '' --device path=$disk_device
boots 'vfio-pci: a guest with a disk of the host resets, and lets it reach beyond guest memory'
check 'vfio-pci: the device is there before the reset of the guest' says '^first life' 1 0
check 'vfio-pci: it works after that' says "^second life $of_guest" 1 0
check 'vfio-pci: the IOMMU stops what is not for guest memory' [ "$(faults_at 7f10000000)" != 0 ]
check 'vfio-pci: the guest gets its device to work again' says "^afterwards $of_guest" 1 0

cat words - >script <<'EOF'
echo "by its pin $(sum 16 16)"
grep nvme /proc/interrupts
EOF
guest_with_script 'pci=nomsi' --device "path=$disk_device,pci_device_id=7,x_exclude_mmap_bars=[0]"
boots 'vfio-pci: a guest without MSI, and without memory of the device, boots'
check 'vfio-pci: the device works by its interrupt pin' says "^by its pin $of_guest" 1 0
check 'vfio-pci: that is a level' \
  says '[1-9][0-9]* .*\(IO-APIC\|GIC\).*\(fasteoi\|Level\).*nvme' 1 0

# A device of L1's board: guests without a device tree cannot find it, and none here has an IOMMU.
for board in /sys/bus/platform/devices/*; do :; done
start --kernel vmlinuz --device "path=$board"
finish 10
check 'vfio-pci: a device of the board is refused, exit status 1' [ "$vmm_status" = 1 ]
case $(uname -m) in
x86_64) why='a device of a board' ;;
*) why='no IOMMU group' ;;
esac
check 'vfio-pci: and the message says why' grep -q -- "--device: path=$board: .*$why" vmm.err

take_disk
check 'vfio-pci: the host has its disk back, with what the guest wrote' [ "$(sum_of_given 16 16)" = "$of_guest" ]
