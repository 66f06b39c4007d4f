# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# shellcheck shell=sh source=lib.sh
# needs: vmm-reference vmlinuz debian api-call vhost-user-net virtiofsd
# timeout: 1500
# on request
. ./lib.sh
# shellcheck source=lib-debian.sh
. ./lib-debian.sh
# shellcheck source=lib-recipes.sh
. ./lib-recipes.sh

# A Debian from its disk, started as Spectrum OS and microvm.nix start cloud-hypervisor; what the
# devices do in detail: recipes.sh, with the lab's small guest.

# attach: what the guest prints at $terminal goes to $log, and keys go there.
attach() {
  : >"$log"
  cat "$terminal" >"$log" 2>/dev/null &
  reader=$!
}

modprobe tun
mkdir shared
echo 'from the host' >shared/hello
cat >script <<'END'
mount -t virtiofs host /mnt && echo "fs=$(cat /mnt/hello)"
card=$(basename "$(dirname "$(grep -l 02:00:00:00:00:0 /sys/class/net/*/address)")")
ip link set $card up
ip addr add 192.0.2.2/24 dev $card
echo "net=$(ping -q -c 5 -i 0.3 -W 10 192.0.2.1 | grep -o '[0-9]* received')"
head -c 3000000 /dev/urandom >/tmp/data
asked=$(socat -t 100 - VSOCK-CONNECT:2:219 </tmp/data)
[ "$asked" = "$(sha256sum </tmp/data)" ] && echo 'vsock=the same'
echo "state=$(systemctl is-system-running --wait)"
echo "credential=$(tr -d '\0' </sys/firmware/dmi/entries/11-0/raw | grep -ao 'vmm.notify.*8888')"
END
script_disk

# check_guest NAME: what its script has found.
check_guest() {
  run_script "$1: Debian uses its devices" 400
  check "$1: the shared folder" says '^fs=from the host' 1 0
  check "$1: the network" says '^net=5 received' 1 0
  check "$1: vsock, half closed, and the answer" says '^vsock=the same' 1 0
  check "$1: no unit has failed" says '^state=running' 1 0
}

api=vmm.sock
fs_daemon shared
vhost-user-net --socket-path=net.sock --tap=vmm0 --ip=192.0.2.1 --mask=255.255.255.0 2>>net.err &
net_pid=$!
tool socat UNIX-LISTEN:/mnt/vsock_219,fork SYSTEM:sha256sum &
until [ -S net.sock ] && [ -S vsock_219 ] || ! kill -0 $net_pid; do sleep 0.1; done
cat >vm.json <<END
{"disks": [{"path": "$PWD/debian"},
           {"path": "$PWD/script.img", "readonly": true, "serial": "script"}],
 "fs": [{"tag": "host", "socket": "$PWD/fs.sock"}],
 "gpu": [],
 "memory": {"size": 1073741824, "shared": true},
 "net": [{"vhost_user": true, "vhost_socket": "$PWD/net.sock", "id": "net", "mac": "02:00:00:00:00:01"}],
 "payload": {"kernel": "$PWD/vmlinuz", "initramfs": "$PWD/debian.cpio",
             "cmdline": "console=$console root=/dev/vda panic=-1 quiet systemd.show_status=0 TERM=dumb"},
 "serial": {"mode": "Pty", "file": null},
 "console": {"mode": "Off", "file": null},
 "vsock": {"cid": 3, "socket": "$PWD/vsock"}}
END
api-call --listen $api vmm-reference --api-socket fd=3 </dev/null 2>vmm.err &
vmm_pid=$!
until [ -S $api ]; do sleep 0.1; done
check 'Spectrum: create' ch_remote 204 PUT vm.create vm.json
check 'Spectrum: info' ch_remote 200 GET vm.info
terminal=$(sed -n 's|.*"serial":{"mode":"Pty","file":"\(/dev/pts/[0-9]*\)".*|\1|p' answer)
attach
check 'Spectrum: boot' ch_remote 204 PUT vm.boot
if login 'Spectrum: Debian boots to a login'; then
  check_guest Spectrum
  check 'Spectrum: pause' ch_remote 204 PUT vm.pause
  check 'Spectrum: resume' ch_remote 204 PUT vm.resume
  power_off 'Spectrum: Debian powers off, and the process ends'
fi
kill $reader $net_pid 2>/dev/null
wait $reader $net_pid $daemon_pid 2>/dev/null

# microvm.nix puts its disk on the command line, and its serial port on standard output.
[ "$arch" = x86_64 ] || exit 0
api=host.sock
fs_daemon shared
tool /usr/sbin/ip tuntap add vmm1 mode tap vnet_hdr
ip link set vmm1 up
ip addr add 192.0.2.1/24 dev vmm1
tool socat UNIX-LISTEN:/mnt/notify.vsock_219,fork SYSTEM:sha256sum &
ln -s "$(command -v vmm-reference)" microvm@host
./microvm@host --cpus boot=1 --watchdog --kernel vmlinuz --initramfs debian.cpio \
  --cmdline 'earlyprintk=ttyS0 console=ttyS0 reboot=t panic=-1 root=/dev/vda quiet systemd.show_status=0 TERM=dumb' \
  --seccomp true --memory size=1024M,shared=on \
  --platform 'oem_strings=[io.systemd.credential:vmm.notify_socket=vsock-stream:2:8888]' \
  --console null --serial pty --vsock cid=3,socket=notify.vsock \
  --balloon deflate_on_oom=on,free_page_reporting=on,size=64M \
  --disk path=debian,readonly=off,direct=off,image_type=raw path=script.img,readonly=on,image_type=raw,serial=script \
  --fs socket=fs.sock,tag=host --api-socket host.sock --net mac=02:00:00:00:00:02,tap=vmm1 \
  </dev/null >out.log 2>vmm.err &
vmm_pid=$!
until terminal=$(sed -n 's|.*\(/dev/pts/[0-9]*\).*|\1|p' vmm.err) && [ -n "$terminal" ]; do
  alive || break
  sleep 0.1
done
attach
if login 'microvm.nix: Debian boots to a login'; then
  check_guest microvm.nix
  check 'microvm.nix: systemd is given its credential' says '^credential=vmm.notify_socket=vsock-stream:2:8888' 1 0
  api-call --curl host.sock PUT vm.power-button >answer
  check 'microvm.nix: the power button by curl' [ "$(head -n 1 answer)" = 204 ]
  finish 120
  check 'microvm.nix: Debian powers off, and the process ends' [ "$vmm_status" = 0 ]
fi
