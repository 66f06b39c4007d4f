# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# shellcheck shell=sh source=lib.sh
# needs: vmm-reference vmlinuz debian
# timeout: 900
. ./lib.sh
# shellcheck source=../debian/lib.sh
. ./debian.sh

head -c 4000000 /dev/urandom >data
sum=$(sha256sum <data)

# Whoever asks port 5000 of the host sends something, closes its half and gets the checksum.
tool socat UNIX-LISTEN:/mnt/vsock.sock_5000,fork SYSTEM:sha256sum &
server=$!
cat >script <<'END'
systemctl start ssh-vsock.socket
socat VSOCK-LISTEN:6000,fork SYSTEM:sha256sum &
head -c 3000000 /dev/urandom >/tmp/data
asked=$(socat -t 100 - VSOCK-CONNECT:2:5000 </tmp/data)
[ "$asked" = "$(sha256sum </tmp/data)" ] && echo 'guest to host: the same'
END
script_disk
debian --vsock cid=3,socket=vsock.sock \
  --disk path=script.img,image_type=raw,readonly=on,serial=script
login 'Debian boots to a login' || exit
run_script 'it talks to the host' 200
check 'guest to host: data, half closed, and the answer' says '^guest to host: the same' 1 0

# connect PORT: standard input and output become a connection to that port of the guest.
cat >connect <<'END'
(echo "CONNECT $1"; cat) | socat -t 100 - UNIX-CONNECT:/mnt/vsock.sock
END
answer=$(tool sh /mnt/connect 6000 <data)
check 'host to guest: data, half closed, and the answer' \
  [ "$(echo "$answer" | sed -n 2p)" = "$sum" ]
check 'host to guest: the connection is announced' \
  sh -c "echo '$answer' | head -n 1 | grep -q '^OK [0-9]*$'"

over_ssh() {
  tool ssh -q -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null \
    -o 'ProxyCommand=sh /mnt/connect 22' root@guest "$@"
}
check 'ssh over vsock: a command' [ "$(over_ssh 'cat /etc/hostname' </dev/null)" = guest ]
check 'ssh over vsock: data to the guest' [ "$(over_ssh sha256sum <data)" = "$sum" ]
check 'ssh over vsock: data from the guest' \
  [ "$(over_ssh 'cat /tmp/data' </dev/null | sha256sum)" = "$(over_ssh 'sha256sum </tmp/data' </dev/null)" ]
power_off 'it powers off'
kill $server
