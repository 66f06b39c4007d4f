# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# shellcheck shell=sh source=lib.sh
# core x86_64
# needs: vmm-reference vmlinuz guest-virtio.cpio
# timeout: 400
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

cat >script <<'EOF'
seq 1 2000 >/dev/hvc0
echo done >/dev/hvc0
EOF
guest_with_script 'modules=virtio_mmio,virtio_console' --transport mmio --console file=hvc.log
boots 'virtio-console: a guest with a console in a file boots'
seq 1 2000 >expected
echo done >>expected
check 'virtio-console: what the guest prints is complete and in order' \
  sh -c 'tr -d "\r" <hvc.log | cmp - expected'

cat >script <<'EOF'
stty -F /dev/hvc0 raw -echo
echo ready >/dev/hvc0
head -n 3000 /dev/hvc0 | sha256sum
EOF
guest_with_script 'modules=virtio_mmio,virtio_console' --transport mmio --console pty
tenths=600
until pty=$(sed -n 's|--console: \(/dev/pts/[0-9]*\).*|\1|p' vmm.err) && [ -c "$pty" ]; do
  tenths=$((tenths - 1))
  [ "$tenths" -gt 0 ] || break
  sleep 0.1
done
stty -F "$pty" raw -echo
head -n 1 "$pty" >greeting
check 'virtio-console: the guest greets on the pty' grep -q ready greeting
seq 1 3000 >"$pty"
boots 'virtio-console: a guest with a console on a pty boots'
check 'virtio-console: what the user types arrives, complete and in order' \
  says "^$(seq 1 3000 | sha256sum | cut -c 1-64)" 1 0
