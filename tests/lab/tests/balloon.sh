# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# shellcheck shell=sh source=lib.sh
# needs: vmm-reference vmlinuz guest-virtio.cpio
# timeout: 600
. ./lib.sh

# rss: what the VMM has of the host's memory, in MiB.
rss() { echo $(($(sed -n 's/^VmRSS:[[:space:]]*\([0-9]*\) kB/\1/p' "/proc/$vmm_pid/status") / 1024)); }

# falls_below MIB SECONDS
falls_below() {
  tenths=$(($2 * 10))
  while [ "$(rss)" -ge "$1" ] && [ "$tenths" -gt 0 ]; do
    sleep 0.1
    tenths=$((tenths - 1))
  done
  [ "$(rss)" -lt "$1" ]
}

# The guest touches 120 MiB of its 256 and frees them, then loads the driver.
cat >script <<'EOF2'
total() { sed -n 's/^MemTotal: *\([0-9]*\) kB/\1/p' /proc/meminfo; }
mkdir /full
mount -t tmpfs -o size=200M tmpfs /full
dd if=/dev/zero of=/full/file bs=1M count=120 2>/dev/null
before=$(total)
echo filled
sleep 2
rm /full/file
modprobe virtio_balloon
echo freed
for tenth in $(seq 100); do
  sleep 0.1
  [ $((before - $(total))) -ge 131072 ] && break
done
echo "less $((before - $(total)))"
sleep 1000
EOF2

# gives_back NAME OPTIONS...: what the guest has freed, so that half of its memory is left.
gives_back() {
  what=$1
  shift
  guest_with_script modules=virtio_pci "$@"
  says '^filled'
  full=$(rss)
  check "$what: the VMM holds what the guest has touched" [ "$full" -ge 160 ]
  says '^freed'
  check "$what: the host gets it back" falls_below 135 60
}

# ends NAME: with the guest's memory in the balloon.
ends() {
  kill -TERM "$vmm_pid"
  finish 10
  check "$1: SIGTERM ends the VMM, exit status 0" [ "$vmm_status" = 0 ]
}

for shared in off on; do
  what="inflation, shared=$shared"
  gives_back "$what" --memory size=256M,shared=$shared --balloon size=128M
  check "$what: the guest has exactly so much less" says '^less 131072'
  ends "$what"
done

gives_back 'free page reporting' --memory size=256M --balloon size=0,free_page_reporting=on
check 'free page reporting: the guest keeps all of it' says '^less 0'
ends 'free page reporting'

# 256 MiB without 160 in the balloon are too few for a file of 80.
cat >script <<'EOF2'
mkdir /full
mount -t tmpfs -o size=200M tmpfs /full
modprobe virtio_balloon
for second in $(seq 60); do
  sleep 1
  free=$(sed -n 's/^MemFree: *\([0-9]*\) kB/\1/p' /proc/meminfo)
  if [ "$free" -lt 60000 ]; then break; fi
done
echo "free $free"
dd if=/dev/zero of=/full/file bs=1M count=80 2>/dev/null
echo "stored $(wc -c </full/file)"
EOF2
guest_with_script modules=virtio_pci --memory size=256M --balloon size=160M,deflate_on_oom=on
boots 'deflate_on_oom: a guest that runs short lives, and powers off'
check 'deflate_on_oom: most of the memory was in the balloon' \
  [ "$(tr -d '\r' <"$log" | sed -n 's/^free //p')" -lt 60000 ]
check 'deflate_on_oom: the guest took what it needed' says '^stored 83886080' 1 0
