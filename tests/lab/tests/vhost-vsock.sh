# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# shellcheck shell=sh source=lib.sh
# needs: vmm-reference vmlinuz guest-virtio.cpio vsock-peer
# timeout: 600
. ./lib.sh
# shellcheck source=lib-vsock.sh
. ./lib-vsock.sh

if [ -e /dev/vhost-vsock ]; then
  skip 'vhost-vsock: without the module it is refused by name' 'the module is loaded'
else
  vmm-reference --kernel vmlinuz --vsock cid=3,vhost=on >refused 2>&1
  check 'vhost-vsock: without the module it is refused by name' \
    grep -q 'vsock: cid=3,vhost=on: open the vhost-vsock device: No such file' refused
fi
modprobe vhost_vsock

conversation >conversation.sh

# Bytes that the VMM's system calls have moved.
moved() { awk '/^[rw]char/ { sum += $2 } END { print sum }' "/proc/$vmm_pid/io"; }

vsock() { # NAME MODULES OPTIONS...
  what=$1 modules=$2
  shift 2
  host_listens vsock:-1: vsock-seq:-1:
  cp conversation.sh script
  guest_with_script "modules=$modules,vmw_vsock_virtio_transport" --vsock cid=3,vhost=on "$@"
  says '^Welcome'
  before=$(moved)
  says '^guest: ready for its host' 1 200
  during=$(($(moved) - before))
  check "$what: the VMM has moved no packet" [ "$during" -lt 1000000 ]
  vmm-reference --kernel vmlinuz --vsock cid=3,vhost=on >refused 2>&1
  check "$what: a CID in use is refused" grep -q 'SET_GUEST_CID: Address already in use' refused
  host_talks "$what" vsock:3 'connect: Connection reset'
  vsock-peer messages vsock-seq:3:2002 60 >boundaries
  check "$what: from the host: messages keep their boundaries" grep -q '^messages: 60' boundaries
  echo | vsock-peer cat vsock:3:2999 >/dev/null
  guest_talked "$what"
}

vsock 'vhost-vsock over PCI' virtio_pci
vsock 'vhost-vsock over MMIO' virtio_mmio --transport mmio

resetting >script
host_counts vsock:-1:
guest_with_script 'reboot=acpi modules=virtio_pci,vmw_vsock_virtio_transport' \
  --vsock cid=3,vhost=on
says '^guest: ready for its host' 1 200
guest_lived_twice vhost-vsock vsock:3
