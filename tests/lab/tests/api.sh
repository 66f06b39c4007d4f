# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# shellcheck shell=sh source=lib.sh
# core x86_64
# needs: vmm-reference vmlinuz guest.cpio guest-virtio.cpio api-call
# timeout: 600
. ./lib.sh

# api METHOD NAME [FILE]: a request; the answer in the file `answer`.
api() { api-call api.sock "$@" >answer 2>&1; }
# answers STATUS METHOD NAME [FILE]
answers() {
  wanted=$1
  shift
  api "$@"
  [ "$(head -n 1 answer)" = "$wanted" ]
}
state() {
  api GET vm.info
  sed -n 's/.*"state":"\([A-Za-z]*\)".*/\1/p' answer
}
# events: their sources and names, one a line.
events() { awk -F'"' '/^  "source"/ { source = $4 } /^  "event"/ { print source, $4 }' events.json; }

# call_of THREAD: the number of the system call in which a thread of the VMM waits.
call_of() {
  for task in /proc/"$vmm_pid"/task/*; do
    [ "$(cat "$task"/comm)" != "$1" ] || cut -d' ' -f1 "$task"/syscall
  done
}
case $arch in
  x86_64) futex=202 ;;
  *) futex=98 ;;
esac

# L1's kernel has a Landlock that is too old; landlock.sh has one that will do.
case $(uname -r) in
  [1-5].* | 6.[01].*) landlock=false ;;
  *) landlock=true ;;
esac

# config SCRIPT_CPIO CMDLINE [LANDLOCK]: a VM in the words of the API, with its serial port in $log.
config() {
  cat >vm.json <<EOF2
{"console": {"mode": "Pty", "file": null},
 "serial": {"mode": "File", "file": "$log"},
 "disks": [{"path": "disk.img", "readonly": false, "disable_io_uring": true, "disable_aio": true,
            "image_type": "Raw", "id": "data"}],
 "memory": {"size": 268435456, "shared": true},
 "payload": {"kernel": "vmlinuz", "initramfs": "$1", "cmdline": "console=$console panic=-1 quiet $2"},
 "vsock": {"cid": 3, "socket": "vm.sock"},
 "balloon": {"size": 0}, "iommu": true,
 "landlock_enable": ${3:-$landlock}, "landlock_rules": [{"path": "/sys/devices", "access": "rw"}]}
EOF2
}

cat >script <<'EOF2'
echo started
beat=0
while [ ! -e /stop ]; do
  beat=$((beat + 1))
  echo "beat $beat"
  echo "nmi $(sed -n 's/^ *NMI: *\([0-9]*\).*/\1/p' /proc/interrupts)"
  dd if=/dev/zero of=/dev/vda bs=4096 count=1 conv=fsync 2>/dev/null
  sleep 0.2
  if [ "$(cat /sys/block/vda/size)" = 4096 ]; then
    echo larger
    break
  fi
done
sleep 1000
EOF2
beats() { grep -c '^beat' "$log"; }

printf 'script\n' | cpio -o -H newc 2>/dev/null >script.cpio
cat guest-virtio.cpio script.cpio >guest-script.cpio
dd if=/dev/zero of=disk.img bs=1M count=1 2>/dev/null
config guest-script.cpio 'vmm.test=script modules=virtio_pci,virtio_blk,virtio_balloon,virtio_console'
: >"$log"
api-call --listen api.sock vmm-reference --api-socket fd=3 --event-monitor path=events.json \
  </dev/null 2>vmm.err &
vmm_pid=$!
until [ -S api.sock ]; do sleep 0.1; done

check 'api: ping' answers 200 GET vmm.ping
check 'api: there is no VM yet' answers 404 GET vm.info
if ! $landlock; then
  config guest-script.cpio '' true
  check 'api: landlock_enable is refused where the kernel has not enough of it' answers 500 PUT vm.create vm.json
  check 'api: and it is told why' grep -q '[Ll]andlock' answer
  config guest-script.cpio 'vmm.test=script modules=virtio_pci,virtio_blk,virtio_balloon,virtio_console'
fi
check 'api: create' answers 204 PUT vm.create vm.json
check 'api: the VM is created' [ "$(state)" = Created ]
pty=$(sed -n 's|.*"console":{"mode":"Pty","file":"\(/dev/pts/[0-9]*\)".*|\1|p' answer)
check "api: info knows the console's pty" [ -c "$pty" ]
check 'api: boot' answers 204 PUT vm.boot
check 'api: the vsock socket is there once boot has answered' [ -S vm.sock ]
check 'api: the VM runs' [ "$(state)" = Running ]
check 'api: a second boot is refused' answers 500 PUT vm.boot
api GET vm.info
check 'api: info tells where its disk is, below its transport' \
  grep -q '"_virtio-pci-data":{[^}]*"children":\["data"\],"pci_bdf":"0000:[0-9a-f:]*\.0"}' answer
check 'api: the guest gets to its script' says '^beat 3' 1 120
not_behind=$(grep -l '^Seccomp:[^2]*$' /proc/"$vmm_pid"/task/*/status | wc -l)
check "api: each thread has its filter, vCPU's and disk's too" [ "$not_behind" = 0 ]
check 'api: counters' answers 200 GET vm.counters
check "api: the disk's are among them" grep -q '"data":{"activations":1,.*"write_ops":[1-9]' answer

if [ "$arch" = x86_64 ]; then
  check 'api: nmi' answers 204 PUT vm.nmi
  check 'api: the guest counts an NMI' says '^nmi 1' 1 30
  check 'api: nmi again' answers 204 PUT vm.nmi
  check 'api: the guest counts another one' says '^nmi 2' 1 30
else
  check 'api: there is no nmi' answers 500 PUT vm.nmi
fi

check 'api: pause' answers 204 PUT vm.pause
check 'api: the VM is paused' [ "$(state)" = Paused ]
before=$(beats)
sleep 3
check 'api: a paused guest does nothing' [ "$(beats)" = "$before" ]
check "api: the disk's thread stands still" [ "$(call_of data)" = "$futex" ]
check "api: and so does the IOMMU's" [ "$(call_of __iommu)" = "$futex" ]
check 'api: a second pause is refused' answers 500 PUT vm.pause
check 'api: a boot of a paused VM is refused' answers 500 PUT vm.boot
check 'api: resume' answers 204 PUT vm.resume
check 'api: a resumed guest goes on' says "^beat $((before + 3))" 1 60
check "api: and the IOMMU's thread waits for its driver" [ "$(call_of __iommu)" != "$futex" ]
check 'api: a second resume is refused' answers 500 PUT vm.resume

echo '{"desired_balloon": 67108864}' >balloon.json
check 'api: resize: the balloon' answers 204 PUT vm.resize balloon.json
tenths=900
until api GET vm.info && grep -q '"memory_actual_size":201326592' answer || [ "$tenths" = 0 ]; do
  sleep 0.1
  tenths=$((tenths - 1))
done
check 'api: the guest gives the memory back' grep -q '"memory_actual_size":201326592' answer
echo '{"id": "data", "desired_size": 2097152}' >disk.json
check 'api: resize-disk' answers 204 PUT vm.resize-disk disk.json
check 'api: the guest sees the larger disk' says '^larger' 1 60
echo '{"id": "nobody", "desired_size": 2097152}' >disk.json
check 'api: resize-disk: no such disk' answers 404 PUT vm.resize-disk disk.json

check 'api: pause again' answers 204 PUT vm.pause
check 'api: shutdown of a paused VM' answers 204 PUT vm.shutdown
check 'api: the VM is created, not running' [ "$(state)" = Created ]
check 'api: its vsock socket is gone' [ ! -e vm.sock ]
check 'api: boot anew' answers 204 PUT vm.boot
check 'api: the guest is there again' says '^Welcome' 2 120
check 'api: reboot' answers 204 PUT vm.reboot
check 'api: the guest is there once more' says '^Welcome' 3 120
mv vmlinuz kernel.away
check 'api: a reboot without the kernel fails' answers 500 PUT vm.reboot
check 'api: and says why' grep -q 'vmlinuz: open' answer
mv kernel.away vmlinuz
check 'api: the VM is created then' [ "$(state)" = Created ]
check 'api: and can boot' answers 204 PUT vm.boot
check 'api: the guest is there after that' says '^Welcome' 4 120
check 'api: vmm.shutdown' answers 200 PUT vmm.shutdown
finish 20
check 'api: the VMM ends with 0' [ "$vmm_status" = 0 ]
check 'api: who gave the socket keeps it' [ -S api.sock ]
events | grep -v '^virtio-device' >seen
cat >wanted <<'EOF2'
vmm starting
vmm started
vm booting
vm booted
vm pausing
vm paused
vm resuming
vm resumed
vm resizing
vm resized
vm pausing
vm paused
vm shutdown
vm booting
vm booted
vm rebooting
vm rebooted
vm rebooting
vm booting
vm booted
vm shutdown
vm deleted
vmm shutdown
EOF2
check 'api: the events in their order' cmp -s seen wanted
check 'api: the disk was activated' sh -c "grep -q '\"id\": \"data\"' events.json"

# What the host cannot give to a vCPU or a disk ends the boot, not the VMM.
log=serial3.log
: >"$log"
rm -f api.sock events.json
vmm-reference --api-socket api.sock --event-monitor path=events.json </dev/null 2>vmm.err &
vmm_pid=$!
until [ -S api.sock ]; do sleep 0.1; done
placed() { # CPUS QUEUE_CPUS
  cat >vm.json <<EOF2
{"console": {"mode": "Off"}, "serial": {"mode": "File", "file": "$log"},
 "cpus": {"boot_vcpus": 2, "max_vcpus": 2, "affinity": [{"vcpu": 1, "host_cpus": [$1]}]},
 "disks": [{"path": "disk.img", "image_type": "Raw", "queue_affinity": [{"queue_index": 0, "host_cpus": [$2]}]}],
 "payload": {"kernel": "vmlinuz", "initramfs": "guest.cpio", "cmdline": "console=$console quiet vmm.test=idle"}}
EOF2
  answers 204 PUT vm.create vm.json
}
placed 100 0
check 'api: a boot whose vCPU has no place fails' answers 500 PUT vm.boot
check 'api: and says which' grep -q 'affinity: vCPU 1: host CPUs \[100\]' answer
check 'api: the VM without a place is created' [ "$(state)" = Created ]
check 'api: no guest has run' sh -c '! grep -q booted events.json && [ ! -s serial3.log ]'
answers 204 PUT vm.delete
placed 0 100
check 'api: a boot whose disk has no place fails' answers 500 PUT vm.boot
check 'api: and says which queue' grep -q '_disk0: queue_affinity: host CPUs \[100\]' answer
answers 204 PUT vm.delete
placed 0 0
check 'api: with places it boots' answers 204 PUT vm.boot
check 'api: the guest with places is there' says '^Welcome' 1 120
kill -TERM "$vmm_pid"
finish 10
check 'api: the VMM has lived through it' [ "$vmm_status" = 0 ]

# The guest's own power-off ends the VMM, or with --no-shutdown leaves it.
log=serial2.log
config guest.cpio vmm.test=button
: >"$log"
rm -f api.sock
vmm-reference --api-socket api.sock --no-shutdown --event-monitor path=events.json </dev/null 2>vmm.err &
vmm_pid=$!
until [ -S api.sock ]; do sleep 0.1; done
check 'api: create and boot' sh -c 'api-call api.sock PUT vm.create vm.json && api-call api.sock PUT vm.boot'
says '^Welcome' 1 120
sleep 1
check 'api: power-button' answers 204 PUT vm.power-button
tenths=600
until [ "$(state)" = Created ] || [ "$tenths" = 0 ]; do
  sleep 0.1
  tenths=$((tenths - 1))
done
check 'api: --no-shutdown: the VM is created after the guest has powered off' [ "$(state)" = Created ]
check 'api: --no-shutdown: the guest did see the button' grep -q '^guest: power button' "$log"
check 'api: delete' answers 204 PUT vm.delete
kill -TERM "$vmm_pid"
finish 10
check 'api: SIGTERM ends the VMM with 0' [ "$vmm_status" = 0 ]
check 'api: it takes its socket away' [ ! -e api.sock ]
