# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# shellcheck shell=sh source=lib.sh
# needs: vmm-reference vmlinuz guest-virtio.cpio given-boards.dtbo
# arch: aarch64
# l1 kernel: boards_kernel
# on request
# timeout: 400
. ./lib.sh

# The clock (PL031) and the GPIO controller (PL061) of L1's board are the guest's, whose stock drivers find
# them in the device tree. L1's kernel has no drivers for them, but VFIO's; there is no IOMMU.

clock=9010000.pl031
gpio=9030000.pl061
bus=/sys/bus/amba/devices
devices="--device path=$bus/$clock,x_unsafe_noiommu=on path=$bus/$gpio,x_unsafe_noiommu=on"
if [ "$LAB" = host ] || [ ! -e $bus/$clock ]; then
  skip 'vfio-platform: devices of the board for a guest' 'there are none to give away'
  exit
fi

to_vfio() {
  echo vfio-amba >$bus/"$1"/driver_override
  echo "$1" >/sys/bus/amba/drivers_probe
}
refused() {
  finish 20
  check "vfio-platform: $1 is refused, exit status 1" [ "$vmm_status" = 1 ]
  check 'vfio-platform: and the message says why' grep -q -- "--device: path=$bus/$clock: .*$2" vmm.err
}

to_vfio $clock
start --kernel vmlinuz --device path=$bus/$clock,x_unsafe_noiommu=on
refused 'a device without a group' 'no IOMMU group'
echo Y >/sys/module/vfio/parameters/enable_unsafe_noiommu_mode
for name in $clock $gpio; do
  if [ -e $bus/"$name"/driver ]; then echo "$name" >$bus/"$name"/driver/unbind; fi
  to_vfio "$name"
  check "vfio-platform: $name is there to be given" \
    [ "$(basename "$(readlink $bus/"$name"/driver)")" = vfio-amba ]
done
start --kernel vmlinuz --device path=$bus/$clock
refused 'a device without an IOMMU' "no IOMMU keeps the device from the host's memory"
start --kernel vmlinuz --device path=$bus/$clock,x_unsafe_noiommu=on
refused 'a device whose clock nobody gives' 'clocks.*--dtb-overlay'

cat >words <<'EOF'
rtc=$(basename /sys/bus/amba/devices/a0*.pl031/rtc/rtc*)
chip=$(basename /sys/bus/amba/devices/a0*.pl061/gpio/gpiochip*)
cells() { hexdump -v -e '1/1 "%02x"' "/proc/device-tree/$1"; }
EOF
cat words - >script <<'EOF'
echo "nodes $(cells pl031@a000000/reg) $(cells pl061@a010000/reg) $(cells pl031@a000000/interrupts)"
echo "compatible $(tr '\0' ' ' </proc/device-tree/pl031@a000000/compatible)"
echo "drivers $(basename "$(readlink /sys/bus/amba/devices/a000000.pl031/driver)") $(basename "$(readlink /sys/bus/amba/devices/a010000.pl061/driver)")"
count() { sed -n 's/^ *[0-9]*: *\([0-9]*\) .*pl031.*/\1/p' /proc/interrupts | sort -n | tail -n 1; }
grep pl031 /proc/interrupts
before=$(count)
for alarm in 1 2 3; do
  echo +2 >/sys/class/rtc/$rtc/wakealarm
  sleep 3
done
echo "alarms $(($(count) - before))"
grep pl031 /proc/interrupts
date -s '2035-05-05 05:05:05' >/dev/null
hwclock -w -u -f /dev/$rtc
echo "clock $(cat /sys/class/rtc/$rtc/date)"
first=$(cat /sys/class/gpio/$chip/base)
echo "lines $(cat /sys/class/gpio/$chip/ngpio)"
echo $((first + 5)) >/sys/class/gpio/export
for level in low high; do
  echo $level >/sys/class/gpio/gpio$((first + 5))/direction
  echo "line $level $(cat /sys/class/gpio/gpio$((first + 5))/value)"
done
EOF
# shellcheck disable=SC2086  # a list of words
guest_with_script '' $devices --dtb-overlay given-boards.dtbo
boots 'vfio-platform: a guest with devices of the board boots'
check 'vfio-platform: their nodes have places and interrupts' says \
  '^nodes 000000000a0000000000000000001000 000000000a0100000000000000001000 000000000000000c00000004' 1 0
check 'vfio-platform: and the name of what they are' says '^compatible arm,pl031 arm,primecell' 1 0
check 'vfio-platform: the guest has drivers for them' says '^drivers rtc-pl031 pl061_gpio' 1 0
check 'vfio-platform: interrupts come, and come again' says '^alarms [3-9]' 1 0
check 'vfio-platform: the clock can be set' says '^clock 2035-05-05' 1 0
check 'vfio-platform: the controller has its lines' says '^lines 8' 1 0
check 'vfio-platform: a line can be low' says '^line low 0' 1 0
check 'vfio-platform: a line can be high' says '^line high 1' 1 0

# What the guest did to them is what the next one finds.
cat words - >script <<'EOF'
echo "clock $(cat /sys/class/rtc/$rtc/date)"
EOF
# shellcheck disable=SC2086  # a list of words
guest_with_script '' --transport mmio ${devices} --dtb-overlay given-boards.dtbo
boots 'vfio-platform: the next guest boots, with --transport mmio'
check 'vfio-platform: its clock is as the one before has set it' says '^clock 2035-05-05' 1 0
