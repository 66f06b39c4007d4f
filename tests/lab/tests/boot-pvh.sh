# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# shellcheck shell=sh source=lib.sh
# arch: x86_64
# core
# needs: vmm-reference vmlinux guest.cpio
. ./lib.sh

kernel=vmlinux
guest vmm.test=dmesg
boots 'the stock kernel boots as vmlinux (PVH), powers off, exit status 0'
clean 'PVH: no complaints about ACPI, APIC or MSRs'

guest vmm.test=dmesg --cpus boot=4
boots 'PVH with 4 CPUs boots and powers off'
check 'PVH: 4 CPUs are online' [ "$(value cpus)" = 4 ]
clean 'PVH with 4 CPUs: no complaints'
