# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# shellcheck shell=sh source=lib.sh
# needs: vmm-reference vmlinuz guest.cpio
# l1: --smp 2
. ./lib.sh

guest vmm.test=dmesg --cpus boot=4
boots '4 CPUs: boots and powers off'
check '4 CPUs are online' [ "$(value cpus)" = 4 ]
clean '4 CPUs: no complaints about ACPI, APIC or MSRs'

guest vmm.test=poweroff --cpus boot=3
boots '3 CPUs: boots and powers off'
check '3 CPUs are online' [ "$(value cpus)" = 3 ]

# Ends while vCPUs run.
guest vmm.test=idle --cpus boot=2
says '^Welcome'
kill -TERM "$vmm_pid"
finish 10
check 'SIGTERM ends a guest with 2 CPUs, exit status 0' [ "$vmm_status" = 0 ]
