# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# shellcheck shell=sh source=lib.sh
# needs: vmm-reference vmlinuz guest-virtio.cpio
# timeout: 900
. ./lib.sh

# Four queues, each kind of ring: four processes write and read at once, each on a CPU of its own.
cat >script <<'EOS'
echo "queues=$(ls /sys/block/vda/mq | wc -l)"
echo "features=$(cat /sys/block/vda/device/features)"
for cpu in 0 1 2 3; do
  (
    dd if=/dev/urandom of=/tmp/$cpu bs=1M count=1 2>/dev/null
    taskset -c $cpu dd if=/tmp/$cpu of=/dev/vda bs=16k seek=$((cpu * 64)) oflag=direct 2>/dev/null
    taskset -c $cpu dd if=/dev/vda of=/tmp/$cpu.back bs=4k skip=$((cpu * 256)) count=256 \
      iflag=direct 2>/dev/null
    cmp /tmp/$cpu /tmp/$cpu.back && echo "same $cpu"
  ) &
done
wait
cat /tmp/0 /tmp/1 /tmp/2 /tmp/3 | sha256sum | sed 's/^/wrote=/'
EOS

# rings PACKED EVENT_IDX [OPTION...]
rings() {
  what="packed=$1, event_idx=$2${3:+, MMIO}"
  truncate -s 0 disk
  truncate -s 4M disk
  guest_with_script "modules=virtio_pci,virtio_mmio,virtio_blk" --cpus boot=4 \
    --disk "path=disk,image_type=raw,num_queues=4,queue_size=64,packed=$1,event_idx=$2" \
    ${3:+--transport "$3"}
  boots "$what: boots"
  check "$what: four queues" says '^queues=4' 1 0
  # Bits 34 and 29 of the string of bits.
  bit() { [ "$1" = on ] && echo 1 || echo 0; }
  check "$what: as asked for" says "^features=.\{29\}$(bit "$2").\{4\}$(bit "$1")" 1 0
  check "$what: all reads give what was written" says '^same' 4 0
  check "$what: the file has it" says "^wrote=$(sha256sum <disk)" 1 0
}

rings on on
rings on off
rings off on
rings off off
rings on on mmio
