# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# shellcheck shell=sh source=lib.sh
# needs: vmm-reference vmlinuz guest-virtio.cpio virtiofsd
# timeout: 400
. ./lib.sh

mkdir shared
dd if=/dev/urandom of=shared/big bs=1M count=4 2>/dev/null
sum=$(sha256sum <shared/big)
echo 'from the host' >shared/hello

# fs_daemon: Debian's virtiofsd, which listens when this returns. It serves one connection. In L1 the
# root is no mount, so that it cannot have namespaces.
fs_daemon() {
  rm -f fs.sock
  virtiofsd --socket-path="$PWD/fs.sock" -o source="$PWD/shared" -o sandbox=chroot 2>>fs.err &
  daemon_pid=$!
  until [ -S fs.sock ] || ! kill -0 $daemon_pid; do sleep 0.1; done
}

# What one side writes and the other reads; then a tree as packages leave it.
cat >script <<'EOS'
mkdir /mnt
mount -t virtiofs host /mnt || echo bad mount
echo "hello=$(cat /mnt/hello)"
echo "read=$(sha256sum </mnt/big)"
dd if=/dev/urandom of=/data bs=64k count=32 2>/dev/null
dd if=/data of=/mnt/written bs=64k conv=fsync 2>/dev/null || echo bad fsync
echo "written=$(sha256sum </data)"
echo 3 >/proc/sys/vm/drop_caches
cmp /data /mnt/written || echo bad data
echo 'more' >>/mnt/written
[ "$(stat -c %s /mnt/written)" = 2097157 ] || echo bad size
dd if=/data of=/mnt/part bs=1k seek=3 count=5 2>/dev/null
mv /mnt/part /mnt/moved && ln -s moved /mnt/link && ln /mnt/moved /mnt/hard || echo bad links
[ "$(readlink /mnt/link)" = moved ] && [ "$(stat -c %h /mnt/hard)" = 2 ] || echo bad links
chmod 640 /mnt/moved && [ "$(stat -c %a /mnt/hard)" = 640 ] || echo bad mode
truncate -s 100 /mnt/moved && [ "$(stat -c %s /mnt/hard)" = 100 ] || echo bad truncation
cat /mnt/absent 2>/dev/null && echo bad absent
mkdir /mnt/tree
i=0
while [ $i -lt 20 ]; do
  mkdir /mnt/tree/$i
  j=0
  while [ $j -lt 20 ]; do
    echo "file $i $j" >/mnt/tree/$i/$j
    j=$((j + 1))
  done
  i=$((i + 1))
done
sync
echo 3 >/proc/sys/vm/drop_caches
echo "files=$(find /mnt/tree -type f | wc -l)"
cat $(find /mnt/tree -type f) | sort | sha256sum | sed 's/^/tree=/'
rm -r /mnt/tree/1* || echo bad removal
echo "left=$(find /mnt/tree -type f | wc -l)"
umount /mnt || echo bad umount
mount -t virtiofs host /mnt && echo "again=$(cat /mnt/hello)"
EOS

# The tree that the guest makes.
mkdir expected
i=0
while [ $i -lt 20 ]; do
  j=0
  while [ $j -lt 20 ]; do
    echo "file $i $j"
    j=$((j + 1))
  done
  i=$((i + 1))
done | sort >expected/lines

for transport in pci mmio; do
  what="a file system of the host, $transport"
  rm -rf shared/tree shared/written shared/moved shared/hard shared/link
  fs_daemon
  guest_with_script 'modules=virtio_pci,virtio_mmio,virtiofs' --transport $transport \
    --memory size=512M,shared=on --fs tag=host,socket=fs.sock
  boots "$what: boots"
  check "$what: the guest reads what is there" says '^hello=from the host' 1 0
  check "$what: as it is" says "^read=$sum" 1 0
  check "$what: the host has what the guest wrote" \
    says "^written=$(head -c 2097152 shared/written | sha256sum)" 1 0
  check "$what: and what it added" [ "$(tail -n 1 shared/written | tail -c 5)" = more ]
  check "$what: 400 small files" says '^files=400' 1 0
  check "$what: with what was written to them" says "^tree=$(sha256sum <expected/lines)" 1 0
  check "$what: less those that were removed" says '^left=180' 1 0
  check "$what: the host sees the same tree" [ "$(find shared/tree -type f | wc -l)" = 180 ]
  check "$what: links, modes and lengths" [ "$(stat -c '%h %a %s' shared/hard)" = '2 640 100' ]
  check "$what: it can be mounted again" says '^again=from the host' 1 0
  check "$what: nothing went wrong" [ "$(grep -c '^bad' "$log")" = 0 ]
  wait $daemon_pid
  check "$what: the daemon ends with its connection" [ $? = 0 ]
done

# The daemon is killed, and the guest finds out; another one serves it from the next start on.
cat >script <<'EOS'
mkdir /mnt
mount -t virtiofs host /mnt && cat /mnt/hello && echo 'mounted'
device=$(basename /sys/bus/virtio/drivers/virtiofs/virtio*)
while [ $(($(cat /sys/bus/virtio/devices/$device/status) & 64)) = 0 ]; do sleep 0.2; done
echo 'needs a reset'
echo $device >/sys/bus/virtio/drivers/virtiofs/unbind
umount /mnt
echo 'asks for the next one'
echo $device >/sys/bus/virtio/drivers/virtiofs/bind
mount -t virtiofs host /mnt && echo "next=$(cat /mnt/hello)"
echo "status=$(($(cat /sys/bus/virtio/devices/$device/status)))"
EOS
what='a file system whose daemon is killed'
fs_daemon
guest_with_script 'modules=virtio_pci,virtiofs' --memory size=512M,shared=on \
  --fs tag=host,socket=fs.sock
says '^mounted'
kill -9 $daemon_pid
wait $daemon_pid 2>/dev/null
check "$what: the device needs a reset" says '^needs a reset' 1 30
says '^asks for the next one'
fs_daemon
boots "$what: the guest and the VMM live on"
check "$what: the next one serves the device after its reset" says '^next=from the host' 1 0
check "$what: which is as new" says '^status=15' 1 0

# Without shared memory there is no such device.
vmm-reference --kernel vmlinuz --fs tag=host,socket=fs.sock 2>refused
check 'a file system without shared memory is a mistake' [ $? = 2 ]
check 'and said so' grep -q -- '--fs needs --memory shared=on' refused
