# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# shellcheck shell=sh source=lib.sh
# core
# needs: unikernel test-unikernel
. ./lib.sh

# examples/unikernel, with a kernel that is nothing but a driver of its console.
for memory in 64 256; do
  echo stressed | timeout 60 unikernel --memory $memory test-unikernel guest=me two >"$log" 2>vmm.err
  status=$?
  check "unikernel: a kernel with $memory MiB powers off" [ "$status" = 0 ]
  check 'unikernel: it has its command line' \
    grep -q '^command line: guest=me two virtio_mmio.device=4K@0x' "$log"
  check 'unikernel: what is typed reaches it, and what it says comes out' grep -qx desserts "$log"
done
timeout 60 unikernel lib.sh </dev/null >"$log" 2>vmm.err
check 'unikernel: what is no kernel is refused, exit status 1' [ $? = 1 ]
timeout 60 unikernel test-unikernel guest=! </dev/null >"$log" 2>vmm.err
check 'unikernel: one that crashes or resets is told, exit status 3' [ $? = 3 ]
