# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# shellcheck shell=sh source=lib.sh
# on request
# needs: vmm-reference vmlinuz guest-virtio.cpio
# timeout: 600
. ./lib.sh
# shellcheck source=lib-net.sh
. ./lib-net.sh

cat >script <<'EOF'
ip link set eth0 up
ip addr add 192.0.2.2/24 dev eth0
ping -c 3 -W 5 192.0.2.1 | grep received
ping -c 2 -W 5 -s 9000 192.0.2.1 | grep received
wget -q -O /tmp/big http://192.0.2.1/big
echo "got $(sha256sum </tmp/big)"
nc 192.0.2.1 99 </tmp/big
sleep 1 # what is on its way
EOF

tap=tap=vmm0,ip=192.0.2.1,mask=255.255.255.0
transfer 'over mmio' --transport mmio --net $tap
transfer 'over mmio, packed=off, event_idx=off' --transport mmio \
  --net $tap,packed=off,event_idx=off
for packed in on off; do
  for event_idx in on off; do
    transfer "over pci, packed=$packed, event_idx=$event_idx" \
      --net "$tap,packed=$packed,event_idx=$event_idx"
  done
done
