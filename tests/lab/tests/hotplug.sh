# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# shellcheck shell=sh source=lib.sh
# core
# needs: vmm-reference vmlinuz guest-virtio.cpio api-call
# timeout: 600
. ./lib.sh
# shellcheck source=lib-hotplug.sh
. ./lib-hotplug.sh

# Devices come and go while the guest runs.

case $arch in
  aarch64) come_and_go 8 ;; # seven seconds each until the guest has given back
  *) come_and_go 20 ;;
esac

# What comes while the VM is paused, the guest finds when it goes on.
dd if=/dev/zero of=paused.img bs=1M count=2 2>/dev/null
cat words - >script <<'EOF'
echo ready
wait_for [ -b /dev/vda ]
echo "disk $(blockdev --getsize64 /dev/vda)"
printf marker | dd of=/dev/vda conv=notrunc,fsync 2>/dev/null
echo wrote
wait_for no /dev/vda
echo gone
EOF
guest_with_script 'modules=virtio_pci,virtio_blk' --api-socket path=api.sock
says '^ready' 1 120
check 'hotplug: pause' answers 204 PUT vm.pause
before=$(threads)
paused='{"path":"paused.img","image_type":"Raw","id":"hot"}'
check 'hotplug: a disk comes to a paused VM' add disk "$paused"
check 'hotplug: its id is taken' answers 409 PUT vm.add-disk "$paused"
check 'hotplug: what cannot come to a paused VM leaves nothing' \
  answers 500 PUT vm.add-disk '{"path":"paused.img","image_type":"Raw","queue_affinity":[{"queue_index":0,"host_cpus":[999]}]}'
check 'hotplug: it has one thread' [ "$(threads)" = $((before + 1)) ]
check 'hotplug: resume' answers 204 PUT vm.resume
check 'hotplug: the guest finds the disk' says '^disk 2097152' 1 40
check 'hotplug: pause again' answers 204 PUT vm.pause
check 'hotplug: resume again' answers 204 PUT vm.resume
check 'hotplug: the disk takes data' says '^wrote' 1 40
check 'hotplug: it goes' remove hot
boots 'hotplug: the guest that was paused lives on'
check 'hotplug: and has given the disk back' says '^gone' 1 0
check 'hotplug: what it wrote is there' [ "$(head -c 6 paused.img)" = marker ]

# What has come outlasts a reset of the guest. What is in use can go.
cat words - >script <<'EOF'
disks() { ls /sys/block | grep -c '^vd'; }
echo "first $(disks)"
wait_for [ -b /dev/vda ]
echo "then $(disks)"
if [ "$(dd if=/dev/vda bs=6 count=1 2>/dev/null)" != marker ]; then
  printf marker | dd of=/dev/vda conv=notrunc,fsync 2>/dev/null
  reboot -f
fi
echo 'second life'
cp -a /dev/vda busy # where the device's node has just gone dd would make a file
tenths=0
while dd if=/dev/zero of=busy bs=64k seek=1 count=32 conv=fsync 2>/dev/null && [ $tenths -lt 300 ]; do
  tenths=$((tenths + 1))
done
none() { [ "$(disks)" = 0 ]; }
wait_for none
echo "left $(disks)"
EOF
guest_with_script 'modules=virtio_pci,virtio_blk' --api-socket path=api.sock --event-monitor path=events.json
check 'hotplug: a guest without disks runs' says '^first 0' 1 120
check 'hotplug: before a reset a disk comes' add disk "$disk"
check 'hotplug: the guest has it' says '^then 1' 1 40
check 'hotplug: after the reset the guest has it from the start' says '^first 1' 1 120
check 'hotplug: with what it wrote' says '^second life' 1 40
check 'hotplug: a disk that is in use goes' remove hot
boots 'hotplug: the guest lives on'
check 'hotplug: without the disk' says '^left 0' 1 0
removed=$(sed -n '/"device-removed"/,/}/p' events.json | tr -d ' \n')
check 'hotplug: an event tells that it has gone, and from where' sh -c \
  "echo '$removed' | grep -q '^\"event\":\"device-removed\",\"properties\":{\"id\":\"hot\",\"bdf\":\"0000:0[0-9a-f]:0[0-9a-f].0\"}$'"
