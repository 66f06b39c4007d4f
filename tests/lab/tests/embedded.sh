# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# shellcheck shell=sh source=lib.sh
# core
# needs: embedded vmlinuz guest-virtio.cpio
# arch: aarch64
# timeout: 400
. ./lib.sh

# examples/embedded: a board with a GIC, a PL011, and a console, a disk and a network behind
# virtio-mmio; no PCI, no ACPI.

# board [NAME=VALUE...]: the guest with its drivers, which runs the file `script`.
board() {
  echo script | cpio -o -H newc 2>/dev/null >script.cpio
  cat guest-virtio.cpio script.cpio >guest-script.cpio
  : >"$log"
  embedded kernel=vmlinuz initramfs=guest-script.cpio memory=256 \
    cmdline="console=$console panic=-1 quiet vmm.test=script modules=virtio_mmio,virtio_console,virtio_blk,virtio_net" \
    "$@" <typed >"$log" 2>vmm.err &
  vmm_pid=$!
}

modprobe tun 2>/dev/null || true
# A network of the test's own, also on a host with KVM.
if [ -z "${own_network:-}" ]; then
  export own_network=yes
  exec unshare -n sh "$0"
fi
dd if=/dev/zero of=disk.img bs=1M count=8 2>/dev/null
mkfifo typed
cat >script <<'EOF'
echo "cpus $(grep -c ^processor /proc/cpuinfo)"
echo "buses $(ls /sys/bus/pci/devices 2>/dev/null | wc -l) $(ls /sys/firmware/acpi 2>/dev/null | wc -l)"
echo "devices $(ls /sys/bus/virtio/devices | wc -l)"
echo "disk $(cat /sys/block/vda/size)"
echo written by the guest | dd of=/dev/vda bs=512 conv=sync 2>/dev/null
sync
ip link set eth0 up
ip addr add 192.0.2.2/24 dev eth0
ping -c 2 -w 20 192.0.2.1 >/dev/null && echo "network works"
exec 3<>/dev/hvc0 # settings last as long as it is open
stty -F /dev/hvc0 raw -echo
echo ready >&3
head -n 1 <&3 | sed 's/^/typed: /'
EOF
board cpus=2 disk=disk.img tap=board0
exec 9>typed
until ip link show board0 >/dev/null 2>&1 || ! alive; do sleep 0.1; done
ip addr add 192.0.2.1/24 dev board0
says '^ready' 1 90
echo a word for the board >&9
boots 'embedded: a guest with two CPUs boots, and powers off'
check 'embedded: it has both CPUs' says '^cpus 2' 1 0
check 'embedded: no PCI and no ACPI' says '^buses 0 0' 1 0
check 'embedded: a console, a disk and a network' says '^devices 3' 1 0
check 'embedded: the disk has its size' says '^disk 16384' 1 0
check 'embedded: what the guest wrote is on it' \
  [ "$(head -c 20 disk.img)" = 'written by the guest' ]
check 'embedded: the network works' says '^network works' 1 0
check 'embedded: what is typed reaches the console' says '^typed: a word for the board' 1 0
exec 9>&-

embedded kernel=/nonexistent >"$log" 2>vmm.err
check 'embedded: without a kernel, exit status 1' [ $? = 1 ]
check 'embedded: and a message' grep -q '^embedded: ' vmm.err
for word in memory=2G cpus=x cpus=0 memory= disc=disk.img quiet unsafe_noiommu=yes; do
  embedded kernel=vmlinuz "$word" >"$log" 2>vmm.err
  check "embedded: $word is refused" [ $? = 2 ]
  check 'embedded: by name' grep -q "^embedded: $word: " vmm.err
done
