# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# shellcheck shell=sh disable=SC2154  # $vmms, $rounds, $memory and $words are set before this
# L1's part of ./dev bench --lab-io: a disk in memory, a tap, a server, and the VMMs that $vmms names, one
# after the other, each with a guest that runs guest.sh. Prints the guests' rows, each with the VMM's
# name before it, and behind it how often the guest's CPU was left for KVM or the VMM during its
# operations.
mount -t debugfs debugfs /sys/kernel/debug
modprobe -a brd tun
dd if=/dev/urandom of=/dev/ram0 bs=1M count=64 2>/dev/null
ip link set lo up
tunctl -t vmm0 >/dev/null
ip addr add 192.0.2.1/24 dev vmm0
ip link set vmm0 up
iperf3 -s >/dev/null &
server=$!

cat guest-virtio.cpio programs.cpio script.cpio >guest.cpio
rm guest-virtio.cpio programs.cpio
cmdline="console=ttyS0 quiet panic=-1 $words vmm.test=script modules=virtio_pci,virtio_blk,virtio_net"

ours() {
  vmm-reference --kernel vmlinuz --initramfs guest.cpio --cmdline "$cmdline" \
    --memory "size=${memory}M" --serial tty --console off \
    --disk path=/dev/ram0,image_type=raw,direct=on --net tap=vmm0
}

# qemu [DISK-OPTION]
qemu() {
  qemu-system-x86_64 -accel kvm -cpu host -M q35 -m "$memory" -nodefaults -no-user-config -no-reboot \
    -display none -serial stdio -kernel vmlinuz -initrd guest.cpio -append "$cmdline" \
    -object iothread,id=io -drive file=/dev/ram0,format=raw,if=none,id=disk,cache=none,aio=io_uring \
    -device "virtio-blk-pci,drive=disk$1" -netdev tap,id=net,ifname=vmm0,script=no,downscript=no \
    -device virtio-net-pci,netdev=net,romfile=
}

# measure VMM
measure() {
  case $1 in
    vmm-reference) ours ;;
    qemu) qemu ;;
    qemu-iothread) qemu ,iothread=io ;;
  esac </dev/null 2>vmm.err | tr -d '\r' | while read -r first line; do
    case $first in
      mark)
        read -r exits </sys/kernel/debug/kvm/exits
        if [ "$line" = begin ]; then begin=$exits; else end=$exits; fi
        ;;
      row) echo "row $1 $line $((end - begin))" ;;
      *) echo "guest: $first $line" ;;
    esac
  done
  sed 's/^/vmm: /' vmm.err
}

while [ "$rounds" -gt 0 ]; do
  for vmm in $vmms; do measure "$vmm"; done
  rounds=$((rounds - 1))
done
kill $server
