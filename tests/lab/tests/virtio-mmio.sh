# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# shellcheck shell=sh source=lib.sh
# needs: vmm-reference vmlinuz guest-virtio.cpio
. ./lib.sh

cat >script <<'EOF'
cat /sys/class/misc/hw_random/rng_current
dd if=/dev/hwrng of=/tmp/random bs=1024 count=16 2>/dev/null
echo "rng $(wc -c </tmp/random) $(tr -d '\000' </tmp/random | wc -c)"
grep virtio /proc/interrupts
ls /sys/bus/virtio/devices
EOF
guest_with_script 'modules=virtio_mmio,virtio-rng' --transport mmio --rng src=/dev/urandom
boots 'virtio-mmio: a guest with an entropy device boots'
check 'virtio-rng: the guest reads random bytes' says '^rng 16384 16[0-9][0-9][0-9]'
