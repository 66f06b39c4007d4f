# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# shellcheck shell=sh source=lib.sh
# needs: vmm-reference trixie api-call
# l1: --iommu
# on request
# timeout: 1200
. ./lib.sh
# shellcheck source=lib-hotplug.sh
. ./lib-hotplug.sh
# shellcheck source=lib-vfio.sh
. ./lib-vfio.sh

# A disk and a network device behind the virtual IOMMU; then an NVMe disk of L1; and devices that come and go
# there. The guest's kernel is of Debian 13, as that of Debian 12 has no driver for such an IOMMU.

dd if=/dev/urandom of=disk.img bs=1M count=16 2>/dev/null
of_host=$(sha256sum <disk.img)
modprobe tun

cat >script <<'EOF'
i=0
while [ ! -b /dev/vda ] && [ $i -lt 100 ]; do sleep 0.1; i=$((i + 1)); done
for group in /sys/kernel/iommu_groups/*/devices/*; do
  echo "group ${group##*/} $(cat "${group%/devices/*}/type")"
done
echo "behind $(basename "$(readlink /sys/bus/pci/devices/0000:00:01.0/iommu)")"
# Bit 33: the driver works with I/O addresses.
echo "features $(cut -c 34 /sys/block/vda/device/features) $(cut -c 34 /sys/class/net/eth0/device/features)"
echo "read $(sha256sum </dev/vda)"
dd if=/dev/urandom of=/tmp/data bs=1M count=8 2>/dev/null
dd if=/tmp/data of=/dev/vda bs=1M seek=4 2>/dev/null
sync
echo 3 >/proc/sys/vm/drop_caches
echo "wrote $(sha256sum </tmp/data)"
echo "back $(dd if=/dev/vda bs=1M skip=4 count=8 2>/dev/null | sha256sum)"
ip link set eth0 up
ip addr add 192.0.2.2/24 dev eth0
ping -A -c 3 -W 5 192.0.2.1 | grep received
ping -A -c 2 -W 5 -s 9000 192.0.2.1 | grep received
dmesg | grep -i iommu
EOF
# With a device tree Linux waits ten seconds for the IOMMU's driver, then does without: too short in a slow L1.
wait='deferred_probe_timeout=600'
modules="$wait modules=virtio_pci,virtio-iommu,virtio_blk,virtio_net"
guest_with_script "$modules" --disk path=disk.img,image_type=raw,iommu=on \
  --net tap=vmm0,ip=192.0.2.1,mask=255.255.255.0,iommu=on --console off
boots 'iommu: a guest with a disk and a network device behind the IOMMU boots'
check 'iommu: each device has a group of its own' says '^group 0000:00:0[12].0 DMA' 2 0
check 'iommu: the IOMMU is not behind itself' [ "$(grep -c '^group' "$log")" = 2 ]
check 'iommu: the drivers accept I/O addresses' says '^features 1 1' 1 0
check 'iommu: the guest reads what the host wrote' says "^read $of_host" 1 0
of_guest=$(tr -d '\r' <"$log" | sed -n 's/^wrote //p')
check 'iommu: the guest reads back what it wrote' says "^back $of_guest" 1 0
check 'iommu: the host finds it in the image' \
  [ "$(dd if=disk.img bs=1M skip=4 count=8 2>/dev/null | sha256sum)" = "$of_guest" ]
check 'iommu: small packets' says '3 packets received' 1 0
check 'iommu: packets in fragments' says '2 packets received' 1 0
check 'iommu: no access led nowhere' [ "$(grep -ci 'unknown fault\|page fault' "$log")" = 0 ]

of_host=$(sha256sum <disk.img)
guest_with_script "$modules iommu.passthrough=1" --console off \
  --platform num_pci_segments=2,iommu_segments=[1],iommu_address_width=48 \
  --disk path=disk.img,image_type=raw,iommu=on,pci_segment=1 \
  --net tap=vmm0,ip=192.0.2.1,mask=255.255.255.0
boots 'iommu: a guest with a segment behind the IOMMU, in passthrough, boots'
check 'iommu: the disk of the segment has a group' says '^group 0001:00:01.0 identity' 1 0
check 'iommu: the others have none' [ "$(grep -c '^group' "$log")" = 1 ]
check 'iommu: in passthrough the guest reads what the host wrote' says "^read $of_host" 1 0

may_give 'iommu: a disk of the host behind it' || exit
fill_given 8
of_host=$(sum_of_given 0 8)
to vfio-pci $disk_address

cat >script <<'EOF'
i=0
while [ ! -b /dev/nvme0n1 ] && [ $i -lt 100 ]; do sleep 0.1; i=$((i + 1)); done
for group in /sys/kernel/iommu_groups/*/devices/*; do echo "group ${group##*/}"; done
echo "read $(dd if=/dev/nvme0n1 bs=1M count=8 2>/dev/null | sha256sum)"
dd if=/dev/urandom of=/tmp/data bs=1M count=8 2>/dev/null
dd if=/tmp/data of=/dev/nvme0n1 bs=1M seek=16 2>/dev/null
sync
echo 3 >/proc/sys/vm/drop_caches
echo "wrote $(sha256sum </tmp/data)"
echo "back $(dd if=/dev/nvme0n1 bs=1M skip=16 count=8 2>/dev/null | sha256sum)"
grep nvme /proc/interrupts
EOF
guest_with_script "$wait modules=virtio_pci,virtio-iommu,nvme" --console off --device path=$disk_device,iommu=on
boots 'iommu: a guest with a disk of the host behind the IOMMU boots'
check 'iommu: the disk of the host has a group' says '^group 0000:00:02.0' 1 0
check 'iommu: the guest reads what the host wrote to its disk' says "^read $of_host" 1 0
of_guest=$(tr -d '\r' <"$log" | sed -n 's/^wrote //p')
check 'iommu: the guest reads back what it wrote to it' says "^back $of_guest" 1 0
check 'iommu: its interrupts come by MSI-X' says '[1-9][0-9]* .*MSI.*nvme0q1' 1 0
check 'iommu: DMA of the host went where it should' [ "$(faults)" = 0 ]

