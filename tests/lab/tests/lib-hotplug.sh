# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# shellcheck shell=sh disable=SC2154  # what it shares with lib.sh
# For the lab's tests of devices that come and go, after lib.sh: calls of the API of a VMM at api.sock.

# api METHOD NAME [BODY]: the answer in the file `answer`, its status first.
api() {
  printf '%s' "${3:-}" >body.json
  if [ -n "${3:-}" ]; then
    api-call api.sock "$1" "$2" body.json >answer 2>&1
  else
    api-call api.sock "$1" "$2" >answer 2>&1
  fi
}
# answers STATUS METHOD NAME [BODY]
answers() {
  wanted=$1
  shift
  api "$@"
  [ "$(head -n 1 answer)" = "$wanted" ] || { cat answer && false; }
}
add() { answers 200 PUT "vm.add-$1" "$2"; }
remove() { answers 204 PUT vm.remove-device "{\"id\":\"$1\"}"; }

fds() { find "/proc/$vmm_pid/fd" -type l | wc -l; }
threads() { find "/proc/$vmm_pid/task" -mindepth 1 -maxdepth 1 | wc -l; }
# has_only FDS THREADS: the VMM is down to these, soon.
has_only() {
  tenths=600
  until [ "$(fds)" = "$1" ] && [ "$(threads)" = "$2" ]; do
    tenths=$((tenths - 1))
    if [ "$tenths" -le 0 ]; then
      echo "    $(fds) descriptors of $1, $(threads) threads of $2"
      return 1
    fi
    sleep 0.1
  done
}

# For scripts of guests.
cat >words <<'EOF'
no() { [ ! -e "$1" ]; }
wait_for() {
  tenths=0
  until "$@" || [ $tenths -ge 300 ]; do
    sleep 0.1
    tenths=$((tenths + 1))
  done
}
EOF

disk='{"path":"hot.img","image_type":"Raw","id":"hot"}'
net='{"id":"nic","tap":"hot0","ip":"192.0.2.1","mask":"255.255.255.0"}'

# hurry, for the guest: ends the five seconds in which a driver of ports lets its user think again.
cat >hurry <<'EOF'
hurry() {
  if dmesg -c | tee -a /tmp/dmesg | grep -q 'Powering off due to button'; then
    for slot in /sys/bus/pci/slots/*/power; do
      if [ "$(cat "$slot")" = 1 ]; then echo 0 >"$slot" & fi
    done
    wait
  fi
}
EOF

# guest_script COUNT [HURRY]: what the guest of come_and_go does.
guest_script() {
  cat words hurry - >script <<EOF
dmesg -c >/dev/null
echo "slots \$(ls /sys/bus/pci/slots | wc -l)"
echo ready
n=1
while [ \$n -le $1 ]; do
  wait_for [ -b /dev/vda ]
  echo "disk \$n \$(sha256sum </dev/vda)"
  dd if=/dev/urandom of=/dev/vda bs=64k count=4 conv=fsync 2>/dev/null
  echo "wrote \$n \$(dd if=/dev/vda bs=64k count=4 2>/dev/null | sha256sum)"
  wait_for [ -e /sys/class/net/eth0 ]
  ip link set eth0 up
  ip addr add 192.0.2.2/24 dev eth0
  ping -c 1 -W 10 192.0.2.1 >/dev/null
  echo "net \$n \$?"
  gone() { ${2:-:}; [ ! -e /dev/vda ] && [ ! -e /sys/class/net/eth0 ]; }
  wait_for gone
  echo "gone \$n"
  n=\$((n + 1))
done
wait_for [ -b /dev/vda ]
echo "disk after all \$(blockdev --getsize64 /dev/vda)"
dmesg -c >>/tmp/dmesg
grep -iE 'BUG|WARNING|Call Trace|(acpiphp|pciehp).*(fail|error|timeout|cannot|fault)|no space|can.t assign' /tmp/dmesg
echo complained
EOF
}

# cycle N: both devices come, are used, and go.
cycle() {
  of_host=$(sha256sum <hot.img)
  add disk "$disk"
  if says "^disk $1 $of_host" 1 40; then read=$((read + 1)); fi
  says "^wrote $1" 1 40
  of_guest=$(tr -d '\r' <"$log" | sed -n "s/^wrote $1 //p")
  if [ "$(dd if=hot.img bs=64k count=4 2>/dev/null | sha256sum)" = "$of_guest" ]; then
    written=$((written + 1))
  fi
  api PUT vm.add-disk "$disk"
  if [ "$(head -n 1 answer)" = 409 ]; then refused=$((refused + 1)); fi
  add net "$net"
  if says "^net $1 0" 1 40; then reached=$((reached + 1)); fi
  remove hot
  remove nic
  says "^gone $1" 1 40
  if has_only "$start_fds" "$start_threads"; then flat=$((flat + 1)); fi
  if [ "$1" = 4 ]; then early=$(resident); fi
}

# resident: KiB of memory of the VMM itself. The guest's is shared.
resident() { sed -n 's/^RssAnon:[^0-9]*\([0-9]*\).*/\1/p' "/proc/$vmm_pid/status"; }

# Slots for devices that come, and where they come first.
case $arch in
  aarch64) slots=8 place='0000:0[1-9a-f]:00.0' ;;
  *) slots='3[01]' place='0000:00:0[1-9a-f].0' ;;
