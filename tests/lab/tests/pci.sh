# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# shellcheck shell=sh source=lib.sh
# needs: vmm-reference vmlinuz guest-virtio.cpio
. ./lib.sh

cat >script <<'EOF'
dd if=/dev/hwrng of=/tmp/random bs=1024 count=16 2>/dev/null
echo "rng $(wc -c </tmp/random) $(tr -d '\000' </tmp/random | wc -c)"
grep -E 'virtio|MSI' /proc/interrupts
for device in /sys/bus/pci/devices/*; do
  echo "pci ${device##*/} $(cat "$device/vendor" "$device/device" "$device/class" | tr '\n' ' ')"
done
echo 'guest: dmesg begins'
dmesg
echo 'guest: dmesg ends'
EOF
guest_with_script 'modules=virtio_pci,virtio-rng' --rng src=/dev/urandom
boots 'virtio-pci: a guest with an entropy device boots'
check 'virtio-rng: the guest reads random bytes' says '^rng 16384 16[0-9][0-9][0-9]' 1 0
check 'PCI: the host bridge is in slot 0' says '^pci 0000:00:00.0 0x8086 0x0d57 0x060000' 1 0
check 'PCI: the first device is in slot 1' says '^pci 0000:00:01.0 0x1af4 0x1044' 1 0
clean 'PCI: the guest has no complaints'

guest_with_script 'modules=virtio_pci,virtio-rng' --platform num_pci_segments=3 \
  --pci-segment pci_segment=2,mmio32_aperture_weight=3 \
  --rng src=/dev/urandom,pci_segment=2,pci_device_id=5
boots 'PCI: a guest with three segments boots'
check 'PCI: each segment has its host bridge' says '^pci 000[012]:00:00.0 0x8086 0x0d57' 3 0
check 'PCI: a device is where it was put' says '^pci 0002:00:05.0 0x1af4 0x1044' 1 0
check 'PCI: it works there' says '^rng 16384 16[0-9][0-9][0-9]' 1 0
clean 'PCI: with three segments the guest has no complaints'
