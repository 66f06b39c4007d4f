# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# shellcheck shell=sh source=lib.sh
# needs: vmm-reference vmlinuz guest-virtio.cpio
# l1: --smp 2
# timeout: 600
. ./lib.sh
# shellcheck source=lib-net.sh
. ./lib-net.sh

tap=tap=vmm0,ip=192.0.2.1,mask=255.255.255.0
if [ -e /dev/vhost-net ]; then
  skip 'vhost-net: without the module it is refused by name' 'the module is loaded'
else
  vmm-reference --kernel vmlinuz --net $tap,vhost=on >refused 2>&1
  check 'vhost-net: without the module it is refused by name' \
    grep -q 'net: vhost=on: /dev/vhost-net: open the vhost-net device: No such file' refused
fi
modprobe vhost_net

# The driver goes and comes back before the traffic: the kernel's rings stop, and start again.
cat >script <<'EOF'
driver=/sys/bus/virtio/drivers/virtio_net
device=$(basename "$(readlink /sys/class/net/eth0/device)")
for i in 1 2 3; do
  ip link set eth0 up
  echo "$device" >$driver/unbind
  echo "$device" >$driver/bind
done
echo "queues $(ls /sys/class/net/eth0/queues | tr '\n' ' ')"
ip link set eth0 up
ip addr add 192.0.2.2/24 dev eth0
ping -c 3 -W 5 192.0.2.1 | grep received
ping -c 2 -W 5 -s 9000 192.0.2.1 | grep received
wget -q -O /tmp/big http://192.0.2.1/big
echo "got $(sha256sum </tmp/big)"
nc 192.0.2.1 99 </tmp/big
echo "features $(cat /sys/class/net/eth0/device/features)"
sleep 2 # what is on its way
EOF

# Bytes that the VMM's system calls have moved; packets of a tap are among them.
moved() { awk '/^[rw]char/ { sum += $2 } END { print sum }' "/proc/$vmm_pid/io"; }
measure() {
  says '^Welcome'
  before=$(moved)
  says '^features' 1 200
  during=$(($(moved) - before))
}
while_running=measure

vhost_net() { # NAME OPTIONS...
  transfer "$@"
  check "$1: the VMM has moved no packet" [ "$during" -lt 1000000 ]
}

vhost_net 'vhost-net over pci' --net $tap,vhost=on
check 'vhost-net: no packed rings where the kernel has none' \
  [ "$(tr -d '\r' <"$log" | sed -n 's/^features //p' | cut -c 35)" = 0 ]
vhost_net 'vhost-net over pci, event_idx=off' --net $tap,vhost=on,event_idx=off
vhost_net 'vhost-net over mmio' --transport mmio --net $tap,vhost=on
vhost_net 'vhost-net, 2 pairs' --cpus boot=2 --net $tap,vhost=on,num_queues=4
check 'vhost-net, 2 pairs: the guest uses them' says '^queues rx-0 rx-1 tx-0 tx-1' 1 0
