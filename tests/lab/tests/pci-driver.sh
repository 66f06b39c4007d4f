# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# shellcheck shell=sh source=lib.sh
# needs: vmm-reference vmlinuz guest-virtio.cpio
# timeout: 600
. ./lib.sh

# How the Linux driver uses the transports: each script ends with random bytes from the device.

fds() { find "/proc/$vmm_pid/fd" -type l | wc -l; }

# What the scripts below have in common.
cat >words <<'EOF'
read_rng() { # WORD
  dd if=/dev/hwrng of=/tmp/random bs=1024 count=8 2>/dev/null
  echo "$1 $(wc -c </tmp/random) $(tr -d '\000' </tmp/random | wc -c)"
}
rng_node() {
  for node in /sys/bus/virtio/devices/*; do
    if [ "$(cat "$node/device")" = 0x0004 ]; then readlink -f "$node"; fi
  done
}
rng_parent() { basename "$(dirname "$(rng_node)")"; }
features() { echo "features $(cut -c 29-36 "$(rng_node)/features")"; } # bits 28 to 35
cycle() { # DRIVER DEVICE: 50 times without a driver and with it again
  echo 'cycles begin'
  sleep 1
  i=0
  while [ $i -lt 50 ]; do
    echo "$2" >"/sys/bus/$1/unbind" && echo "$2" >"/sys/bus/$1/bind" || echo "cycle $i fails"
    i=$((i + 1))
  done
  echo "cycles end $i"
  sleep 1
}
EOF
with_words() { cat words - >script; } # the script on standard input, behind the words

# cycles NAME: counts the VMM's descriptors around the guest's cycles.
cycles() {
  says '^cycles begin'
  before=$(fds)
  says '^cycles end 50' 1 300
  after=$(fds)
  check "$1: 50 times without a driver and with it leave no descriptor behind" \
    [ "$before" = "$after" ]
}
fills='8192 8[0-9][0-9][0-9]'

with_words <<'EOF'
read_rng first
features
grep virtio /proc/interrupts
rng=$(rng_parent)
cycle pci/drivers/virtio-pci "$rng"
read_rng bound
echo "bar $(head -n 1 "/sys/bus/pci/devices/$rng/resource")"
echo 1 >"/sys/bus/pci/devices/$rng/remove"
if [ -e "/sys/bus/pci/devices/$rng" ]; then echo 'still there'; fi
echo 1 >/sys/bus/pci/rescan
sleep 1
echo "bar $(head -n 1 "/sys/bus/pci/devices/$rng/resource")"
read_rng moved
for device in /sys/bus/pci/drivers/virtio-pci/0000:*; do echo 1 >"$device/remove"; done
echo 1 >/sys/bus/pci/rescan
sleep 1
read_rng both
dmesg | grep 'BAR 0.*assigned'
EOF
guest_with_script 'modules=virtio_pci,virtio-rng,virtio_console' --rng src=/dev/urandom \
  --console file=hvc.log
cycles virtio-pci
boots 'virtio-pci: a guest binds, moves and removes devices'
check 'virtio-rng: the guest reads random bytes' says "^first $fills" 1 0
check 'virtio-rng: packed ring and event index are negotiated' says '^features 1100101' 1 0
check 'virtio-pci: each queue has a vector of its own' \
  says 'MSI.*virtio[0-9]*-\(input\|output\)' 2 0
check 'virtio-pci: the configuration has one as well' says 'MSI.*virtio[0-9]*-config' 2 0
check 'virtio-pci: no cycle fails' [ "$(grep -c '^cycle [0-9]* fails' "$log")" = 0 ]
check 'virtio-pci: a device that was bound again works' says "^bound $fills" 1 0
check 'virtio-pci: the guest assigns BARs' says 'BAR 0.*assigned' 1 0
if [ "$arch" = x86_64 ]; then # elsewhere it has moved them when it booted, and finds the same place
  check 'virtio-pci: the guest moves a BAR' [ "$(grep '^bar 0x' "$log" | sort -u | wc -l)" = 2 ]
fi
check 'virtio-pci: a device whose BAR was moved works' says "^moved $fills" 1 0
check 'virtio-pci: devices that were all found anew work' says "^both $fills" 1 0
check 'virtio-pci: a removed device is gone' [ "$(grep -c '^still there' "$log")" = 0 ]

with_words <<'EOF'
read_rng first
features
grep virtio /proc/interrupts
rng=$(rng_parent)
for i in 1 2 3; do
  echo "$rng" >/sys/bus/pci/drivers/virtio-pci/unbind
  echo "$rng" >/sys/bus/pci/drivers/virtio-pci/bind
done
read_rng bound
EOF
guest_with_script 'modules=virtio_pci,virtio-rng,virtio_console pci=nomsi' \
  --rng src=/dev/urandom,packed=off,event_idx=off --console file=hvc.log
boots 'virtio-pci: a guest without MSI boots'
check 'virtio-pci: a device works by its interrupt pin' says "^first $fills" 1 0
check 'virtio-pci: it has one line for all queues' \
  says '\(IO-APIC\|GIC\).*\(fasteoi\|Level\).*virtio' 1 0
check 'virtio-pci: and no message' [ "$(grep -c 'MSI.*virtio' "$log")" = 0 ]
check 'virtio-rng: packed=off, event_idx=off: negotiated' says '^features 1000100' 1 0
check 'virtio-pci: by its pin, bound again, it works' says "^bound $fills" 1 0

matrix() { # PACKED EVENT_IDX FEATURES
  with_words <<'EOF'
read_rng first
features
EOF
  guest_with_script 'modules=virtio_pci,virtio-rng' --rng "src=/dev/urandom,packed=$1,event_idx=$2"
  boots "virtio-rng: boots with packed=$1 and event_idx=$2"
  check "virtio-rng: packed=$1, event_idx=$2: works" says "^first $fills" 1 0
  check "virtio-rng: packed=$1, event_idx=$2: negotiated" says "^features $3" 1 0
}
matrix on off 1000101
matrix off on 1100100

with_words <<'EOF'
read_rng first
cycle platform/drivers/virtio-mmio "$(rng_parent)"
read_rng bound
EOF
guest_with_script 'modules=virtio_mmio,virtio-rng' --transport mmio --rng src=/dev/urandom
cycles virtio-mmio
boots 'virtio-mmio: a guest binds a device again and again'
check 'virtio-mmio: no cycle fails' [ "$(grep -c '^cycle [0-9]* fails' "$log")" = 0 ]
check 'virtio-mmio: a device that was bound again works' says "^bound $fills" 1 0
