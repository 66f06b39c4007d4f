# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# shellcheck shell=sh source=lib.sh
# core x86_64
# needs: vmm-reference vmlinuz guest-virtio.cpio api-call vhost-user-net virtiofsd vsock-peer with-tap-fds
# timeout: 500
. ./lib.sh
# shellcheck source=lib-net.sh
. ./lib-net.sh
# shellcheck source=lib-recipes.sh
. ./lib-recipes.sh

# The ways in which others start cloud-hypervisor, word for word, with this VMM in its place. What
# the lab changes: the guest boots from an initramfs (its root), and paths are those of the test.

# guest_image MODULES: the guest with its drivers and the test's script, in guest-script.cpio; its
# command line in $words.
guest_image() {
  printf '%s\n' script vsock-peer | cpio -o -H newc 2>/dev/null >script.cpio
  cat guest-virtio.cpio script.cpio >guest-script.cpio
  words="vmm.test=script modules=$1"
}

cp "$(command -v vsock-peer)" . 2>/dev/null
mkdir shared
echo 'from the host' >shared/hello
dd if=/dev/zero of=root.img bs=1M count=1 2>/dev/null
printf 'the root' | dd of=root.img conv=notrunc 2>/dev/null

# Spectrum: a listening socket as descriptor 3 and nothing else; the VM comes as JSON. Its gpu is left
# out; its sandbox is in where the kernel can do it (Linux 6.2).
landlock=true
case $(uname -r) in [1-5].* | 6.[01].*) landlock=false ;; esac
api=vmm.sock
mkdir -p by-id
cat >script <<'EOS'
mkdir /mnt
mount -t virtiofs host /mnt && echo "fs=$(cat /mnt/hello)"
echo "root=$(head -c 8 /dev/vda) ro=$(cat /sys/block/vda/ro)"
echo "mac=$(cat /sys/class/net/eth0/address)"
ip link set eth0 up
ip addr add 192.0.2.2/24 dev eth0
ping -c 3 -W 5 192.0.2.1 | grep received
echo 'hello from the guest' | /vsock-peer cat vsock:2:219
echo 'on hvc0' >/dev/hvc0
sleep 1
EOS
guest_image virtio_pci,virtio_blk,virtio_net,virtiofs,virtio_console,vmw_vsock_virtio_transport
fs_daemon shared
vhost-user-net --socket-path=net.sock --tap=vmm0 --ip=192.0.2.1 --mask=255.255.255.0 2>>net.err &
net_pid=$!
vsock-peer drain unix:vsock_219 >portal 2>portal.err &
until [ -S net.sock ] && [ -S vsock_219 ]; do sleep 0.1; done
cat >vm.json <<EOF2
{"console": {"mode": "Pty", "file": null},
 "disks": [{"path": "$PWD/root.img", "readonly": true, "disable_io_uring": true, "disable_aio": true}],
 "fs": [{"tag": "host", "socket": "$PWD/fs.sock"}],
 "gpu": [],
 "landlock_enable": $landlock,
 "landlock_rules": [{"path": "/sys/devices", "access": "rw"}, {"path": "/dev", "access": "rw"}],
 "memory": {"size": 1073741824, "shared": true},
 "net": [{"vhost_user": true, "vhost_socket": "$PWD/net.sock", "id": "net", "mac": "02:00:00:00:00:01"}],
 "payload": {"kernel": "$PWD/vmlinuz", "initramfs": "$PWD/guest-script.cpio",
             "cmdline": "console=$console root=PARTLABEL=root panic=-1 quiet $words"},
 "serial": {"mode": "File", "file": "$PWD/by-id/serial"},
 "vsock": {"cid": 3, "socket": "$PWD/vsock"}}
