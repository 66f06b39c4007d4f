# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# shellcheck shell=sh source=lib.sh
# needs: vmm-reference vmlinuz guest-virtio.cpio
. ./lib.sh

modprobe tun
mkdir -p www
dd if=/dev/urandom of=www/big bs=1M count=8 2>/dev/null
sum=$(sha256sum <www/big)

cat >script <<EOF
ip link set eth0 up
ip addr add 192.0.2.2/24 dev eth0
cat /sys/class/net/eth0/address /sys/class/net/eth0/mtu
ping -c 3 -W 5 192.0.2.1 | grep received
ping -c 2 -W 5 -s 9000 192.0.2.1 | grep received
wget -q -O /tmp/big http://192.0.2.1/big
echo "got \$(sha256sum </tmp/big)"
nc 192.0.2.1 99 </tmp/big
sleep 1 # what is on its way
EOF

# network NAME OPTIONS: the guest fetches a file and sends it back over a tap.
network() {
  what=$1
  shift
  httpd -f -p 80 -h www &
  server=$!
  sleep 100 | nc -l -p 99 >back & # it ends with its input
  sink=$!
  guest_with_script "modules=${driver:-virtio_mmio},virtio_net" "$@"
  boots "$what: boots"
  kill $server $sink 2>/dev/null
  wait $server $sink 2>/dev/null
  check "$what: small packets" says '^3 packets transmitted, 3 packets received' 1 0
  check "$what: packets in fragments" says '^2 packets transmitted, 2 packets received' 1 0
  check "$what: the guest receives a file as it is" says "^got $sum" 1 0
  check "$what: the guest sends it as it is" [ "$(sha256sum <back)" = "$sum" ]
}

ip link set lo up
network 'virtio-net over mmio' --transport mmio --net tap=vmm0,ip=192.0.2.1,mask=255.255.255.0
