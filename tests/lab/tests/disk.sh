# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# shellcheck shell=sh source=lib.sh
# needs: vmm-reference vmlinuz guest-virtio.cpio
# timeout: 600
. ./lib.sh

# Disks of known content: the guest copies half of one over its other half.
pattern() { dd if=/dev/urandom of="$1" bs=1M count="$2" 2>/dev/null; }

pattern disk 8
head -c 4194304 disk >first-half
cat >script <<'EOS'
echo "read $(sha256sum </dev/vda)"
dd if=/dev/vda of=/dev/vda bs=64k count=64 seek=64 conv=fsync 2>/dev/null
echo "size $(blockdev --getsize64 /dev/vda)"
EOS

# copies NAME OPTIONS: reads everything, writes a half.
copies() {
  what=$1
  shift
  cp disk copy
  sum=$(sha256sum <copy)
  guest_with_script "modules=virtio_pci,virtio_mmio,virtio_blk" "$@"
  boots "$what: boots"
  check "$what: the guest reads what the file has" says "^read $sum" 1 0
  check "$what: the disk is as long as the file" says '^size 8388608' 1 0
  cat first-half first-half >expected
  check "$what: the file has what the guest wrote" cmp copy expected
}

copies 'disk on PCI' --disk path=copy,image_type=raw
copies 'disk on MMIO' --transport mmio --disk path=copy,image_type=raw
