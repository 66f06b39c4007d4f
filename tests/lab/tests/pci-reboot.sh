# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# shellcheck shell=sh source=lib.sh
# core x86_64
# needs: vmm-reference vmlinuz guest-virtio.cpio
# timeout: 400
. ./lib.sh

# Devices outlive the machine: the guest reboots with them, again and again.

fds() { find "/proc/$vmm_pid/fd" -type l | wc -l; }

cat >script <<'EOF'
dd if=/dev/hwrng of=/tmp/random bs=1024 count=8 2>/dev/null
seq 1 100 >/dev/hvc0
echo "rng $(wc -c </tmp/random) $(tr -d '\000' </tmp/random | wc -c)"
sleep 4 # while the host counts
reboot -f
EOF
for transport in pci mmio; do
  guest_with_script "modules=virtio_$transport,virtio-rng,virtio_console" \
    --transport $transport --rng src=/dev/urandom --console file=hvc.log
  says '^rng 8192 8[0-9][0-9][0-9]' 2 180
  before=$(fds)
  check "virtio-$transport: devices work after a reboot, and after another one" \
    says '^rng 8192 8[0-9][0-9][0-9]' 3 180
  check "virtio-$transport: a reboot leaves no descriptor behind" [ "$(fds)" = "$before" ]
  kill -TERM "$vmm_pid"
  finish 20
  check "virtio-$transport: SIGTERM ends a guest with devices, exit status 0" [ "$vmm_status" = 0 ]
done
