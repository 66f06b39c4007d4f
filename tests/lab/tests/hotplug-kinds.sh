# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# shellcheck shell=sh source=lib.sh
# core x86_64
# needs: vmm-reference vmlinuz guest-virtio.cpio api-call virtiofsd vhost-user-blk vfio-user-nvme vsock-peer
# timeout: 600
. ./lib.sh
# shellcheck source=lib-hotplug.sh
. ./lib-hotplug.sh

# Each kind of device that other processes serve, and those that bring memory and sockets, comes to a
# running guest, is used, goes, comes again, outlasts a reset of the guest, and goes.

mkdir shared
echo 'from the host' >shared/hello
dd if=/dev/urandom of=generic.img bs=1M count=2 2>/dev/null
dd if=/dev/urandom of=user.img bs=1M count=32 2>/dev/null
truncate -s 64M pmem.img
printf 'from the host...' | dd of=pmem.img conv=notrunc 2>/dev/null
generic_sum=$(sha256sum <generic.img)
user_sum=$(dd if=user.img bs=1M count=4 2>/dev/null | sha256sum)

# listens SOCKET PID: the server at it is ready.
listens() { until [ -S "$1" ] || ! kill -0 "$2"; do sleep 0.1; done; }
# It serves one connection.
fs_daemon() {
  rm -f fs.sock
  virtiofsd --socket-path="$PWD/fs.sock" -o source="$PWD/shared" -o sandbox=chroot 2>>fs.err &
  fs_pid=$!
  listens fs.sock $fs_pid
}
vhost-user-blk --socket-path=blk.sock --blk-file=generic.img --format=raw 2>blk.err &
blk_pid=$!
listens blk.sock $blk_pid
vfio-user-nvme --socket-path=nvme.sock --file=user.img --serial=hot 2>nvme.err &
nvme_pid=$!
listens nvme.sock $nvme_pid
vsock-peer echo unix:vm.sock_1000 &
peer_pid=$!

