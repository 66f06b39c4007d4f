# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# shellcheck shell=sh source=lib.sh
# needs: vmm-reference vmlinuz guest-virtio.cpio vfio-user-nvme
# timeout: 400
. ./lib.sh

# An NVMe disk in another process is the guest's: its stock driver uses it, by DMA and MSI-X, or by its pin.

dd if=/dev/urandom of=disk bs=1M count=32 2>/dev/null
# sum FIRST COUNT: of so many MiB of the disk; for host and guest.
cat >words <<'EOF'
sum() { dd if="$disk" bs=1M skip="$1" count="$2" 2>/dev/null | sha256sum; }
EOF
. ./words
# shellcheck disable=SC2034  # of sum
disk=disk
of_host=$(sum 0 8)

cat words - >script <<'EOF'
i=0
while [ ! -b /dev/nvme0n1 ] && [ $i -lt 100 ]; do sleep 0.1; i=$((i + 1)); done
disk=/dev/nvme0n1
pci=$(basename /sys/bus/pci/drivers/nvme/0000:*)
echo "read $(sum 0 8)"
dd if=/dev/urandom of=/tmp/data bs=1M count=8 2>/dev/null
dd if=/tmp/data of="$disk" bs=1M seek=16 2>/dev/null
sync
echo 3 >/proc/sys/vm/drop_caches
echo "wrote $(sha256sum </tmp/data)"
echo "back $(sum 16 8)"
grep nvme /proc/interrupts
echo "$pci" >/sys/bus/pci/drivers/nvme/unbind
echo "$pci" >/sys/bus/pci/drivers/nvme/bind
i=0
while [ ! -b "$disk" ] && [ $i -lt 100 ]; do sleep 0.1; i=$((i + 1)); done
echo "bound again $(sum 0 8)"
dmesg | grep -i 'nvme.*\(timeout\|error\|fail\)'
EOF

vfio-user-nvme --socket-path=nvme.sock --file=disk --serial=given 2>nvme.err &
server=$!

for shared in on off; do
  what="user-device, memory shared=$shared"
  guest_with_script '' --memory "size=512M,shared=$shared" --user-device socket=nvme.sock
  boots "$what: a guest with a disk of another process boots"
  check "$what: the guest reads what is there" says "^read $of_host" 1 0
  of_guest=$(tr -d '\r' <"$log" | sed -n 's/^wrote //p')
  check "$what: the guest reads back what it wrote" says "^back $of_guest" 1 0
  check "$what: which is in the other process' file" [ "$(sum 16 8)" = "$of_guest" ]
  check "$what: interrupts come by MSI-X" says '[1-9][0-9]* .*-MSI.*nvme0q1' 1 0
  check "$what: the driver may leave and come back" says "^bound again $of_host" 1 0
  check "$what: the driver has no complaints" \
    [ "$(grep -ci 'nvme.*\(timeout\|error\|fail\)' "$log")" = 0 ]
done

what='user-device, without messages'
guest_with_script 'pci=nomsi' --memory size=512M,shared=on --user-device socket=nvme.sock
boots "$what: a guest with a disk of another process boots"
check "$what: the guest reads what is there" says "^read $of_host" 1 0
of_guest=$(tr -d '\r' <"$log" | sed -n 's/^wrote //p')
check "$what: the guest reads back what it wrote" says "^back $of_guest" 1 0
check "$what: interrupts come by the pin" says '[1-9][0-9]* .*\(fasteoi\|Level\).*nvme0q' 1 0
check "$what: the driver may leave and come back" says "^bound again $of_host" 1 0
check "$what: the driver has no complaints" [ "$(grep -ci 'nvme.*\(timeout\|error\|fail\)' "$log")" = 0 ]

kill $server
wait $server
check 'user-device: the server ends with SIGTERM' [ $? = 0 ]
check 'user-device: it has no complaints' [ ! -s nvme.err ]
