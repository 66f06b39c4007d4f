# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# shellcheck shell=sh source=lib.sh
# needs: vmm-reference vmlinuz guest-virtio.cpio
# timeout: 400
. ./lib.sh

# fresh: the files anew, one with something in it.
fresh() {
  rm -f disk.img small.img
  truncate -s 64M disk.img
  truncate -s 2M small.img
  printf 'from the host...' | dd of=disk.img conv=notrunc 2>/dev/null
}
# part FILE: what the guest wrote.
part() { dd if="$1" bs=1M skip=4 count=8 2>/dev/null | sha256sum | cut -c 1-64; }

# there DEVICE...: waits for them, as the guest's kernel makes them in the background.
cat >there <<'EOF2'
there() {
  for device in "$@"; do
    tenths=100
    until [ -b "$device" ] || [ $((tenths -= 1)) -lt 0 ]; do sleep 0.1; done
  done
}
EOF2
# The second of the two flushes is of pages that were flushed before.
cat there - >writes <<'EOF2'
there /dev/pmem0 /dev/pmem1
echo "reads $(dd if=/dev/pmem0 bs=16 count=1 2>/dev/null)"
echo "sectors $(cat /sys/block/pmem0/size) $(cat /sys/block/pmem1/size)"
dd if=/dev/urandom of=/tmp/data bs=1M count=8 2>/dev/null
dd if=/tmp/data of=/dev/pmem0 bs=1M seek=4 conv=fsync 2>/dev/null
dd if=/dev/urandom of=/tmp/data bs=1M count=1 conv=notrunc 2>/dev/null
dd if=/tmp/data of=/dev/pmem0 bs=1M seek=4 count=1 conv=fsync 2>/dev/null
echo "synced $? $(sha256sum </tmp/data)"
EOF2

fresh
cat writes - >script <<'EOF2'
while :; do sleep 1; done
EOF2
# The first one is a disk whose own disk is the file: only what is flushed gets there soon.
modprobe loop 2>/dev/null
loop=$(losetup -f) && losetup "$loop" disk.img || loop=''
guest_with_script modules=virtio_pci,virtio_pmem,nd_pmem --memory size=256M \
  --pmem "file=${loop:-disk.img}" file=small.img
says '^synced'
check 'pmem: the guest reads what is in the file' says '^reads from the host\.\.\.' 1 0
check 'pmem: both have the size of their files' says '^sectors 131072 4096' 1 0
check 'pmem: the guest writes and flushes' says '^synced 0' 1 0
flushed='pmem: what was flushed is on the disk below, while the VMM runs'
if [ -n "$loop" ]; then
  check "$flushed" says "^synced 0 $(part disk.img)" 1 0
else
  skip "$flushed" 'no loop device'
fi
kill -9 "$vmm_pid"
wait "$vmm_pid" 2>/dev/null
if [ -n "$loop" ]; then losetup -d "$loop"; fi
check 'pmem: what was flushed is in the file when the VMM is killed' \
  says "^synced 0 $(part disk.img)" 1 0

fresh
before=$(sha256sum <disk.img)
cat writes - >script <<'EOF2'
echo 3 >/proc/sys/vm/drop_caches
echo "again $(dd if=/dev/pmem0 bs=1M skip=4 count=8 2>/dev/null | sha256sum)"
EOF2
guest_with_script modules=virtio_mmio,virtio_pmem,nd_pmem --transport mmio --memory size=256M \
  --pmem file=disk.img,discard_writes=on file=small.img
boots 'pmem, discard_writes: boots'
sum=$(tr -d '\r' <"$log" | sed -n 's/^synced 0 //p')
check 'pmem, discard_writes: the guest sees its own writes' says "^again $sum" 1 0
check 'pmem, discard_writes: the file is as it was' [ "$(sha256sum <disk.img)" = "$before" ]

cat there - >script <<'EOF2'
there /dev/pmem0
mkfs.ext2 /dev/pmem0 >/dev/null 2>&1 || mke2fs /dev/pmem0 >/dev/null
mkdir /disk
mount -t ext4 /dev/pmem0 /disk
seq 1 10000 >/disk/numbers
umount /disk
EOF2
guest_with_script modules=virtio_pci,virtio_pmem,nd_pmem,ext4 --memory size=256M \
  --pmem file=disk.img
boots 'pmem: a guest makes a file system'
cat there - >script <<'EOF2'
there /dev/pmem0
mkdir /disk
mount -t ext4 -o ro /dev/pmem0 /disk
echo "numbers $(sha256sum </disk/numbers)"
EOF2
guest_with_script modules=virtio_pci,virtio_pmem,nd_pmem,ext4 --memory size=256M \
  --pmem file=disk.img,discard_writes=on
boots 'pmem: another guest mounts it'
check 'pmem: the file is there' says "^numbers $(seq 1 10000 | sha256sum | cut -c 1-64)" 1 0

truncate -s 3M odd.img
start --kernel vmlinuz --pmem file=odd.img
finish 10
check 'pmem: a size that is not a multiple of 2 MiB is refused' \
  sh -c "[ '$vmm_status' = 2 ] && grep -q '2 MiB' vmm.err"
start --kernel vmlinuz --pmem file=small.img,size=4M
finish 10
check 'pmem: more than the file has is refused' \
  sh -c "[ '$vmm_status' = 2 ] && grep -q 'more than the file has' vmm.err"
