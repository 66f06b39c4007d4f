# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# shellcheck shell=sh source=lib.sh
# needs: vmm-reference vmlinuz guest-virtio.cpio api-call
# timeout: 400
. ./lib.sh

# Says how much memory there is whenever that changes.
cat >script <<'END'
echo online_movable >/sys/devices/system/memory/auto_online_blocks
modprobe virtio_mem || echo 'no driver'
last=''
while :; do
  now=$(sed -n 's/^MemTotal: *\([0-9]*\) kB/\1/p' /proc/meminfo)
  [ "$now" = "$last" ] || echo "total $((now / 1024)) MiB"
  last=$now
  sleep 0.2
done
END
api() { api-call api.sock "$@" >answer 2>&1; }
# ram MIB STATUS: asks for that much memory.
ram() {
  echo "{\"desired_ram\": $(($1 << 20))}" >ram.json
  api PUT vm.resize ram.json
  [ "$(head -n 1 answer)" = "$2" ]
}
# actual MIB: the VMM's view gets there.
actual() {
  tenths=300
  until api GET vm.info && grep -q "\"memory_actual_size\":$(($1 << 20))[,}]" answer; do
    [ $tenths -gt 0 ] || return
    sleep 0.1
    tenths=$((tenths - 1))
  done
}
total() { tr -d '\r' <"$log" | sed -n 's/^total \([0-9]*\) MiB/\1/p' | tail -n 1; }
# grown FROM MIB: the guest has about so much more than it had.
grown() {
  tenths=200
  until [ $(($(total) - $1)) -ge $(($2 - 8)) ] && [ $(($(total) - $1)) -le $(($2 + 8)) ]; do
    [ $tenths -gt 0 ] || return
    sleep 0.1
    tenths=$((tenths - 1))
  done
}

guest_with_script modules=virtio_pci --api-socket api.sock \
  --memory size=256M,hotplug_method=virtio-mem,hotplug_size=512M
check 'memory hot-plug: the guest starts with what it has' says '^total' 1 120
before=$(total)
check 'memory hot-plug: 256 MiB more' ram 512 204
check 'memory hot-plug: the guest has them' grown "$before" 256
check 'memory hot-plug: the VMM knows' actual 512
check 'memory hot-plug: 512 MiB more' ram 768 204
check 'memory hot-plug: the guest has those' grown "$before" 512
check 'memory hot-plug: more than the region is refused' ram 770 500
check 'memory hot-plug: less than there was from the start is refused' ram 128 500
check 'memory hot-plug: half a block is refused' ram 513 500
check 'memory hot-plug: back to 128 MiB' ram 384 204
check 'memory hot-plug: the guest gives them back' grown "$before" 128
check 'memory hot-plug: the VMM has them back' actual 384
check 'memory hot-plug: reboot' sh -c 'api-call api.sock PUT vm.reboot >answer; [ "$(head -n 1 answer)" = 204 ]'
check 'memory hot-plug: the guest is there again' says '^Welcome' 2 120
check 'memory hot-plug: with what was asked for' actual 384
check 'memory hot-plug: which it sees' grown "$before" 128
kill -TERM "$vmm_pid"
finish 20
check 'memory hot-plug: the VMM ends with 0' [ "$vmm_status" = 0 ]

guest_with_script modules=virtio_pci --api-socket api2.sock \
  --memory size=256M,shared=on,hotplug_method=virtio-mem,hotplug_size=256M,hotplugged_size=128M
check 'memory hot-plug: shared, with 128 MiB from the start' says '^total' 1 120
check 'memory hot-plug: shared: the guest has them' grown "$before" 128
kill -TERM "$vmm_pid"
finish 20
