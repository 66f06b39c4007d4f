# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# shellcheck shell=sh source=lib.sh
# needs: vmm-reference vmlinuz guest-virtio.cpio
# timeout: 400
. ./lib.sh
# shellcheck source=lib-net.sh
. ./lib-net.sh

head -c 1000000 www/big >www/part
cat >script <<'EOF'
ip link set eth0 up
ip addr add 192.0.2.2/24 dev eth0
ping -c 1 -W 5 192.0.2.1 >/dev/null
now() { cut -d ' ' -f 1 /proc/uptime | tr -d .; }
begin=$(now)
wget -q -O /tmp/part http://192.0.2.1/part
echo "received in $(($(now) - begin))"
begin=$(now)
nc 192.0.2.1 99 </tmp/part
echo "sent in $(($(now) - begin))"
sleep 1 # what is on its way
EOF

# hundredths WORD: of a second, that the guest says this took.
hundredths() { tr -d '\r' <"$log" | sed -n "s/^$1 in \([0-9]*\)\$/\1/p"; }

# limited NAME KEYS LEAST: a megabyte takes at least so many hundredths of a second each way.
limited() {
  httpd -f -p 80 -h www &
  server=$!
  nc -l -p 99 <>silence >back & # it ends with either input
  sink=$!
  guest_with_script 'modules=virtio_pci,virtio_net' \
    --net "tap=vmm0,ip=192.0.2.1,mask=255.255.255.0,$2"
  boots "$1: boots"
  kill $server $sink
  wait $server $sink
  received=$(hundredths received)
  sent=$(hundredths sent)
  check "$1: it holds receiving up" [ "${received:-0}" -ge "$3" ]
  check "$1: it holds sending up" [ "${sent:-0}" -ge "$3" ]
  check "$1: what was sent arrived" cmp back www/part
}

# 100 kB at once, the others with 400 kB a second.
limited 'a limit of bytes' bw_size=100000,bw_refill_time=250 225
