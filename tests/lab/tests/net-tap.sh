# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# shellcheck shell=sh source=lib.sh
# core x86_64
# needs: vmm-reference vmlinuz guest-virtio.cpio
# timeout: 600
. ./lib.sh
# shellcheck source=lib-net.sh
. ./lib-net.sh

cat >script <<'EOF'
echo "features $(cat /sys/class/net/eth0/device/features)"
ip link set eth0 up
ip addr add 192.0.2.2/24 dev eth0
ping -A -c 3 -W 5 192.0.2.1 | grep received
ping -A -c 2 -W 5 -s 9000 192.0.2.1 | grep received
wget -q -O /tmp/big http://192.0.2.1/big
echo "got $(sha256sum </tmp/big)"
nc 192.0.2.1 99 </tmp/big
sleep 1 # what is on its way
EOF

# rings TRANSPORT PACKED EVENT_IDX
rings() {
  what="over $1, packed=$2, event_idx=$3"
  transfer "$what" --transport "$1" \
    --net "tap=vmm0,ip=192.0.2.1,mask=255.255.255.0,packed=$2,event_idx=$3"
  bit() { [ "$1" = on ] && echo 1 || echo 0; }
  check "$what: as asked for" [ "$(features 34 29)" = "$(bit "$2")$(bit "$3")" ]
}

rings mmio on on
rings mmio off off
rings pci on on
rings pci on off
rings pci off on
rings pci off off
