# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# shellcheck shell=sh disable=SC2154 # what lib.sh sets
# For the tests of sockets between a guest and its host: what both say to each other.

# shellcheck disable=SC2034 # for lib.sh
guest_files=vsock-peer
head -c 8388608 /dev/urandom >big
sum=$(sha256sum <big | cut -c 1-64)

# listens ARGUMENT...: a peer in the background. all_listen COUNT: waits until that many do.
cat >listens.sh <<'EOF'
listening=/tmp/listening.$$
listens() { ${peer:-vsock-peer} "$@" 2>>$listening & }
all_listen() {
  until [ "$(grep -c '^listening' $listening)" -ge "$1" ]; do sleep 0.1; done
  : >$listening
}
EOF
# shellcheck source=/dev/null
. ./listens.sh

# What the guest does, and what it finds on its host.
conversation() {
  printf 'peer=/vsock-peer\n'
  cat listens.sh - <<'EOF'
dd if=/dev/urandom of=/big bs=1M count=8 2>/dev/null

$peer cat vsock:2:1000 </big | cmp - /big && echo 'echo: 8 MiB came back'
$peer cat vsock:2:1001 </big
echo "sent $(sha256sum </big | cut -c 1-64)"
$peer cat vsock:2:1999 </dev/null || echo 'refused as nobody listens'
$peer many vsock:2:1000 64
$peer messages vsock-seq:2:1002 60
$peer cat vsock:2:1002 </dev/null || echo 'refused as the host listens for messages'

listens echo vsock:-1:2000
listens drain vsock:-1:2001 >/drained
drain=$!
listens echo vsock-seq:-1:2002
listens drain vsock:-1:2999 >/dev/null
last=$!
all_listen 4
echo 'guest: ready for its host'
wait $drain
echo "received $(sha256sum </drained | cut -c 1-64)"
wait $last
EOF
}

# A guest that resets itself while it has a connection, and is asked something afterwards.
resetting() {
  printf 'peer=/vsock-peer\n'
  cat listens.sh - <<'EOF'
number=$($peer cat vsock:2:1003 </dev/null)
echo "life $number"
if [ "$number" = 0 ]; then
  sleep 100 | $peer cat vsock:2:1001 &
  sleep 2
  reboot -f
fi
listens drain vsock:-1:2000
all_listen 1
echo 'guest: ready for its host'
wait $!
EOF
}

# host_listens STREAM MESSAGES: who waits for conversation(); the addresses without their ports.
host_listens() {
  listens echo "$1"1000
  listens drain "$1"1001 >drained
  listens echo "$2"1002
  all_listen 3
}

# host_counts STREAM: who waits for resetting(); makes the file `ended` when the guest's connection ends.
host_counts() {
  listens count "$1"1003
  listens drain "$1"1001 >/dev/null
  drain=$!
  { while kill -0 $drain; do sleep 0.1; done && : >ended; } 2>/dev/null &
  all_listen 2
}

# host_talks NAME GUEST REFUSED: the guest's ports are GUEST:PORT, and the message when nobody takes a
# connection has the words REFUSED.
host_talks() {
  vsock-peer cat "$2:2000" <big >back
  check "$1: from the host: 8 MiB come back" cmp -s big back
  vsock-peer cat "$2:2001" <big >answer
  check "$1: from the host: the guest answers after the end of what it was sent" \
    grep -q '^drained 8388608$' answer
  vsock-peer cat "$2:2998" </dev/null 2>refused
  check "$1: from the host: refused as nobody listens" grep -q "$3" refused
  vsock-peer many "$2:2000" 64 >connections
  check "$1: from the host: 64 connections at once" grep -q '64 connections' connections

  sleep 100 | vsock-peer cat "$2:2000" >/dev/null &
  victim=$!
  sleep 1
  kill -9 $victim
  echo again | vsock-peer cat "$2:2000" >back
  check "$1: after a client was killed, the next one is served" grep -q again back
}

# guest_talked NAME: the guest has ended well, and has got and sent all that conversation() does.
guest_talked() {
  boots "$1: a guest with a socket device boots"
  check "$1: from the guest: 8 MiB come back" says '^echo: 8 MiB came back' 1 0
  check "$1: from the guest: the host answers after the end of what it was sent" \
    says '^drained 8388608' 1 0
  check "$1: from the guest: the host has what it sent" \
    says "^sent $(sha256sum <drained | cut -c 1-64)" 1 0
  check "$1: from the guest: refused as nobody listens" says '^refused as nobody' 1 0
  check "$1: from the guest: 64 connections at once" says '^many: 64' 1 0
  check "$1: from the guest: messages keep their boundaries" says '^messages: 60' 1 0
  check "$1: from the guest: refused as types differ" says '^refused as the host' 1 0
  check "$1: from the host: the guest has what it was sent" says "^received $sum" 1 0
  killall vsock-peer 2>/dev/null
}

# guest_lived_twice NAME GUEST: the same for resetting().
guest_lived_twice() {
  check "$1: the guest connects" says '^life 0' 1 0
  check "$1: after its reset the guest connects again" says '^life 1' 1 0
  check "$1: the reset has ended the connection that was open" [ -e ended ]
  echo after | vsock-peer cat "$2:2000" >answer
  check "$1: after its reset the host connects to the guest" grep -q '^drained 6' answer
  boots "$1: the guest that has reset itself powers off"
  killall vsock-peer 2>/dev/null
}
