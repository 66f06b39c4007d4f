# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# shellcheck shell=sh disable=SC2154 # what lib.sh sets
# For the tests of networks: files to send, and who sends and takes them in L1.

modprobe tun
modprobe macvtap
# A network of the test's own, also on a host with KVM.
if [ -z "${own_network:-}" ]; then
  export own_network=yes
  exec unshare -n sh "$0"
fi
ip link set lo up
mkdir -p www
mkfifo silence # an input that does not end
dd if=/dev/urandom of=www/big bs=1M count=4 2>/dev/null
sum=$(sha256sum <www/big)

# features BIT...: what the driver has of them, a digit each.
features() {
  for bit in "$@"; do
    tr -d '\r' <"$log" | sed -n 's/^features //p' | cut -c $((bit + 1))
  done | tr -d '\n'
}

# transfer NAME OPTIONS: a guest runs the script, which pings, fetches www/big, prints "got SUM" and
# sends it back to port 99. Meanwhile $while_running is called.
transfer() {
  what=$1
  shift
  httpd -f -p 80 -h www &
  server=$!
  nc -l -p 99 <>silence >back & # it ends with either input
  sink=$!
  guest_with_script 'modules=virtio_pci,virtio_mmio,virtio_net' "$@"
  ${while_running:-true}
  boots "$what: boots"
  kill $server $sink 2>/dev/null
  wait $server $sink 2>/dev/null
  check "$what: small packets" says '^3 packets transmitted, 3 packets received' 1 0
  check "$what: packets in fragments" says '^2 packets transmitted, 2 packets received' 1 0
  check "$what: the guest receives a file as it is" says "^got $sum" 1 0
  check "$what: the guest sends it as it is" [ "$(sha256sum <back)" = "$sum" ]
}
