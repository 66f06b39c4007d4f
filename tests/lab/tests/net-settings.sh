# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# shellcheck shell=sh source=lib.sh
# needs: vmm-reference with-tap-fds vmlinuz guest-virtio.cpio
# l1: --smp 2
# timeout: 600
. ./lib.sh
# shellcheck source=lib-net.sh
. ./lib-net.sh

cat >script <<'EOF'
eth=/sys/class/net/eth0
echo "mac $(cat $eth/address)"
echo "mtu $(cat $eth/mtu)"
echo "queues $(ls $eth/queues | tr '\n' ' ')"
echo "features $(cat $eth/device/features)"
echo "interrupts $(grep -c 'virtio.*-\(in\|out\)put' /proc/interrupts)"
driver=/sys/bus/virtio/drivers/virtio_net
device=$(basename "$(readlink $eth/device)")
for i in 1 2 3 4 5 6 7 8 9 10; do
  echo "$device" >$driver/unbind
  echo "$device" >$driver/bind
done
ip link set eth0 up
ip addr add 192.0.2.2/24 dev eth0
ping -A -c 3 -W 5 192.0.2.1 | grep received
ping -A -c 2 -W 5 -s 9000 192.0.2.1 | grep received
wget -q -O /tmp/big http://192.0.2.1/big
echo "got $(sha256sum </tmp/big)"
nc 192.0.2.1 99 </tmp/big
ip link set eth0 mtu 1280
ip link set eth0 address 02:11:22:33:44:55
ping -c 1 -W 5 192.0.2.1 | grep received
sleep 1 # what is on its way
EOF

tap=tap=vmm0,ip=192.0.2.1,mask=255.255.255.0
transfer '4 pairs' --cpus boot=4 \
  --net $tap,num_queues=8,mtu=1400,mac=02:00:00:00:00:07,host_mac=02:00:00:00:00:08
check 'mac: the guest has it' says '^mac 02:00:00:00:00:07' 1 0
check 'mtu: the guest has it' says '^mtu 1400' 1 0
check 'num_queues: the guest uses 4 pairs' \
  says '^queues rx-0 rx-1 rx-2 rx-3 tx-0 tx-1 tx-2 tx-3' 1 0
check 'num_queues: each queue has its interrupt' says '^interrupts 8' 1 0
check 'after ten times without driver, and with another address' \
  says '^1 packets transmitted, 1 packets received' 1 0
check 'offloads: all' [ "$(features 0 1 7 8 10 11 12 14)" = 11111111 ]

transfer 'no offloads' --net $tap,offload_tso=off,offload_ufo=off,offload_csum=off
check 'offloads: none' [ "$(features 0 1 7 8 10 11 12 14)" = 00000000 ]

transfer 'checksums' --net $tap,offload_tso=off,offload_ufo=off
check 'offloads: checksums' [ "$(features 0 1 7 8 10 11 12 14)" = 11000000 ]

# The queues as descriptors that somebody else opened.
vmm='with-tap-fds vmm1 2 vmm-reference'
(
  until ip link show vmm1 >/dev/null 2>&1; do sleep 0.1; done
  ip addr add 192.0.2.1/24 dev vmm1
  ip link set vmm1 up
) &
transfer 'inherited descriptors' --cpus boot=2 --net 'fd=[3,4],num_queues=4'
check 'fd: the guest uses both pairs' says '^queues rx-0 rx-1 tx-0 tx-1' 1 0

# A macvtap on one end of a cable; L1 is the other end.
ip link add cable0 type veth
ip link add link cable0 macvtap0 type macvtap
ip link set cable0 up
ip link set macvtap0 up
ip link set veth0 up
ip addr add 192.0.2.1/24 dev veth0
number=$(ip link show macvtap0 | sed -n 's/^\([0-9]*\):.*/\1/p')
mac=$(ip link show macvtap0 | sed -n 's|.*link/ether \([0-9a-f:]*\).*|\1|p')
cat >with-macvtap <<'EOF'
#!/bin/sh
exec 3<>"/dev/tap$1"
shift
exec vmm-reference "$@"
EOF
chmod +x with-macvtap
vmm="with-macvtap $number"
transfer 'macvtap' --net "fd=3,mac=$mac"
check 'macvtap: the guest has its address' says "^mac $mac" 1 0