# Devices come to a segment that is behind the IOMMU, and to where one was that the guest knew of: with ports
# that is such a segment, too.
if [ "$arch" = x86_64 ]; then
  first_place=pci_device_id=5 last_place='"pci_device_id":5' at='0001:00:01.0'
else
  first_place=pci_segment=1 last_place='"pci_segment":1' at='0001:01:00.0'
fi
dd if=/dev/urandom of=disk.img bs=1M count=16 2>/dev/null
cp disk.img first.img
first=$(sha256sum <disk.img)
cat words - >script <<'EOF'
dmesg -c >/dev/null
groups() { for group in /sys/kernel/iommu_groups/*/devices/*; do echo "group $1 ${group##*/}"; done; }
wait_for [ -b /dev/vda ]
echo "first $(sha256sum </dev/vda)"
wait_for no /dev/vda
echo 'first has gone'
wait_for [ -b /dev/vda ]
groups came
echo "came $(sha256sum </dev/vda)"
dd if=/dev/urandom of=/tmp/data bs=1M count=8 2>/dev/null
dd if=/tmp/data of=/dev/vda bs=1M seek=4 2>/dev/null
sync
echo 3 >/proc/sys/vm/drop_caches
echo "wrote $(sha256sum </tmp/data)"
echo "back $(dd if=/dev/vda bs=1M skip=4 count=8 2>/dev/null | sha256sum)"
cp -a /dev/vda busy # where the device's node has just gone dd would make a file
while [ -b /dev/vda ]; do
  dd if=/dev/zero of=busy bs=1M seek=1 count=2 conv=fsync 2>/dev/null || sleep 0.1
done
echo 'it has gone'
for time in first second; do
  wait_for [ -b /dev/nvme0n1 ]
  groups "$time"
  echo "$time time $(dd if=/dev/nvme0n1 bs=1M count=8 2>/dev/null | sha256sum)"
  rm -f busy
  cp -a /dev/nvme0n1 busy
  while [ -b /dev/nvme0n1 ]; do
    dd if=/dev/zero of=busy bs=1M seek=16 count=8 conv=fsync 2>/dev/null || sleep 0.1
  done
  echo "gone the $time time"
done
wait_for [ -b /dev/vda ]
echo "last $(sha256sum </dev/vda)"
dmesg | grep -iE 'unknown fault|page fault|BUG|WARNING|Call Trace'
EOF
modules="$wait modules=virtio_pci,virtio-iommu,virtio_blk,nvme"
guest_with_script "$modules" --console off --api-socket path=api.sock \
  --platform 'num_pci_segments=2,iommu_segments=[1]' \
  --disk "path=first.img,image_type=raw,iommu=on,id=first,$first_place"
check 'iommu: a guest with a disk behind the IOMMU reads it' says "^first $first" 1 120
leaves first '^first has gone' 'iommu: the disk'
check 'iommu: the VMM gives up its image' holds_no first.img
sleep 1 # and the rest of it
start_fds=$(fds)
start_threads=$(threads)
disk='{"path":"disk.img","image_type":"Raw","id":"hot","iommu":true'
check 'iommu: none comes to where the guest knows of no IOMMU' answers 500 PUT vm.add-disk "$disk}"
check 'iommu: as the answer says' grep -q iommu_segments answer
if [ "$arch" = x86_64 ]; then
  check 'iommu: nor one past it to where the guest knows of it' \
    answers 500 PUT vm.add-disk '{"path":"disk.img","image_type":"Raw","id":"hot","pci_device_id":5}'
fi
check 'iommu: one comes to a segment that is behind it' add disk "$disk,\"pci_segment\":1}"
check 'iommu: it has a group' says "^group came $at" 1 60
check 'iommu: the guest reads it' says "^came $first" 1 60
check 'iommu: and writes to it' says '^back' 1 60
of_guest=$(tr -d '\r' <"$log" | sed -n 's/^wrote //p')
check 'iommu: it reads back what it wrote' says "^back $of_guest" 1 0
check 'iommu: which is in the image' \
  [ "$(dd if=disk.img bs=1M skip=4 count=8 2>/dev/null | sha256sum)" = "$of_guest" ]
leaves hot '^it has gone' 'iommu: it, while it is busy,'
check 'iommu: the VMM has nothing of it left' has_only "$start_fds" "$start_threads"
body="{\"path\":\"$disk_device\",\"id\":\"given\",\"iommu\":true,\"pci_segment\":1}"
for time in first second; do
  check "iommu: the disk of the host comes the $time time" add device "$body"
  check "iommu: it has a group the $time time" says "^group $time $at" 1 60
  check "iommu: the guest reads it the $time time" says "^$time time $of_host" 1 60
  leaves given "^gone the $time time" "iommu: it, busy the $time time,"
  check "iommu: the VMM has nothing of it left the $time time" has_only "$start_fds" "$start_threads"
done
check 'iommu: a disk comes to where one was from the start' add disk "$disk,$last_place}"
check 'iommu: the guest reads that one' says "^last $(sha256sum <disk.img)" 1 60
boots 'iommu: the guest ends as others do'
check 'iommu: it had no complaints' \
  [ "$(grep -ciE 'unknown fault|page fault|BUG|WARNING|Call Trace' "$log")" = 0 ]
check 'iommu: no DMA of the host went astray' [ "$(faults)" = 0 ]
