# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# shellcheck shell=sh source=lib.sh
# core
# needs: vmm-reference vmlinuz guest-virtio.cpio zero-out
# timeout: 600
. ./lib.sh

guest_files=zero-out
cat >script <<'EOS'
cd /sys/block/vda
echo "serial=$(cat serial)"
for file in size ro removable queue/logical_block_size queue/physical_block_size \
  queue/discard_max_bytes queue/write_zeroes_max_bytes queue/max_segments queue/write_cache; do
  echo "$file=$(cat $file)"
done
echo "queues=$(ls mq | wc -l)"
echo "read=$(sha256sum </dev/vda)"
dd if=/dev/vda of=/dev/vda bs=64k count=64 seek=64 conv=fsync 2>/dev/null
blkdiscard -o 1048576 -l 1048576 /dev/vda
/zero-out /dev/vda 3145728 524288 && echo zeroed
echo 'write through' >cache_type
echo "cache=$(cat cache_type)"
dd if=/dev/vda of=/dev/vda bs=512 count=3 skip=3 conv=notrunc oflag=direct 2>/dev/null
for i in 1 2 3 4 5 6 7 8 9 10; do
  device=$(basename "$(readlink -f device)")
  echo "$device" >/sys/bus/virtio/drivers/virtio_blk/unbind
  echo "$device" >/sys/bus/virtio/drivers/virtio_blk/bind
  cd /sys/block/vda
  dd if=/dev/vda bs=4k count=16 iflag=direct 2>/dev/null | sha256sum >>/tmp/sums
done
echo "rebound=$(sort -u /tmp/sums | wc -l) $(wc -l </tmp/sums)"
echo "cache again=$(cat cache_type)"
EOS

# What the script makes of the file.
dd if=/dev/urandom of=disk bs=1M count=8 2>/dev/null
expect() {
  cp disk expected
  dd if=disk of=expected bs=64k count=64 seek=64 conv=notrunc
  dd if=/dev/zero of=expected bs=1M count=1 seek=1 conv=notrunc
  dd if=/dev/zero of=expected bs=512k count=1 seek=6 conv=notrunc
  dd if=disk of=expected bs=512 count=3 skip=3 conv=notrunc
}
expect 2>/dev/null

# exercise NAME OPTIONS: all that the script does.
exercise() {
  what=$1
  shift
  cp disk copy
  guest_with_script "modules=virtio_pci,virtio_mmio,virtio_blk" "$@"
  boots "$what: boots"
  check "$what: the guest reads what the file has" says "^read=$(sha256sum <disk)" 1 0
  check "$what: the file has what the guest wrote, discarded and zeroed" cmp copy expected
  check "$what: the discarded range takes no space" [ "$(du -k copy | cut -f 1)" -lt 7200 ]
  check "$what: zeroes are written by the device" says '^zeroed' 1 0
  check "$what: the driver switches the cache off" says '^cache=write through' 1 0
  check "$what: unbound and bound 10 times" says '^rebound=1 10' 1 0
  check "$what: a new driver finds the cache on" says '^cache again=write back' 1 0
}

exercise 'disk on PCI' --disk path=copy,image_type=raw,serial=cpp-vmm-lab-disk-001
check 'the serial number' says '^serial=cpp-vmm-lab-disk-001' 1 0
check 'the size' says '^size=16384' 1 0
check 'writable' says '^ro=0' 1 0
check 'the logical block size' says '^queue/logical_block_size=512' 1 0
check 'the physical block size' says '^queue/physical_block_size=4096' 1 0
check 'discards' says '^queue/discard_max_bytes=1073741824' 1 0
check 'writes of zeroes' says '^queue/write_zeroes_max_bytes=67108864' 1 0
check 'segments' says '^queue/max_segments=126' 1 0
check 'a write-back cache' says '^queue/write_cache=write back' 1 0

exercise 'disk on MMIO, with io_uring off' --transport mmio \
  --disk path=copy,image_type=raw,_disable_io_uring=on
