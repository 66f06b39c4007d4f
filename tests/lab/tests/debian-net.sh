# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# shellcheck shell=sh source=lib.sh
# needs: vmm-reference vmlinuz debian
# timeout: 900
. ./lib.sh
# shellcheck source=../debian/lib.sh
. ./debian.sh

# A namespace with nothing in it but the tap that the VMM makes and the servers.
modprobe tun
unshare -n sleep 10000 &
space=$!
enter="nsenter -t $space -n"
in_space() { nsenter -t "$space" -n "$@"; }
until [ "$(readlink /proc/$space/ns/net)" != "$(readlink /proc/self/ns/net)" ]; do sleep 0.1; done
in_space ip link set lo up
tap_server() { in_space env -i PATH=/usr/bin chroot debian-tools iperf3 -s -D "$@"; }
tap_server -p 5201

cat >script <<'END'
card() { basename "$(dirname "$(grep -l "$1" /sys/class/net/*/address)")"; }
tap=$(card 12:34:56:78:90:01)
user=$(card 12:34:56:78:90:02)
ip link set $tap up
ip link set $user up
ip addr add 192.0.2.2/24 dev $tap
ip addr add 10.0.2.15/24 dev $user

# ping NAME ADDRESS OPTION...
ping_to() {
  name=$1 address=$2
  shift 2
  echo "ping $name: $(ping -q -c 5 -i 0.3 -W 10 "$@" $address | grep -o '[0-9]* received')"
}
# iperf NAME ADDRESS OPTION...: what the other side has got, in kB/s.
iperf() {
  name=$1 address=$2
  shift 2
  iperf3 -c $address -t 3 -f K "$@" >/tmp/iperf 2>&1
  echo "iperf $name: $? $(sed -n 's/.* \([0-9.]*\) KBytes.sec.*receiver/\1/p' /tmp/iperf) kB/s"
}
ping_to tap 192.0.2.1
ping_to tap-large 192.0.2.1 -s 9000
iperf tap-up 192.0.2.1
iperf tap-down 192.0.2.1 -R
iperf tap-udp 192.0.2.1 -u -b 4M -l 1400
ping_to user 10.0.2.2
iperf user-up 10.0.2.2
iperf user-down 10.0.2.2 -R
END
script_disk
debian --disk path=script.img,image_type=raw,readonly=on,serial=script \
  --net tap=vmm0,ip=192.0.2.1,mask=255.255.255.0,mac=12:34:56:78:90:01 \
  --net "user=on,mac=12:34:56:78:90:02,hostfwd=[tcp:2222:22]"
login 'Debian boots to a login' || exit
run_script 'it uses its networks' 300
for name in tap tap-large user; do
  check "ping over $name" says "^ping $name: 5 received" 1 0
done
for name in tap-up tap-down tap-udp user-up user-down; do
  check "iperf3 over $name" says "^iperf $name: 0 [1-9]" 1 0
done
tr -d '\r' <"$log" | sed -n 's/^iperf/    iperf/p'

# A server of the guest, reached by a forwarded port.
ssh="ssh -q -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null"
head -c 4000000 /dev/urandom >data
sum=$(sha256sum <data)
forwarded=$(in_space env -i HOME=/root PATH=/usr/bin chroot debian-tools \
  $ssh -p 2222 root@127.0.0.1 sha256sum <data)
check 'ssh by a forwarded port, with data' [ "$forwarded" = "$sum" ]
power_off 'it powers off'
kill $space
