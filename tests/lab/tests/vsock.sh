# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# shellcheck shell=sh source=lib.sh
# core x86_64
# needs: vmm-reference vmlinuz guest-virtio.cpio vsock-peer
# timeout: 400
. ./lib.sh
# shellcheck source=lib-vsock.sh
. ./lib-vsock.sh

conversation >script

vsock() { # NAME MODULES OPTIONS...
  what=$1 modules=$2
  shift 2
  host_listens unix:vm.sock_ unix-seq:vm.sock_
  guest_with_script "modules=$modules,vmw_vsock_virtio_transport" --vsock cid=3,socket=vm.sock "$@"
  says '^guest: ready for its host' 1 200
  host_talks "$what" hybrid:vm.sock 'port 2998: refused'
  echo | vsock-peer cat hybrid:vm.sock:2999 >/dev/null
  guest_talked "$what"
  check "$what: the socket is gone afterwards" [ ! -e vm.sock ]
  rm -f vm.sock_*
}

vsock 'vsock over PCI' virtio_pci
vsock 'vsock over MMIO' virtio_mmio --transport mmio
