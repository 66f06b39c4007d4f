# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# shellcheck shell=sh source=lib.sh
# needs: vmm-reference vmlinuz guest.cpio guest-virtio.cpio vsock-peer
# timeout: 400
. ./lib.sh
# shellcheck source=lib-vsock.sh
. ./lib-vsock.sh

resetting >script
host_counts unix:vm.sock_
vsock-peer echo unix:dead.sock 2>/dev/null &
echo $! >pid
until [ -e dead.sock ]; do sleep 0.1; done
kill -9 "$(cat pid)" # a socket that nobody listens on any more
mv dead.sock vm.sock
guest_with_script 'reboot=acpi modules=virtio_pci,vmw_vsock_virtio_transport' \
  --vsock cid=3,socket=vm.sock
says '^guest: ready for its host' 1 200
vmm-reference --kernel vmlinuz --vsock cid=4,socket=vm.sock >refused 2>&1
check 'vsock: a socket in use is refused' grep -q 'vsock: socket=vm.sock: bind: Address' refused
guest_lived_twice 'vsock, a dead socket replaced' hybrid:vm.sock
check 'vsock: the socket is gone afterwards' [ ! -e vm.sock ]

guest vmm.test=idle --vsock cid=3,socket=vm.sock
says '^Welcome'
check 'vsock: the socket is there' [ -S vm.sock ]
check 'vsock: the socket is for its owner alone' [ "$(stat -c %a vm.sock)" = 700 ]
kill -TERM "$vmm_pid"
finish 10
check 'vsock: SIGTERM removes the socket' [ ! -e vm.sock ]
