# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# shellcheck shell=sh source=lib.sh
# needs: vmm-reference vmlinuz guest-virtio.cpio dax-file
# arch: x86_64
# timeout: 400
. ./lib.sh

# Debian's kernel for arm64 has no FUSE_DAX.

# A file of 5 MiB and some: three of the pieces that the driver maps.
dd if=/dev/urandom of=whole bs=1M count=5 2>/dev/null
printf '\nthe end\n' >>whole
sum=$(sha256sum <whole)
size=$(stat -c %s whole)
change='written by the guest'

cat >script <<'EOS'
mkdir /mnt
mount -t virtiofs -o dax host /mnt || echo 'no mount'
grep ' /mnt ' /proc/mounts
ls -l /mnt
echo "read=$(sha256sum </mnt/file)"
printf 'written by the guest' | dd of=/mnt/file bs=1 seek=3000000 conv=notrunc 2>/dev/null
sync
echo "part=$(dd if=/mnt/file bs=1 skip=3000000 count=20 2>/dev/null)"
umount /mnt
mount -t virtiofs -o dax host /mnt && echo "again=$(tail -n 1 /mnt/file)"
EOS

# daemon [ARGUMENT...]: serves `file`.
daemon() {
  rm -f dax.sock
  cp whole file
  dax-file --socket-path=dax.sock --file=file "$@" 2>dax.err &
  daemon_pid=$!
  until [ -S dax.sock ] || ! kill -0 $daemon_pid; do sleep 0.1; done
}

# A window of which some is left, and one that is too small for the file: the driver maps what it needs.
for window in 67108864 4194304; do
  what="a file in a window of $window bytes"
  daemon --window=$window
  guest_with_script 'modules=virtio_pci,virtiofs' --memory size=512M,shared=on \
    --fs tag=host,socket=dax.sock,dax=on
  boots "$what: boots"
  check "$what: the guest's file system is on it" says '^host /mnt virtiofs .*dax' 1 0
  check "$what: the guest sees the file" says " $size .* file" 1 0
  check "$what: and all of it" says "^read=$sum" 1 0
  check "$what: reads what it wrote" says "^part=$change" 1 0
  check "$what: which the host has" \
    [ "$(dd if=file bs=1 skip=3000000 count=20 2>/dev/null)" = "$change" ]
  check "$what: no more and no less" [ "$(stat -c %s file)" = "$size" ]
  check "$what: it can be mounted again" says '^again=the end' 1 0
  kill $daemon_pid
  wait $daemon_pid
  cat dax.err
  check "$what: no byte went through a request" grep -q '^reads 0 writes 0 mappings [3-9]' dax.err
done

# The daemon is killed while a file is mapped: the guest goes on, and so does the VMM.
cat >script <<'EOS'
mkdir /mnt
mount -t virtiofs -o dax host /mnt || exit
# One process that starts no other, as each that ends tells the daemon of the file that it had open.
sh -c 'exec 3<>/mnt/file; read -r line <&3; echo mapped; until [ -e /gone ]; do :; done; echo x >&3' &
device=$(basename /sys/bus/virtio/drivers/virtiofs/virtio*)
while [ $(($(cat /sys/bus/virtio/devices/$device/status) & 64)) = 0 ]; do sleep 0.2; done
touch /gone
sleep 2
echo 'lives on'
echo o >/proc/sysrq-trigger # without the files that the daemon took with it
sleep 60
EOS
what='a window whose daemon is killed'
daemon
guest_with_script 'modules=virtio_pci,virtiofs' --memory size=512M,shared=on \
  --fs tag=host,socket=dax.sock,dax=on,cache_size=32M
check "$what: the guest has mapped the file" says '^mapped' 1 60
kill -9 $daemon_pid
wait $daemon_pid 2>/dev/null
boots "$what: the guest and the VMM live on"
check "$what: the guest says so" says '^lives on' 1 0
check "$what: the file is as it was" [ "$(sha256sum <file)" = "$sum" ]

# Who has no such window is refused, and so is a window larger than what the daemon has.
daemon --window=65536
vmm-reference --kernel vmlinuz --memory size=512M,shared=on \
  --fs tag=host,socket=dax.sock,dax=on,cache_size=32M 2>refused
check 'a window larger than what the daemon says is refused' [ $? = 1 ]
check 'and said so' grep -q 'size of its shared memory' refused
kill $daemon_pid
wait $daemon_pid
