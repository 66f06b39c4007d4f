# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# shellcheck shell=sh source=lib.sh
# core x86_64
# needs: vmm-reference vmlinuz guest-virtio.cpio api-call
# l1: --trixie
# timeout: 500
. ./lib.sh

# A VM that can open nothing but what it was configured with, on a kernel that can see to that (Debian 13's, as
# Debian 12's is too old). The consoles, disks and sockets are those of a configuration of Spectrum's.

api() { api-call api.sock "$@" >answer 2>&1; }
answers() {
  wanted=$1
  shift
  api "$@"
  [ "$(head -n 1 answer)" = "$wanted" ]
}

mkdir rules
for disk in disk.img rules/later.img other.img; do dd if=/dev/zero of=$disk bs=1M count=1 2>/dev/null; done
cat >script <<'EOF2'
i=0
while [ "$i" -lt 600 ]; do
  echo "disks $(cd /sys/block && echo vd*)"
  sleep 0.2
  i=$((i + 1))
done
EOF2
printf 'script\n' | cpio -o -H newc 2>/dev/null >script.cpio
cat guest-virtio.cpio script.cpio >guest.cpio
cat >vm.json <<EOF2
{"console": {"mode": "Pty", "file": null},
 "serial": {"mode": "File", "file": "$log"},
 "disks": [{"path": "disk.img", "readonly": true, "disable_io_uring": true, "disable_aio": true,
            "image_type": "Raw"}],
 "memory": {"size": 268435456, "shared": true},
 "payload": {"kernel": "vmlinuz", "initramfs": "guest.cpio",
   "cmdline": "console=$console panic=-1 quiet vmm.test=script modules=virtio_pci,virtio_blk"},
 "vsock": {"cid": 3, "socket": "vm.sock"}, "net": [{}],
 "landlock_enable": true, "landlock_rules": [{"path": "rules", "access": "rw"}]}
EOF2
modprobe tun
: >"$log"
vmm-reference --api-socket api.sock </dev/null 2>vmm.err &
vmm_pid=$!
until [ -S api.sock ]; do sleep 0.1; done
check 'landlock: create' answers 204 PUT vm.create vm.json
check 'landlock: boot' answers 204 PUT vm.boot
check 'landlock: the guest runs' says '^disks vda' 1 120
check 'landlock: the vsock socket is there' [ -S vm.sock ]

not_behind=$(grep -l '^Seccomp:[^2]*$' /proc/"$vmm_pid"/task/*/status | wc -l)
check 'landlock: each thread has its filter' [ "$not_behind" = 0 ]

echo '{"path": "other.img", "id": "other", "image_type": "Raw"}' >add.json
check 'landlock: a disk that no rule allows is not opened' answers 500 PUT vm.add-disk add.json
check 'landlock: and it is told why' grep -q 'ermission denied' answer
echo '{"path": "/etc/passwd", "id": "passwd", "readonly": true, "image_type": "Raw"}' >add.json
check 'landlock: nor a file of the host' answers 500 PUT vm.add-disk add.json
if [ "$arch" = x86_64 ]; then
  echo '{"path": "rules/later.img", "id": "later", "image_type": "Raw"}' >add.json
  check 'landlock: one beneath a rule is' answers 200 PUT vm.add-disk add.json
  check 'landlock: and the guest has it' says '^disks vda vdb' 1 60
fi
check 'landlock: a reboot finds its files again' answers 204 PUT vm.reboot
check 'landlock: the guest is there again' says '^Welcome' 2 120
check 'landlock: shutdown' answers 204 PUT vm.shutdown
check 'landlock: boot anew' answers 204 PUT vm.boot
check 'landlock: the guest is there once more' says '^Welcome' 3 120
kill -TERM "$vmm_pid"
finish 20
check 'landlock: the VMM ends with 0' [ "$vmm_status" = 0 ]
check 'landlock: the vsock socket is gone' [ ! -e vm.sock ]
check 'landlock: the socket of the API is gone' [ ! -e api.sock ]
