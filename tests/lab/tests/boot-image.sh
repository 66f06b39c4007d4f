# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# shellcheck shell=sh source=lib.sh
# arch: aarch64
# also aarch64: max cortex-a72 gicv2
# core
# needs: vmm-reference vmlinuz guest.cpio
. ./lib.sh

guest 'vmm.test=dmesg marker=as-given' --memory size=256M
boots 'the stock kernel boots as Image, powers off by PSCI, exit status 0'
check 'one CPU is online' [ "$(value cpus)" = 1 ]
clean 'no complaints about GIC, timer or device tree'
check 'the command line is as given' grep -q 'Kernel command line: .*marker=as-given' dmesg.log
check 'PSCI is found' grep -q 'psci: PSCIv1' dmesg.log
if grep -q GICv3 /proc/interrupts; then
  check 'the interrupt translation service is found' grep -q 'ITS \[mem' dmesg.log
fi

# The tree depends on the GIC and not on the CPU: in the lab, one CPU model of each is enough.
if [ "$LAB" = l1 ] && grep -q GICv3 /proc/interrupts && ! grep -q 'CPU part.*0xd0c' /proc/cpuinfo; then
  exit
fi

guest 'vmm.test=tree' --memory size=256M --cpus boot=2
boots 'a guest that shows its device tree'
tr -d '\r' <"$log" | grep '^tree: ' >tree.log

# has PATH HEX: the property has that value.
has() { check "/proc/device-tree/$1 is $2" grep -qx "tree: ./$1 $2" tree.log; }

# text WORD...: as a property of strings.
text() { printf '%s\0' "$@" | hexdump -v -e '1/1 "%02x"'; }

has compatible "$(text linux,dummy-virt)"
has memory@40000000/reg 00000000400000000000000010000000
has memory@40000000/device_type "$(text memory)"
has psci/method "$(text hvc)"
has cpus/cpu@0/enable-method "$(text psci)"
has cpus/cpu@1/reg "$(grep -qx 'tree: ./cpus/#address-cells 00000002' tree.log && echo 00000000)00000001"
has chosen/stdout-path "$(text /pl011@9000000)"
check 'the initrd is told' grep -q '^tree: ./chosen/linux,initrd-start' tree.log
if ! grep -q GICv3 /proc/interrupts; then
  has intc@8ff0000/compatible "$(text arm,cortex-a15-gic)"
fi
