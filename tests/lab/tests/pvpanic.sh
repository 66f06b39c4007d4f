# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# shellcheck shell=sh source=lib.sh
# needs: vmm-reference vmlinuz guest-virtio.cpio
. ./lib.sh

# Debian's cloud kernel for aarch64 has no driver: there the register is written by hand.
cat >script <<'END'
device=$(dirname "$(grep -l 0x1b36 /sys/bus/pci/devices/*/vendor)")
echo "pvpanic at ${device##*/}"
if [ "$(uname -m)" = x86_64 ]; then
  [ -e $device/driver ] && echo "driver $(basename "$(readlink $device/driver)") takes $(cat $device/capability)"
else
  echo 1 >$device/enable
  register=$(sed -n '1s/ .*//p' $device/resource)
  echo "register takes $(devmem $register 8)"
  devmem $register 8 1
fi
sync
sleep 1
echo c >/proc/sysrq-trigger
END
guest_with_script modules=virtio_pci,pvpanic-pci --pvpanic --event-monitor path=events.json
check 'pvpanic: the guest panics, and starts again' says '^Welcome' 2 120
kill -TERM "$vmm_pid"
finish 20
check 'pvpanic: the VMM ends with 0' [ "$vmm_status" = 0 ]
if [ "$arch" = x86_64 ]; then
  check "pvpanic: Linux's driver has it" says '^driver pvpanic-pci takes \(0x\)\?3' 1 0
else
  check 'pvpanic: the register' says '^register takes 0x03' 1 0
fi
awk -F'"' '/^  "source"/ { source = $4 } /^  "event"/ { print source, $4 }' events.json | head -n 6 >seen
printf '%s\n' 'vmm starting' 'vmm started' 'vm booting' 'vm booted' 'guest panic' 'vm rebooting' >wanted
check 'pvpanic: the event, before the reset' cmp seen wanted
check 'pvpanic: what the guest has told' grep -q '"event": "panic"' events.json
check 'pvpanic: the log has it' grep -q 'the guest tells of its end: panic' vmm.err

guest_with_script modules=virtio_pci
check 'pvpanic: without the option there is no device' says '^pvpanic at \.' 1 120
kill -TERM "$vmm_pid"
finish 20