EOF2
log=by-id/serial
: >"$log"
api-call --listen $api vmm-reference --api-socket fd=3 </dev/null 2>vmm.err &
vmm_pid=$!
until [ -S $api ]; do sleep 0.1; done
check 'Spectrum: create' ch_remote 204 PUT vm.create vm.json
check 'Spectrum: info' ch_remote 200 GET vm.info
pty=$(sed -n 's|.*"console":{"mode":"Pty","file":"\(/dev/pts/[0-9]*\)".*|\1|p' answer)
check 'Spectrum: the path of the console is there' [ -c "$pty" ]
check 'Spectrum: it does not count as running yet' grep -q '"state":"Created"' answer
echo '{"id": "router", "vhost_user": true, "vhost_socket": "/nowhere", "mac": "02:01:00:00:00:01"}' >router.json
check 'Spectrum: add-net before the boot' ch_remote 204 PUT vm.add-net router.json
check 'Spectrum: add-net of the same id fails' ch_remote 409 PUT vm.add-net router.json
echo '{"id": "router"}' >id.json
check 'Spectrum: remove-device' ch_remote 204 PUT vm.remove-device id.json
cat "$pty" >hvc0 2>/dev/null &
reader=$!
check 'Spectrum: boot' ch_remote 204 PUT vm.boot
check 'Spectrum: the vsock socket is there once boot has answered' [ -S vsock ]
check 'Spectrum: a second boot fails' ch_remote 500 PUT vm.boot
boots 'Spectrum: the guest runs, and its power-off ends the process'
kill $reader $net_pid 2>/dev/null
wait $reader $net_pid $daemon_pid 2>/dev/null
check 'Spectrum: the guest sees the shared folder' says '^fs=from the host' 1 0
check 'Spectrum: and its disk, for reading' says '^root=the root ro=1' 1 0
check 'Spectrum: and its network' says '^mac=02:00:00:00:00:01' 1 0
check 'Spectrum: which carries packets' says '^3 packets transmitted, 3 packets received' 1 0
check 'Spectrum: the portal of the host hears the guest' grep -q 'hello from the guest' portal
check 'Spectrum: the console is the pty' grep -q 'on hvc0' hvc0
check 'Spectrum: the sockets of the VM are gone' [ ! -e vsock ]
rm -f vsock_219

# microvm.nix: all on the command line, the name of the process rewritten, keys in the order of the
# alphabet.
if [ "$arch" = x86_64 ]; then
  log=serial2.log
  api=host.sock
  ln -s "$(command -v vmm-reference)" microvm@host
  dd if=/dev/zero of=volume.img bs=1M count=4 2>/dev/null
  cat >script <<'EOS'
mkdir /mnt
mount -t virtiofs ro-store /mnt && echo "store=$(cat /mnt/hello)"
if [ "$(head -c 6 /dev/vdb)" != booted ]; then
  printf booted | dd of=/dev/vdb conv=notrunc,fsync 2>/dev/null
  reboot -f
