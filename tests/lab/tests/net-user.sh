# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# shellcheck shell=sh source=lib.sh
# core aarch64
# needs: vmm-reference vmm-net-user vmlinuz guest-virtio.cpio
# timeout: 400
. ./lib.sh
# shellcheck source=lib-net.sh
. ./lib-net.sh

cat >script <<'EOF'
cat >/tmp/dhcp <<'END'
#!/bin/sh
[ "$1" = bound ] || exit 0
ip addr add "$ip/24" dev "$interface"
ip route add default via "$router"
echo "leased $ip, router $router, dns $dns"
END
chmod +x /tmp/dhcp
ip link set eth0 up
udhcpc -i eth0 -t 30 -n -q -s /tmp/dhcp
ping -A -c 3 -W 5 10.0.2.2 | grep received
wget -q -O /tmp/big http://10.0.2.2/big
echo "got $(sha256sum </tmp/big)"
echo serving
nc -l -p 80 </tmp/big
sleep 1 # what is on its way
EOF

start_guest() {
  guest_with_script 'modules=virtio_pci,virtio_net' --net 'user=on,hostfwd=[tcp:8080:80]'
}

httpd -f -p 127.0.0.1:80 -h www &
server=$!
start_guest
check 'user: the guest gets to its server' says '^serving' 1 100
helper=$(pidof vmm-net-user)
check 'user: the network has lost its privileges' grep -q '^CapEff:[[:space:]]*0*$' \
  "/proc/$helper/status"
nc 127.0.0.1 8080 <>silence >back # it ends with either input
boots 'user: boots'
check 'user: DHCP' says '^leased 10.0.2.15, router 10.0.2.2, dns 10.0.2.3' 1 0
check 'user: the host answers pings' says '^3 packets transmitted, 3 packets received' 1 0
check 'user: the guest fetches a file from the host' says "^got $sum" 1 0
check 'user: the host fetches it through a forwarded port' [ "$(sha256sum <back)" = "$sum" ]
check 'user: the network ends with the VMM' [ ! -e "/proc/$helper" ]

# Whatever ends the VMM.
start_guest
says '^leased' 1 100
helper=$(pidof vmm-net-user)
kill -9 "$vmm_pid"
wait "$vmm_pid" 2>/dev/null
tenths=600
while [ -e "/proc/$helper" ] && [ $tenths -gt 0 ]; do
  sleep 0.1
  tenths=$((tenths - 1))
done
check 'user: the network ends with a VMM that is killed' [ ! -e "/proc/$helper" ]
kill $server

vmm-reference --kernel vmlinuz --net 'user=on,hostfwd=[tcp:192.0.2.77:80:80]' 2>port.err
check 'user: a port that cannot be opened is named' \
  grep -q 'vmm-net-user: --hostfwd: port 80 of the host: listen: ' port.err
mv vmm-net-user elsewhere
vmm-reference --kernel vmlinuz --net user=on 2>absent.err
check 'user: an absent program is named' grep -q \
  'net: user: there is no program vmm-net-user beside vmm-reference or in PATH' absent.err
