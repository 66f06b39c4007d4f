# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# shellcheck shell=sh source=lib.sh
# arch: x86_64
# needs: vmm-reference vmlinuz guest-systemd.cpio vsock-peer
# on request
. ./lib.sh

# Each message of the guest is a connection of its own.
vsock-peer gather unix:notify.vsock_8888 >ready 2>listening &
until grep -q '^listening' listening; do sleep 0.1; done
start --kernel vmlinuz --initramfs guest-systemd.cpio --memory size=1G --vsock cid=3,socket=notify.vsock \
  --cmdline "console=$console panic=-1 quiet systemd.show_status=0" \
  --platform 'oem_strings=[io.systemd.credential:vmm.notify_socket=vsock-stream:2:8888,io.systemd.credential:greeting=hello from the host]'
check 'systemd: it starts' says 'guest: systemd is there' 1 120
check 'systemd: it has its credentials of SMBIOS' says '^greeting ' 1 20
check 'systemd: with their contents' says '^hello from the host' 1 20
tenths=300
until grep -q 'READY=1$' ready || [ $tenths = 0 ]; do
  sleep 0.1
  tenths=$((tenths - 1))
done
check 'systemd: the guest has told its host that it is up' grep -q 'READY=1$' ready
kill -TERM "$vmm_pid"
finish 20
killall vsock-peer
check 'systemd: the VMM ends with 0' [ "$vmm_status" = 0 ]
