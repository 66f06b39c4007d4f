# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# shellcheck shell=sh source=lib.sh
# arch: x86_64
# core
# needs: vmm-reference hello-vmm vmlinuz guest.cpio
. ./lib.sh

guest vmm.test=dmesg
boots 'the stock kernel boots as bzImage, powers off, exit status 0'
check 'one CPU is online' [ "$(value cpus)" = 1 ]
clean 'no complaints about ACPI, APIC or MSRs'

hello-vmm >hello.out 2>vmm.err
check 'hello-vmm runs and exits with 0' [ $? -eq 0 ]
check 'hello-vmm prints what its guest says' [ -s hello.out ]
