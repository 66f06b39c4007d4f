# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# shellcheck shell=sh source=lib.sh
# needs: vmm-reference vmlinuz guest-virtio.cpio api-call
# l1: --iommu
# timeout: 600
. ./lib.sh
# shellcheck source=lib-hotplug.sh
. ./lib-hotplug.sh
# shellcheck source=lib-vfio.sh
. ./lib-vfio.sh

# An NVMe disk of L1 comes to a running guest, goes while the guest writes to it, and comes again.

may_give 'vfio-hotplug: a disk of the host for a guest' || exit
fill_given 8
of_host=$(sum_of_given 0 8)
to vfio-pci $disk_address

cat words - >script <<'EOF'
echo ready
wait_for [ -b /dev/nvme0n1 ]
echo "read $(dd if=/dev/nvme0n1 bs=1M count=8 2>/dev/null | sha256sum)"
cp -a /dev/nvme0n1 busy # where the device's node has just gone dd would make a file
while [ -b /dev/nvme0n1 ]; do
  dd if=/dev/zero of=busy bs=1M seek=16 count=8 conv=fsync 2>/dev/null || sleep 0.1
done
echo 'it has gone'
wait_for [ -b /dev/nvme0n1 ]
echo "again $(dd if=/dev/nvme0n1 bs=1M count=8 2>/dev/null | sha256sum)"
while [ -b /dev/nvme0n1 ]; do
  dd if=/dev/nvme0n1 of=/dev/null bs=1M iflag=direct 2>/dev/null || sleep 0.1
done
echo 'gone at last'
sleep 8
EOF
guest_with_script '' --api-socket path=api.sock
check 'vfio-hotplug: a guest without devices runs' says '^ready' 1 120
start_fds=$(fds)
start_threads=$(threads)
body="{\"path\":\"$disk_device/\",\"id\":\"given\"}"
check 'vfio-hotplug: the disk comes' add device "$body"
check 'vfio-hotplug: it reads what the host wrote' says "^read $of_host" 1 60
check 'vfio-hotplug: the same device of the host is refused' answers 409 PUT vm.add-device \
  "{\"path\":\"/sys/bus/pci/drivers/vfio-pci/$disk_address\"}"
leaves given '^it has gone' 'vfio-hotplug: the disk, while it is busy,'
check 'vfio-hotplug: the VMM holds nothing of VFIO any more' has_only "$start_fds" "$start_threads"
check 'vfio-hotplug: the disk comes again' add device "$body"
check 'vfio-hotplug: it reads that again' says "^again $of_host" 1 60
# The host wants it back while the guest uses it: leaving the driver waits until the guest has given it.
echo $disk_address >/sys/bus/pci/drivers/vfio-pci/unbind &
unbinding=$!
check 'vfio-hotplug: the guest gives back what the host wants' says '^gone at last' 1 60
wait $unbinding
check 'vfio-hotplug: the host has got it' [ ! -e $disk_device/driver ]
check 'vfio-hotplug: the log tells of it' grep -q 'given: the host wants the device back' vmm.err
check 'vfio-hotplug: the VMM has nothing of it left' has_only "$start_fds" "$start_threads"
check 'vfio-hotplug: nor a device of that id' answers 404 PUT vm.remove-device '{"id":"given"}'
boots 'vfio-hotplug: the guest ends as others do'
take_disk
check 'vfio-hotplug: the host has its disk back' [ "$(sum_of_given 0 8)" = "$of_host" ]
