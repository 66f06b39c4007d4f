# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# shellcheck shell=sh source=lib.sh
# needs: vmm-reference vmlinuz guest.cpio
. ./lib.sh

# Resident memory outside the guest's: every mapping below 32 MiB (the guest has 512).
beyond_guest_kb() {
  awk '$1 == "Size:" { size = $2 } $1 == "Rss:" && size < 32768 { sum += $2 } END { print sum }' \
    "/proc/$vmm_pid/smaps"
}

guest vmm.test=idle
says '^Welcome'
rss=$(beyond_guest_kb)
echo "resident beyond guest memory: $rss KiB"
check 'at most 3 MiB resident beyond guest memory' [ "$rss" -le 3072 ]
kill -TERM "$vmm_pid"
finish 10
check 'it leaves nothing behind' [ -z "$(pgrep vmm-reference)" ]
