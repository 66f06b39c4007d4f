# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# shellcheck shell=sh source=lib.sh
# on request
# needs: vmm-reference vmlinuz guest-virtio.cpio
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

# The guest touches 300 MiB of its 512 and frees them, then loads the driver.
cat >script <<'EOF2'
mkdir /full
mount -t tmpfs -o size=400M tmpfs /full
dd if=/dev/zero of=/full/file bs=1M count=300 2>/dev/null
echo "total $(sed -n 's/^MemTotal: *//p' /proc/meminfo)"
echo filled
sleep 3
rm /full/file
modprobe virtio_balloon
echo freed
for second in $(seq 20); do
  sleep 1
  echo "total $(sed -n 's/^MemTotal: *//p' /proc/meminfo)"
done
EOF2

# gives_back NAME MIB OPTIONS...: from more than 300 MiB down to less than this.
gives_back() {
  what=$1 less=$2
  shift 2
  guest_with_script modules=virtio_pci "$@"
  says '^filled'
  full=$(rss)
  check "$what: the VMM holds what the guest has touched" [ "$full" -ge 300 ]
  says '^freed'
  check "$what: the host gets it back" falls_below "$less" 60
  boots "$what: boots"
}

gives_back 'inflation' 250 --memory size=512M --balloon size=256M
check 'inflation: the guest has less memory' \
  says '^total 2[0-9][0-9][0-9][0-9][0-9] kB' 1 0
gives_back 'inflation of shared memory' 250 --memory size=512M,shared=on --balloon size=256M
gives_back 'free page reporting' 200 --memory size=512M --balloon size=0,free_page_reporting=on

# 512 MiB without 320 in the balloon are too few for a file of 250.
cat >script <<'EOF2'
mkdir /full
mount -t tmpfs -o size=400M tmpfs /full
modprobe virtio_balloon
for second in $(seq 60); do
  sleep 1
  if [ "$(sed -n 's/^MemFree: *\([0-9]*\) kB/\1/p' /proc/meminfo)" -lt 200000 ]; then break; fi
done
echo "free $(sed -n 's/^MemFree: *//p' /proc/meminfo)"
dd if=/dev/zero of=/full/file bs=1M count=250 2>/dev/null
echo "stored $(wc -c </full/file)"
EOF2
guest_with_script modules=virtio_pci --memory size=512M --balloon size=320M,deflate_on_oom=on
boots 'deflate_on_oom: a guest that runs short lives'
check 'deflate_on_oom: most of the memory was in the balloon' says '^free 1[0-9][0-9][0-9][0-9][0-9] kB' 1 0
check 'deflate_on_oom: the guest took what it needed' says '^stored 262144000' 1 0
