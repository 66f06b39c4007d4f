# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# shellcheck shell=sh source=lib.sh
# needs: vmm-reference vmlinuz guest-virtio.cpio vhost-user-rng vhost-user-console vhost-user-vsock vhost-user-gpio vhost-user-i2c vhost-user-blk vsock-peer
# timeout: 400
. ./lib.sh

dd if=/dev/urandom of=disk bs=1M count=2 2>/dev/null
head -c 1048576 /dev/zero | tr '\0' R >random
mkfifo typed

# daemon NAME OPTION...: one of ours, which listens at NAME.sock when this returns.
daemon() {
  name=$1
  shift
  "vhost-user-$name" --socket-path="$name.sock" "$@" 2>>"$name.err" &
  daemons="$daemons $!"
  until [ -S "$name.sock" ] || ! kill -0 $!; do sleep 0.1; done
}

cat >script <<'EOS'
for device in /sys/bus/virtio/devices/virtio*; do
  echo "type $(($(cat $device/device)))."
done
# The VM has an entropy device of the VMM's as well; what the last one gave is read first.
for rng in $(cat /sys/class/misc/hw_random/rng_available); do
  echo "$rng" >/sys/class/misc/hw_random/rng_current
  echo "random=$(head -c 1024 /dev/hwrng | tail -c 16 | tr -cd R)"
done
echo "disk=$(sha256sum </dev/vda)"
dd if=/dev/vda of=/dev/vda bs=64k count=8 seek=8 conv=fsync,notrunc 2>/dev/null
exec 3<>/dev/hvc0
echo 'the guest on its console' >&3
read -r line <&3
echo "console=$line"
echo 'over vsock' | /vsock-peer cat vsock:2:1000 | sed 's/^/vsock=/'
EOS
guest_files=vsock-peer

for transport in pci mmio; do
  what="devices of other processes, $transport"
  daemons=''
  cp disk copy
  cp disk expected
  dd if=disk of=expected bs=64k count=8 seek=8 conv=notrunc 2>/dev/null
  rm -f ./*.sock vm.sock_*
  daemon rng --filename="$PWD/random"
  daemon blk --blk-file=copy --format=raw
  sh -c 'exec vhost-user-console --socket-path=console.sock --stdio <>typed >printed 2>console.err' &
  daemons="$daemons $!"
  daemon vsock --guest-cid=5 --uds-path=vm.sock
  daemon gpio --device-list=sim:8
  daemon i2c --device-list=sim:80
  until [ -S console.sock ]; do sleep 0.1; done
  vsock-peer echo unix:vm.sock_1000 &
  peer=$!
  guest_with_script \
    'modules=virtio_pci,virtio_mmio,virtio-rng,virtio_blk,virtio_console,vmw_vsock_virtio_transport' \
    --transport $transport --memory size=512M,shared=on --console off \
    --generic-vhost-user 'device_type=rng,queue_sizes=[8],socket=rng.sock' \
    'device_type=2,queue_sizes=[128],socket=blk.sock,id=disk' \
    'virtio_id=3,queue_sizes=[64,64],socket=console.sock' \
    'device_type=vsock,queue_sizes=[128,128,16],socket=vsock.sock' \
    --generic-vhost-user 'device_type=gpio,queue_sizes=[64,64],socket=gpio.sock' \
    'device_type=i2c,queue_sizes=[64],socket=i2c.sock'
  tenths=900
  until grep -q 'the guest on its console' printed || [ $tenths = 0 ]; do
    sleep 0.1
    tenths=$((tenths - 1))
  done
  echo 'the host types' >typed
  boots "$what: boots"
  for type in 2 3 4 19 34 41; do
    check "$what: the guest finds type $type" says "^type ${type}[.]" 1 0
  done
  check "$what: random bytes are the daemon's" says '^random=RRRRRRRRRRRRRRRR' 1 0
  check "$what: the guest reads the disk" says "^disk=$(sha256sum <disk)" 1 0
  check "$what: and writes it" cmp copy expected
  check "$what: the guest prints on the console" grep -q 'the guest on its console' printed
  check "$what: and reads from it" says '^console=the host types' 1 0
  check "$what: a socket of the guest" says '^vsock=over vsock' 1 0
  # shellcheck disable=SC2086  # a list of words
  kill $peer $daemons 2>/dev/null
  wait
done
