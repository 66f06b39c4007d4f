# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# shellcheck shell=sh source=lib.sh
# on request
# needs: vmm-reference vmlinuz guest.cpio guest-virtio.cpio vsock-peer
# timeout: 400
. ./lib.sh

guest_files=vsock-peer

# A guest that resets itself while it has a connection, and is asked something afterwards.
cat >script <<'EOF'
number=$(/vsock-peer cat vsock:2:1003 </dev/null)
echo "life $number"
if [ "$number" = 0 ]; then
  sleep 100 | /vsock-peer cat vsock:2:1001 &
  sleep 2
  reboot -f
fi
/vsock-peer drain vsock:-1:2000 &
echo 'guest: ready for its host'
wait $!
EOF

vsock-peer count unix:vm.sock_1003 &
(
  vsock-peer drain unix:vm.sock_1001
  echo ended >ended
) >/dev/null &
vsock-peer echo unix:dead.sock &
echo $! >pid
sleep 0.2
kill -9 "$(cat pid)" # a socket that nobody listens on any more
mv dead.sock vm.sock
guest_with_script 'reboot=acpi modules=virtio_pci,vmw_vsock_virtio_transport' \
  --vsock cid=3,socket=vm.sock
says '^guest: ready for its host' 1 200
check 'vsock: a dead socket is replaced, and the guest connects' says '^life 0' 1 0
check 'vsock: after its reset the guest connects again' says '^life 1' 1 0
check 'vsock: the reset has ended the connection that was open' [ -e ended ]
vmm-reference --kernel vmlinuz --vsock cid=4,socket=vm.sock >refused 2>&1
check 'vsock: a socket in use is refused' grep -q 'vsock: socket=vm.sock: bind: Address' refused
echo after | vsock-peer cat hybrid:vm.sock:2000 >answer
check 'vsock: after its reset the host connects to the guest' grep -q '^drained 6' answer
boots 'vsock: the guest that has reset itself powers off'
check 'vsock: the socket is gone afterwards' [ ! -e vm.sock ]

guest vmm.test=idle --vsock cid=3,socket=vm.sock
says '^Welcome'
check 'vsock: the socket is there' [ -S vm.sock ]
check 'vsock: the socket is for its owner alone' [ "$(stat -c %a vm.sock)" = 700 ]
kill -TERM "$vmm_pid"
finish 10
check 'vsock: SIGTERM removes the socket' [ ! -e vm.sock ]
killall vsock-peer 2>/dev/null
true
