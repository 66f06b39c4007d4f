# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# shellcheck shell=sh source=lib.sh
# on request
# needs: vmm-reference vmlinuz guest-virtio.cpio vsock-peer
# timeout: 400
. ./lib.sh

guest_files=vsock-peer
head -c 8388608 /dev/urandom >big
sum=$(sha256sum <big | cut -c 1-64)

# What the guest does, and what it finds on its host.
cat >script <<'EOF'
peer=/vsock-peer
dd if=/dev/urandom of=/big bs=1M count=8 2>/dev/null

$peer cat vsock:2:1000 </big | cmp - /big && echo 'echo: 8 MiB came back'
$peer cat vsock:2:1001 </big
echo "sent $(sha256sum </big | cut -c 1-64)"
$peer cat vsock:2:1999 </dev/null || echo 'refused as nobody listens'
$peer many vsock:2:1000 64
$peer messages vsock-seq:2:1002 60
$peer cat vsock:2:1002 </dev/null || echo 'refused as the host listens for messages'

$peer echo vsock:-1:2000 &
$peer drain vsock:-1:2001 >/drained &
drain=$!
$peer drain vsock:-1:2999 >/dev/null &
last=$!
echo 'guest: ready for its host'
wait $drain
echo "received $(sha256sum </drained | cut -c 1-64)"
wait $last
EOF

# host_peers: what waits for the guest.
host_peers() {
  vsock-peer echo unix:vm.sock_1000 &
  vsock-peer drain unix:vm.sock_1001 >drained &
  vsock-peer echo unix-seq:vm.sock_1002 &
}

host_side() {
  vsock-peer cat hybrid:vm.sock:2000 <big >back
  check "$1: from the host: 8 MiB come back" cmp -s big back
  vsock-peer cat hybrid:vm.sock:2001 <big >answer
  check "$1: from the host: the guest answers after the end of what it was sent" \
    grep -q '^drained 8388608$' answer
  vsock-peer cat hybrid:vm.sock:2998 </dev/null 2>refused
  check "$1: from the host: refused as nobody listens" grep -q 'port 2998: refused' refused
  vsock-peer many hybrid:vm.sock:2000 64 >many
  check "$1: from the host: 64 connections at once" grep -q '64 connections' many

  sleep 100 | vsock-peer cat hybrid:vm.sock:2000 >/dev/null &
  victim=$!
  sleep 1
  kill -9 $victim
  echo again | vsock-peer cat hybrid:vm.sock:2000 >back
  check "$1: after a client was killed, the next one is served" grep -q again back
  echo | vsock-peer cat hybrid:vm.sock:2999 >/dev/null
}

vsock() { # NAME MODULES OPTIONS...
  what=$1 modules=$2
  shift 2
  host_peers
  guest_with_script "modules=$modules,vmw_vsock_virtio_transport" --vsock cid=3,socket=vm.sock "$@"
  says '^guest: ready for its host' 1 200
  host_side "$what"
  boots "$what: a guest with a socket device boots"
  check "$what: from the guest: 8 MiB come back" says '^echo: 8 MiB came back' 1 0
  check "$what: from the guest: the host answers after the end of what it was sent" \
    says '^drained 8388608' 1 0
  check "$what: from the guest: the host has what it sent" \
    says "^sent $(sha256sum <drained | cut -c 1-64)" 1 0
  check "$what: from the guest: refused as nobody listens" says '^refused as nobody' 1 0
  check "$what: from the guest: 64 connections at once" says '^many: 64' 1 0
  check "$what: from the guest: messages keep their boundaries" says '^messages: 60' 1 0
  check "$what: from the guest: refused as types differ" says '^refused as the host' 1 0
  check "$what: from the host: the guest has what it was sent" says "^received $sum" 1 0
  check "$what: the socket is gone afterwards" [ ! -e vm.sock ]
  killall vsock-peer 2>/dev/null
  rm -f vm.sock_*
}

vsock 'vsock over PCI' virtio_pci
vsock 'vsock over MMIO' virtio_mmio --transport mmio
