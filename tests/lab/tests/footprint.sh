# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# shellcheck shell=sh source=lib.sh
# core x86_64
# needs: vmm-reference vmlinuz guest.cpio guest-virtio.cpio api-call
. ./lib.sh

# Resident memory outside the guest's: every mapping below 32 MiB (the guest has 512).
beyond_guest_kb() {
  awk '$1 == "Size:" { size = $2 } $1 == "Rss:" && size < 32768 { sum += $2 } END { print sum }' \
    "/proc/$vmm_pid/smaps"
}

guest vmm.test=idle
says '^Welcome'
rss=$(beyond_guest_kb)
echo "resident beyond guest memory: $rss KiB"
# Nearly all of it is the program's own text, which the kernel maps 64 KiB around each touched page.
check 'at most 4.25 MiB resident beyond guest memory' [ "$rss" -le 4352 ]
kill -TERM "$vmm_pid"
finish 10
check 'it leaves nothing behind' [ -z "$(pgrep vmm-reference)" ]

# The same with a disk, a network and a socket that the guest has drivers for, and the API.
modprobe tun
dd if=/dev/zero of=disk.img bs=1M count=4 2>/dev/null
start --kernel vmlinuz --initramfs guest-virtio.cpio --api-socket api.sock \
  --cmdline "console=$console panic=-1 quiet vmm.test=idle \
modules=virtio_pci,virtio_blk,virtio_net,vmw_vsock_virtio_transport" \
  --disk path=disk.img,image_type=raw --net tap=foot0 --vsock cid=3,socket=vm.sock
says '^Welcome'
api-call api.sock GET vm.counters >counters
rss=$(beyond_guest_kb)
echo "resident beyond guest memory, with disk, network and socket: $rss KiB"
check 'at most 5 MiB resident with a disk, a network and a socket' [ "$rss" -le 5120 ]
check 'the three are in use' [ "$(grep -o '"activations":1' counters | wc -l)" = 3 ]
kill -TERM "$vmm_pid"
finish 10

# From exec to the first answer of the API: processor time, of a machine that is emulated; the best
# of some, as what its host does meanwhile counts as well.
least_us=''
for _ in 1 2 3 4 5; do
  vmm-reference --api-socket api.sock </dev/null 2>vmm.err &
  vmm_pid=$!
  until api-call api.sock GET vmm.ping >/dev/null 2>&1; do sleep 0.01; done
  cpu_us=$(($(cut -d ' ' -f 1 "/proc/$vmm_pid/schedstat") / 1000))
  echo "processor time to the first answer of the API: $cpu_us us"
  if [ "$cpu_us" -lt "${least_us:-999999999}" ]; then least_us=$cpu_us; fi
  kill -TERM "$vmm_pid"
  finish 10
done
check 'the API answers after at most 250 ms of an emulated, shared processor' [ "$least_us" -le 250000 ]
