# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# shellcheck shell=sh source=lib.sh
# core x86_64
# needs: vmm-reference vmlinuz guest-virtio.cpio vhost-user-blk vhost-user-net
# timeout: 600
. ./lib.sh
# shellcheck source=lib-net.sh
. ./lib-net.sh

dd if=/dev/urandom of=disk bs=1M count=8 2>/dev/null

# daemon NAME OPTION...: one of ours, which listens at NAME.sock when this returns.
daemon() {
  name=$1
  shift
  "vhost-user-$name" --socket-path="$name.sock" "$@" 2>>"$name.err" &
  daemon_pid=$!
  until [ -S "$name.sock" ] || ! kill -0 "$daemon_pid"; do sleep 0.1; done
}

disk_daemon() { daemon blk --blk-file=copy --format=raw --num-queues=1; }
remote_disk='vhost_user=on,socket=blk.sock'

# What one side writes and the other reads.
cat >script <<'EOS'
echo "size=$(cat /sys/block/vda/size)"
echo "read=$(sha256sum </dev/vda)"
dd if=/dev/vda of=/dev/vda bs=64k count=32 seek=64 conv=fsync,notrunc 2>/dev/null
echo "features=$(cat /sys/block/vda/device/features)"
EOS
cp disk expected
dd if=disk of=expected bs=64k count=32 seek=64 conv=notrunc 2>/dev/null

for ring in on off; do
  for transport in pci mmio; do
    what="a disk of another process, $transport, packed=$ring"
    cp disk copy
    disk_daemon
    guest_with_script 'modules=virtio_pci,virtio_mmio,virtio_blk' --transport $transport \
      --memory size=512M,shared=on --disk "$remote_disk,packed=$ring"
    boots "$what: boots"
    check "$what: the guest sees its size" says '^size=16384' 1 0
    check "$what: the guest reads what the file has" says "^read=$(sha256sum <disk)" 1 0
    check "$what: the file has what the guest wrote" cmp copy expected
    check "$what: the daemon lives on" kill -0 $daemon_pid
    kill $daemon_pid
    wait $daemon_pid
    check "$what: the daemon ends when it is told to" [ $? = 0 ]
  done
done

# The daemon is killed while the guest writes, reads and compares.
cat >script <<'EOS'
i=0
echo 'working'
while [ $i -lt 60 ]; do
  dd if=/dev/urandom of=/data bs=4096 count=32 2>/dev/null
  dd if=/data of=/dev/vda bs=4096 seek=$((i * 32)) count=32 conv=fsync,notrunc 2>/dev/null || echo bad write
  echo 3 >/proc/sys/vm/drop_caches
  dd if=/dev/vda of=/back bs=4096 skip=$((i * 32)) count=32 2>/dev/null || echo bad read
  cmp /data /back || echo bad data
  i=$((i + 1))
done
dmesg | grep -i 'virtio.*\(error\|not a head\)\|I/O error' && echo bad kernel
echo 'worked'
EOS
for ring in on off; do
  what="a disk whose daemon is killed, packed=$ring"
  cp disk copy
  disk_daemon
  guest_with_script 'modules=virtio_pci,virtio_blk' --memory size=512M,shared=on \
    --disk "$remote_disk,packed=$ring"
  says '^working'
  for _ in 1 2 3 4 5; do
    sleep 1
    kill -9 $daemon_pid
    wait $daemon_pid 2>/dev/null
    sleep 0.3
    disk_daemon
  done
  boots "$what: the guest lives on"
  check "$what: all was written and read" says '^worked' 1 0
  check "$what: nothing was lost or wrong" [ "$(grep -c '^bad' "$log")" = 0 ]
  kill $daemon_pid
  wait $daemon_pid
done

# A network that another process has, in either direction of the connection.
cat >script <<'EOF'
echo "features $(cat /sys/class/net/eth0/device/features)"
ip link set eth0 up
ip addr add 192.0.2.2/24 dev eth0
ping -c 3 -W 5 192.0.2.1 | grep received
ping -c 2 -W 5 -s 9000 192.0.2.1 | grep received
wget -q -O /tmp/big http://192.0.2.1/big
echo "got $(sha256sum </tmp/big)"
nc 192.0.2.1 99 </tmp/big
sleep 1 # what is on its way
EOF
daemon net --tap=vmm0 --ip=192.0.2.1 --mask=255.255.255.0
transfer 'a network of another process' --memory size=512M,shared=on \
  --net vhost_user=on,socket=net.sock
kill $daemon_pid