esac

# come_and_go COUNT [hurry]: a guest gets a disk and a network device and gives them back, so many
# times.
come_and_go() {
  modprobe tun
  dd if=/dev/urandom of=hot.img bs=1M count=4 2>/dev/null
  guest_script "$@"
  guest_with_script 'modules=virtio_pci,virtio_blk,virtio_net,virtio-rng' --rng src=/dev/urandom \
    --memory size=512M,shared=on --api-socket path=api.sock
  check 'hotplug: the guest has slots for devices that come' says "^slots $slots" 1 120
  says '^ready' 1 10
  start_fds=$(fds)
  start_threads=$(threads)
  flat=0 read=0 written=0 reached=0 refused=0 early=0 n=1
  while [ $n -le "$1" ] && alive; do
    cycle $n
    n=$((n + 1))
  done
  check "hotplug: $1 times a disk comes and is read" [ $read = "$1" ]
  check 'hotplug: it is written' [ $written = "$1" ]
  check 'hotplug: while it is there, its id is refused' [ $refused = "$1" ]
  check 'hotplug: a network device comes and reaches the host' [ $reached = "$1" ]
  check 'hotplug: each time nothing of them is left: descriptors, threads' [ $flat = "$1" ]
  now=$(resident)
  echo "    $early KiB of memory after 4 times, $now KiB after $1"
  # The allocator keeps up to 1 MiB more or less from one time to the next.
  check 'hotplug: nor memory' [ $((now - early)) -le 2048 ]
  check 'hotplug: the tap is gone' [ ! -e /sys/class/net/hot0 ]
  check 'hotplug: who is not there cannot go' answers 404 PUT vm.remove-device '{"id":"hot"}'
  check 'hotplug: a file that is not there cannot come' \
    answers 500 PUT vm.add-disk '{"path":"nowhere.img","image_type":"Raw"}'
  check 'hotplug: a disk without an id comes' add disk '{"path":"hot.img","image_type":"Raw"}'
  check 'hotplug: it has got one, and a place' \
    grep -q "\"id\":\"_disk0\",\"bdf\":\"$place\"" answer
  bdf=$(sed -n 's/.*"bdf":"\([^"]*\)".*/\1/p' answer)
  api GET vm.info
  check 'hotplug: vm.info has it there, too' \
    grep -q "\"_virtio-pci-_disk0\":{[^}]*\"pci_bdf\":\"$bdf\"" answer
  check 'hotplug: and no longer what has gone' [ "$(grep -c 'virtio-pci-hot"' answer)" = 0 ]
  check 'hotplug: the guest has it' says '^disk after all 4194304' 1 40
  boots 'hotplug: the guest ends as others do'
  check 'hotplug: it had no complaints' \
    [ "$(tr -d '\r' <"$log" | sed -n '/^disk after all/,/^complained/p' | wc -l)" = 2 ]
}