fi
echo "serial=$(cat /sys/block/vdb/serial)"
/vsock-peer cat vsock:2:8888 </dev/null && echo 'notified'
echo "oem=$(cat /sys/firmware/dmi/entries/11-0/raw | tr -d '\0')"
ip link set eth0 up
ip addr add 192.0.2.8/24 dev eth0
ping -c 1 -W 1 192.0.2.9 >/dev/null 2>&1
echo 'ready'
until grep -q ':  *[1-9][0-9]* .*ACPI:Ged' /proc/interrupts; do sleep 0.2; done
echo 'power button'
EOS
  guest_image virtio_pci,virtio_blk,virtio_net,virtiofs,virtio_balloon,vmw_vsock_virtio_transport
  fs_daemon shared
  ip tuntap add vmm1 mode tap vnet_hdr && ip link set vmm1 up
  vsock-peer echo unix:notify.vsock_8888 2>/dev/null &
  notify_pid=$!
  : >$log
  ./microvm@host --cpus boot=1 --watchdog --kernel vmlinuz --initramfs guest-script.cpio \
    --cmdline "earlyprintk=ttyS0 console=ttyS0 reboot=t panic=-1 $words" --seccomp true \
    --memory size=512M,shared=on \
    --platform 'oem_strings=[io.systemd.credential:vmm.notify_socket=vsock-stream:2:8888]' --console null --serial tty \
    --vsock cid=3,socket=notify.vsock \
    --balloon deflate_on_oom=on,free_page_reporting=on,size=64M \
    --disk path=root.img,readonly=on direct=off,image_type=raw,path=volume.img,readonly=off,serial=vol \
    --fs socket=fs.sock,tag=ro-store --api-socket host.sock --net mac=02:00:00:00:00:02,tap=vmm1 \
    </dev/null >$log 2>vmm.err &
  vmm_pid=$!
  check 'microvm.nix: the guest boots, resets itself by a triple fault, and is ready' says '^ready' 1 200
  check 'microvm.nix: the store is there' says '^store=from the host' 2 0
  check 'microvm.nix: the volume has its serial number' says '^serial=vol' 1 0
  check 'microvm.nix: systemd finds its credential' \
    says 'io.systemd.credential:vmm.notify_socket=vsock-stream:2:8888' 1 0
  check 'microvm.nix: the host is notified, and hears the end' says '^notified' 1 0
  check 'microvm.nix: counters' ch_remote 200 GET vm.counters
  check 'microvm.nix: the packets of the guest are counted' grep -q '"rx_frames":[0-9]*,"rx_bytes":[0-9]*,"tx_frames":[1-9]' answer
  echo '{"desired_balloon": 33554432}' >balloon.json
  check 'microvm.nix: resize --balloon' ch_remote 204 PUT vm.resize balloon.json
  api-call --curl host.sock PUT vm.power-button >answer
  check 'microvm.nix: the power button by curl' [ "$(head -n 1 answer)" = 204 ]
  boots 'microvm.nix: then the process ends'
  check 'microvm.nix: the guest saw the button' says '^power button' 1 0
  check 'microvm.nix: the API socket is gone' [ ! -e host.sock ]
  kill $notify_pid 2>/dev/null
  wait $notify_pid $daemon_pid 2>/dev/null

  # Its guest again, ended by SIGTERM. The sockets are left over, as after a crash.
  : >$log
  : >notify.vsock
  ./microvm@host --cpus boot=1 --watchdog --kernel vmlinuz --initramfs guest-virtio.cpio \
    --cmdline 'earlyprintk=ttyS0 console=ttyS0 reboot=t panic=-1 vmm.test=idle' --seccomp true \
    --memory size=512M,mergeable=on,shared=off \
    --platform '' --console null --serial tty --api-socket host.sock </dev/null >$log 2>vmm.err &
  vmm_pid=$!
  says '^Welcome'
  check 'microvm.nix: argv[0] is the name of the VM' grep -q '^./microvm@host' "/proc/$vmm_pid/cmdline"
  kill -TERM "$vmm_pid"
  finish 10
  check 'microvm.nix: SIGTERM ends it with 0' [ "$vmm_status" = 0 ]
fi

# TII's i.MX8 command line. Its console=hvc0 gets the serial port beside it, as
# the lab's guest has the driver as a module; it gets more memory for its kernel.
if [ "$arch" = aarch64 ]; then
  log=VM.log
  api=vm.api
  cat >script <<'EOS'
echo "disks=$(cat /sys/block/vda/ro)$(cat /sys/block/vdb/ro)"
echo "mac=$(cat /sys/class/net/eth0/address)"
echo 'on hvc0' >/dev/hvc0
sleep 1
EOS
  guest_image virtio_pci,virtio_blk,virtio_net,virtio_console
  : >$log
  with-tap-fds vmm2 1 vmm-reference --api-socket vm.api \
    --cmdline "console=hvc0 console=ttyAMA0 root=PARTLABEL=root panic=-1 quiet $words" \
    --initramfs guest-script.cpio --memory size=256M,shared=on --console pty --seccomp log \
    --kernel vmlinuz \
    --disk path=root.img,readonly=on --disk path=root.img,readonly=on \
    --net fd=3,mac=02:00:00:00:00:03 --serial file=VM.log </dev/null 2>vmm.err &
  vmm_pid=$!
  until [ -S vm.api ] || ! alive; do sleep 0.1; done
  check 'i.MX8: info as soon as the socket is there' ch_remote 200 GET vm.info
  pty=$(sed -n 's|.*"console":{"mode":"Pty","file":"\(/dev/pts/[0-9]*\)".*|\1|p' answer)
  cat "$pty" >hvc0 2>/dev/null &
  reader=$!
  boots 'i.MX8: the guest runs'
  kill $reader 2>/dev/null
  wait $reader 2>/dev/null
  check 'i.MX8: two disks, for reading' says '^disks=11' 1 0
  check 'i.MX8: the network of a descriptor' says '^mac=02:00:00:00:00:03' 1 0
  check 'i.MX8: the console is the pty' grep -q 'on hvc0' hvc0
fi
