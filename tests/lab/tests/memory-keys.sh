# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# shellcheck shell=sh source=lib.sh
# needs: vmm-reference vmlinuz guest.cpio
# timeout: 600
. ./lib.sh

# region: what the kernel says of the VMM's mapping that is the guest's memory.
region() {
  awk '/^[0-9a-f]+-[0-9a-f]+ / { block = $0; next } { block = block "\n" $0 }
    /^VmFlags/ && block ~ /\nSize: +262144 kB/ { print block }' "/proc/$vmm_pid/smaps"
}
kb() { sed -n "s/^$1: *\([0-9]*\) kB/\1/p" region; }
flag() { grep -q "^VmFlags:.* $1\( \|\$\)" region; }
no_flag() { ! flag "$1"; }
page_kb() { [ "$(kb KernelPageSize)" = "$1" ]; }
resident() { [ $(($(kb Rss) + $(kb Shared_Hugetlb) + $(kb Private_Hugetlb))) -"$1" "$2" ]; }

# idle KEYS: a guest of 256 MiB that waits, and its region in the file `region`.
idle() {
  guest vmm.test=idle --memory "size=256M$1"
  says '^Welcome' 1 120 || fail "memory: a guest with $1"
  region >region
}
end() {
  kill -TERM "$vmm_pid"
  finish 20
  check "memory: $1: the guest ran, the VMM ends with 0" [ "$vmm_status" = 0 ]
}
try() { # NAME CHECK...
  name="memory: $1"
  shift
  check "$name" "$@"
}

idle ''
try 'by default: private' grep -q '^[0-9a-f-]* rw-p' region
try 'by default: transparent huge pages' flag hg
try 'by default: nothing reserved' flag nr
try 'by default: not mergeable' no_flag mg
try 'by default: taken as the guest touches it' resident lt 200000
end default
idle ,thp=off
try 'thp=off: no huge pages' no_flag hg
end thp=off
idle ,shared=on
try 'shared=on: a file of memory that others can map' grep -q '^[0-9a-f-]* rw-s .*memfd' region
end shared=on
idle ,reserve=on
try 'reserve=on: the host vouches for it' no_flag nr
end reserve=on
idle ,prefault=on
try 'prefault=on: all of it is there from the start' resident eq 262144
end prefault=on

# Two guests' worth of pages that nobody writes to, which the kernel makes one.
if [ -w /sys/kernel/mm/ksm/run ]; then
  echo 1 >/sys/kernel/mm/ksm/run
  echo 20000 >/sys/kernel/mm/ksm/pages_to_scan
  idle ,prefault=on,thp=off,mergeable=on
  try 'mergeable=on: pages may be merged' flag mg
  tenths=600
  until [ "$(cat /sys/kernel/mm/ksm/pages_sharing)" -gt 10000 ] || [ $tenths = 0 ]; do
    sleep 0.1
    tenths=$((tenths - 1))
  done
  try 'mergeable=on: pages are merged' [ "$(cat /sys/kernel/mm/ksm/pages_sharing)" -gt 10000 ]
  end mergeable=on
  echo 2 >/sys/kernel/mm/ksm/run
else
  skip 'memory: mergeable=on' 'this kernel does not merge pages'
fi

pages=/proc/sys/vm/nr_hugepages
echo 140 >$pages
if [ "$(cat $pages)" -ge 128 ]; then
  for keys in ,hugepages=on ,hugepages=on,hugepage_size=2M ,hugepages=on,shared=on; do
    idle "$keys"
    try "$keys: huge pages of 2 MiB" page_kb 2048
    try "$keys: which others can map" grep -q '^[0-9a-f-]* rw-s' region
    end "$keys"
  done
  try 'huge pages are given back' [ "$(sed -n 's/^HugePages_Free: *//p' /proc/meminfo)" -ge 128 ]
  guest vmm.test=idle --memory size=512M,hugepages=on
  finish 20
  try 'more huge pages than there are: an error' [ "$vmm_status" = 1 ]
  try 'which says so' grep -q -- '--memory' vmm.err
  echo 0 >$pages
else
  skip 'memory: hugepages=on' 'this machine has no 128 huge pages of 2 MiB to give'
fi
for keys in hotplugged_size=128M hugepage_size=2M shared=on,mergeable=on; do
  start --kernel vmlinuz --memory "size=256M,$keys"
  finish 10
  try "$keys is refused" [ "$vmm_status" = 2 ]
done
