# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# shellcheck shell=sh source=lib.sh
# needs: vmm-reference vmlinuz guest-virtio.cpio qemu-storage-daemon
# l1: --smp 2
# timeout: 400
. ./lib.sh

dd if=/dev/urandom of=disk bs=1M count=8 2>/dev/null

# storage_daemon: QEMU's, which serves the file `copy` and listens when this returns.
storage_daemon() {
  rm -f blk.sock
  qemu-storage-daemon --blockdev driver=file,node-name=file,filename=copy \
    --export type=vhost-user-blk,id=disk,addr.type=unix,addr.path=blk.sock,node-name=file,writable=on,num-queues=2 \
    2>>daemon.err &
  daemon_pid=$!
  until [ -S blk.sock ] || ! kill -0 $daemon_pid; do sleep 0.1; done
}

remote_disk='vhost_user=on,socket=blk.sock,num_queues=2'

# Two writers, on parts of their own, who read back and compare.
cat >script <<'EOS'
echo "size=$(cat /sys/block/vda/size)"
echo "queues=$(ls /sys/block/vda/mq | wc -l)"
echo "read=$(sha256sum </dev/vda)"
worker() {
  i=0
  while [ $i -lt 40 ]; do
    dd if=/dev/urandom of=/data$1 bs=4096 count=16 2>/dev/null
    dd if=/data$1 of=/dev/vda bs=4096 seek=$(($1 * 1024 + i * 16)) count=16 conv=fsync,notrunc \
      2>/dev/null || echo bad write
    dd if=/dev/vda of=/back$1 bs=4096 skip=$(($1 * 1024 + i * 16)) count=16 iflag=direct \
      2>/dev/null || echo bad read
    cmp /data$1 /back$1 || echo bad data
    i=$((i + 1))
  done
}
echo 'working'
worker 0 &
worker 1
wait
dmesg | grep -i 'virtio.*\(error\|not a head\)\|I/O error' && echo bad kernel
sync
echo "worked=$(sha256sum </dev/vda)"
EOS

for transport in pci mmio; do
  what="a disk of qemu-storage-daemon, $transport"
  cp disk copy
  storage_daemon
  guest_with_script 'modules=virtio_pci,virtio_mmio,virtio_blk' --transport $transport \
    --cpus boot=2 --memory size=512M,shared=on --disk "$remote_disk"
  boots "$what: boots"
  check "$what: the guest sees its size" says '^size=16384' 1 0
  check "$what: and both queues" says '^queues=2' 1 0
  check "$what: it reads what the file has" says "^read=$(sha256sum <disk)" 1 0
  check "$what: two writers find what they wrote" [ "$(grep -c '^bad' "$log")" = 0 ]
  check "$what: the file has it" says "^worked=$(sha256sum <copy)" 1 0
  check "$what: the daemon lives on" kill -0 $daemon_pid
  kill $daemon_pid
  wait $daemon_pid
done

what='a disk of qemu-storage-daemon that is killed'
cp disk copy
storage_daemon
guest_with_script 'modules=virtio_pci,virtio_blk' --cpus boot=2 --memory size=512M,shared=on \
  --disk "$remote_disk"
says '^working'
for _ in 1 2 3; do
  sleep 1
  kill -9 $daemon_pid
  wait $daemon_pid 2>/dev/null
  storage_daemon
done
boots "$what: the guest lives on"
check "$what: nothing was lost or wrong" [ "$(grep -c '^bad' "$log")" = 0 ]
check "$what: the file has what the guest wrote" says "^worked=$(sha256sum <copy)" 1 0
kill $daemon_pid
wait $daemon_pid
