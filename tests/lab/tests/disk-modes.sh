# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# shellcheck shell=sh source=lib.sh
# needs: vmm-reference vmlinuz guest-virtio.cpio
# timeout: 900
. ./lib.sh

pattern() { dd if=/dev/urandom of="$1" bs=1M count="$2" 2>/dev/null; }
modules=modules=virtio_pci,virtio_blk

# Several disks at once, one of each mode.
pattern readonly 2
pattern direct 2
# Not every kernel has direct I/O on a file in memory, but a block device has it.
modprobe loop 2>/dev/null
loop=$(losetup -f) && losetup "$loop" direct || echo "no loop device: $?"
pattern limited 2
pattern grouped1 1
pattern grouped2 1
readonly_sum=$(sha256sum <readonly)
cat >script <<'EOS'
echo "ro=$(cat /sys/block/vda/ro)"
echo "vda=$(sha256sum </dev/vda)"
dd if=/dev/zero of=/dev/vda bs=4k count=1 oflag=direct 2>/dev/null || echo 'vda: not writable'
echo "vdb=$(sha256sum </dev/vdb)"
dd if=/dev/vda of=/dev/vdb bs=4k oflag=direct 2>/dev/null
dd if=/dev/vda of=/dev/vdb bs=512 count=5 seek=3 oflag=direct 2>/dev/null
echo "direct=$(dd if=/dev/vdb bs=4k iflag=direct 2>/dev/null | sha256sum)"
tenths() { read -r up _ </proc/uptime && echo "$up" | sed 's/\.\(.\).*/\1/'; }
start=$(tenths)
dd if=/dev/vdc of=/dev/null bs=4k count=40 iflag=direct 2>/dev/null
echo "limited $(($(tenths) - start)) tenths"
start=$(tenths)
dd if=/dev/vdd of=/dev/null bs=64k count=8 iflag=direct 2>/dev/null &
dd if=/dev/vde of=/dev/null bs=64k count=8 iflag=direct 2>/dev/null
wait
echo "grouped $(($(tenths) - start)) tenths"
EOS
guest_with_script "$modules" \
  --rate-limit-group id=slow,bw_size=262144,bw_refill_time=1000 \
  --disk path=readonly,image_type=raw,readonly=on \
  --disk "path=$loop,image_type=raw,direct=on" \
  --disk path=limited,image_type=raw,ops_size=10,ops_refill_time=1000 \
  --disk path=grouped1,image_type=raw,rate_limit_group=slow \
  --disk path=grouped2,image_type=raw,rate_limit_group=slow
says '^ro=' 1
# Meanwhile: who else wants the files?
vmm-reference --kernel vmlinuz --serial null --disk path=limited,image_type=raw 2>second.err
check 'a locked image is refused' grep -q 'path=limited.*lock' second.err
boots 'five disks: boots'
check 'readonly=on: the guest knows' says '^ro=1' 1 0
check 'readonly=on: the guest reads it' says "^vda=$readonly_sum" 1 0
check 'readonly=on: it cannot be written to' says '^vda: not writable' 1 0
check 'readonly=on: it is as it was' [ "$(sha256sum <readonly)" = "$readonly_sum" ]
cp readonly expected
dd if=readonly of=expected bs=512 count=5 seek=3 conv=notrunc 2>/dev/null
check 'direct=on: the guest reads what it wrote' says "^direct=$(sha256sum <expected)" 1 0
check 'direct=on: the device has what was written' cmp "$loop" expected
losetup -d "$loop"
number() { tr -d '\r' <"$log" | sed -n "s/^$1 \([0-9]*\) tenths.*/\1/p"; }
# 40 operations, of which 10 at once and 10 a second: 3 s.
check 'ops_size: 10 operations a second' [ "$(number limited)" -ge 25 ]
# 1 MiB at 256 KiB a second, of which 256 KiB at once: 3 s for both together.
check 'rate_limit_group: two disks share the bandwidth' [ "$(number grouped)" -ge 25 ]

vmm-reference --kernel vmlinuz --serial null --disk path=missing 2>second.err
check 'a missing image: exit status 1' [ $? = 1 ]
check 'a missing image: says which' grep -q 'path=missing.*No such file' second.err

# The VMM is killed: what the guest was told is written is there.
truncate -s 4M disk
cat >script <<'EOS'
dd if=/dev/urandom of=/tmp/data bs=64k count=16 2>/dev/null
dd if=/tmp/data of=/dev/vda bs=64k conv=fsync 2>/dev/null
echo "flushed=$(sha256sum </tmp/data)"
dd if=/tmp/data of=/dev/vda bs=64k seek=32 oflag=direct 2>/dev/null
echo "ready"
while :; do dd if=/tmp/data of=/dev/vda bs=64k seek=48 conv=fsync 2>/dev/null; done
EOS
guest_with_script "$modules" --disk path=disk,image_type=raw
check 'kill -9: the guest writes' says '^ready' 1 120
kill -9 "$vmm_pid"
wait "$vmm_pid" 2>/dev/null
sum=$(head -c 1048576 disk | sha256sum)
check 'kill -9: what was flushed is there' says "^flushed=$sum" 1 0
sum=$(dd if=disk bs=64k skip=32 count=16 2>/dev/null | sha256sum)
check 'kill -9: what was written directly is there' says "^flushed=$sum" 1 0

# A reset of the guest keeps its disk.
truncate -s 0 disk
truncate -s 1M disk
echo 0 | dd of=disk conv=notrunc 2>/dev/null
cat >script <<'EOS'
read -r count </dev/vda
count=$((count + 1))
echo "boot $count"
echo "$count" | dd of=/dev/vda conv=notrunc,fsync 2>/dev/null
[ "$count" -lt 2 ] && reboot -f
EOS
guest_with_script "$modules" --disk path=disk,image_type=raw
finish 400
check 'reboots with a disk: the VMM ends well' [ "$vmm_status" = 0 ]
check 'reboots with a disk: twice' says '^boot [12]' 2 0
check 'reboots with a disk: the file tells' [ "$(head -c 1 disk)" = 2 ]
