# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# shellcheck shell=sh source=lib.sh
# needs: vmm-reference vmm-net-user vmlinuz debian
# timeout: 1200
# on request aarch64
. ./lib.sh
# shellcheck source=lib-debian.sh
. ./lib-debian.sh

# A namespace with nothing in it but the tap that the VMM makes, and the servers.
modprobe tun
unshare -n sleep 10000 &
space=$!
enter="nsenter -t $space -n"
until [ "$(readlink /proc/$space/ns/net)" != "$(readlink /proc/self/ns/net)" ]; do sleep 0.1; done
$enter ip link set lo up
tool_in_space() { $enter env -i PATH=/usr/bin HOME=/root chroot debian-tools "$@"; }
tool_in_space iperf3 -s >/dev/null &

# Whoever asks port 5000 of the host sends something, closes its half and gets the checksum.
tool socat UNIX-LISTEN:/mnt/vsock.sock_5000,fork SYSTEM:sha256sum &

cat >script <<'END'
card() { basename "$(dirname "$(grep -l "$1" /sys/class/net/*/address)")"; }
tap=$(card 12:34:56:78:90:01)
user=$(card 12:34:56:78:90:02)
ip link set $tap up
ip link set $user up
ip addr add 192.0.2.2/24 dev $tap
ip addr add 10.0.2.15/24 dev $user

# ping_to NAME ADDRESS OPTION...
ping_to() {
  name=$1 address=$2
  shift 2
  echo "ping $name: $(ping -q -c 5 -i 0.3 -W 10 "$@" $address | grep -o '[0-9]* received')"
}
# iperf NAME ADDRESS OPTION...: exit status, and what has arrived, in kB/s.
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

systemctl start ssh-vsock.socket
socat VSOCK-LISTEN:6000,fork SYSTEM:sha256sum &
head -c 3000000 /dev/urandom >/tmp/data
asked=$(socat -t 100 - VSOCK-CONNECT:2:5000 </tmp/data)
[ "$asked" = "$(sha256sum </tmp/data)" ] && echo 'guest to host: the same'
END
script_disk
debian --disk path=script.img,image_type=raw,readonly=on,serial=script \
  --net tap=vmm0,ip=192.0.2.1,mask=255.255.255.0,mac=12:34:56:78:90:01 \
  --net 'user=on,mac=12:34:56:78:90:02,hostfwd=[tcp:2222:22]' \
  --vsock cid=3,socket=vsock.sock
login 'Debian boots to a login' || exit
run_script 'it uses its networks' 300
for name in tap tap-large user; do
  check "ping over $name" says "^ping $name: 5 received" 1 0
done
for name in tap-up tap-down tap-udp user-up user-down; do
  check "iperf3 over $name" says "^iperf $name: 0 [1-9]" 1 0
done
tr -d '\r' <"$log" | sed -n 's/^iperf/    iperf/p'
check 'vsock to the host: data, half closed, and the answer' says '^guest to host: the same' 1 0

head -c 4000000 /dev/urandom >data
sum=$(sha256sum <data)

# connect PORT: standard input and output become a connection to that port of the guest.
cat >connect <<'END'
(echo "CONNECT $1"; cat) | socat -t 100 - UNIX-CONNECT:/mnt/vsock.sock
END
tool sh /mnt/connect 6000 <data >answer
check 'vsock to the guest: the connection is announced' grep -q '^OK [0-9]*$' answer
check 'vsock to the guest: data, half closed, and the answer' [ "$(tail -n 1 answer)" = "$sum" ]

# ssh TOOL-FUNCTION OPTION...: as root, with the key that Debian's image has at both ends.
ssh() {
  run=$1
  shift
  $run ssh -q -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null "$@"
}
over_vsock() { ssh tool -o 'ProxyCommand=sh /mnt/connect 22' root@guest "$@"; }
check 'ssh over vsock: a command' [ "$(over_vsock hostname </dev/null)" = guest ]
check 'ssh over vsock: data to the guest' [ "$(over_vsock sha256sum <data)" = "$sum" ]
over_vsock 'cat /tmp/data; sha256sum </tmp/data' </dev/null >back
check 'ssh over vsock: data from the guest' \
  [ "$(head -c 3000000 back | sha256sum)" = "$(tail -c +3000001 back)" ]
check 'ssh over a forwarded port of the user-mode network' \
  [ "$(ssh tool_in_space -p 2222 root@127.0.0.1 sha256sum <data)" = "$sum" ]
power_off 'it powers off'
kill $space