cat words - >script <<'EOF'
dmesg -c >/dev/null
# has BUS DRIVER: a driver has a device.
has() { ls -d /sys/bus/"$1"/drivers/"$2"/*[0-9]* >/dev/null 2>&1; }
mounts() { mount -t virtiofs host /mnt 2>/dev/null; }
mkdir /mnt
# uses ROUND: all of them.
uses() {
  wait_for mounts
  echo "$1 fs $(cat /mnt/hello)"
  echo "guest $1" >/mnt/written
  umount /mnt
  wait_for has virtio vmw_vsock_virtio_transport
  echo 'over vsock' | /vsock-peer cat vsock:2:1000 | sed "s/^/$1 vsock /"
  wait_for [ -b /dev/pmem0 ]
  echo "$1 pmem $(dd if=/dev/pmem0 bs=16 count=1 2>/dev/null)"
  dd if=/dev/urandom of=/dev/pmem0 bs=1M seek=4 count=2 conv=fsync 2>/dev/null
  echo "$1 synced $(dd if=/dev/pmem0 bs=1M skip=4 count=2 2>/dev/null | sha256sum)"
  wait_for [ -b /dev/vda ]
  echo "$1 generic $(sha256sum </dev/vda)"
  wait_for [ -b /dev/nvme0n1 ]
  echo "$1 user $(dd if=/dev/nvme0n1 bs=1M count=4 2>/dev/null | sha256sum)"
  dd if=/dev/urandom of=/dev/nvme0n1 bs=1M seek=16 count=2 conv=fsync 2>/dev/null
  echo "$1 stored $(dd if=/dev/nvme0n1 bs=1M skip=16 count=2 2>/dev/null | sha256sum)"
  echo "$1 used"
}
none() {
  [ ! -e /dev/vda ] && [ ! -e /dev/nvme0n1 ] && [ ! -e /dev/pmem0 ] && ! has virtio virtiofs &&
    ! has virtio vmw_vsock_virtio_transport
}
if grep -q '^0x010802' /sys/bus/pci/devices/*/class; then # the NVMe controller is there already
  uses reset
  wait_for none
  echo 'reset gone'
  sleep 5 # drivers have gone; the last slots lose their power
  dmesg | grep -iE 'BUG|WARNING|Call Trace|(acpiphp|pciehp).*(fail|error|timeout|cannot|fault)'
  echo complained
else
  echo ready
  uses first
  wait_for none
  echo 'first gone'
  dmesg | grep -iE 'BUG|WARNING|Call Trace|(acpiphp|pciehp).*(fail|error|timeout|cannot|fault)'
  uses again
  reboot -f
fi
EOF

# come ROUND: all of them. used ROUND: what the guest says of them.
come() {
  fs_daemon
  check "hotplug, $1: a file system comes" add fs '{"tag":"host","socket":"fs.sock","id":"fs"}'
  check "hotplug, $1: a socket comes" add vsock '{"cid":3,"socket":"vm.sock","id":"vsock"}'
  check "hotplug, $1: persistent memory comes" add pmem '{"file":"pmem.img","id":"pmem"}'
  check "hotplug, $1: any vhost-user device comes" add generic-vhost-user \
    '{"device_type":2,"queue_sizes":[128],"socket":"blk.sock","id":"generic"}'
  check "hotplug, $1: a device of another process comes" add user-device \
    '{"socket":"nvme.sock","id":"user"}'
}
used() {
  says "^$1 used" 1 120
  check "hotplug, $1: the guest mounts the file system" says "^$1 fs from the host" 1 0
  check "hotplug, $1: and writes to it" [ "$(cat shared/written)" = "guest $1" ]
  check "hotplug, $1: it reaches the host by its socket" says "^$1 vsock over vsock" 1 0
  check "hotplug, $1: it reads the persistent memory" says "^$1 pmem from the host\.\.\." 1 0
  check "hotplug, $1: and writes it" \
    says "^$1 synced $(dd if=pmem.img bs=1M skip=4 count=2 2>/dev/null | sha256sum)" 1 0
  check "hotplug, $1: it reads the disk of a vhost-user process" says "^$1 generic $generic_sum" 1 0
  check "hotplug, $1: it reads the disk of a vfio-user process" says "^$1 user $user_sum" 1 0
  check "hotplug, $1: and writes it" \
    says "^$1 stored $(dd if=user.img bs=1M skip=16 count=2 2>/dev/null | sha256sum)" 1 0
}
# go ROUND: all of them.
go() {
  for id in fs vsock pmem generic user; do
    check "hotplug, $1: $id is asked for" remove $id
  done
  check "hotplug, $1: the guest has given all back" says "^$1 gone" 1 120
  check "hotplug, $1: nothing of them is left: descriptors, threads" \
    has_only "$start_fds" "$start_threads"
  check "hotplug, $1: the socket is gone" [ ! -e vm.sock ]
}

# shellcheck disable=SC2034 # for lib.sh
guest_files=vsock-peer
guest_with_script \
  'modules=virtio_pci,virtiofs,vmw_vsock_virtio_transport,virtio_pmem,nd_pmem,virtio_blk,nvme' \
  --memory size=512M,shared=on --api-socket path=api.sock
check 'hotplug: a guest without devices runs' says '^ready' 1 120
start_fds=$(fds)
start_threads=$(threads)
come first
used first
go first
come again
used again
used reset
# What was there at the start of this life got ports besides those for what comes; these stay, each with
# a descriptor for its interrupt.
if [ "$arch" = aarch64 ]; then start_fds=$((start_fds + 5)); fi
go reset
boots 'hotplug: the guest ends as others do'
check 'hotplug: it had no complaints' [ "$(tr -d '\r' <"$log" |
  grep -ciE 'BUG|WARNING|Call Trace|(acpiphp|pciehp).*(fail|error|timeout|cannot|fault)')" = 0 ]
kill $blk_pid $nvme_pid $peer_pid
wait
