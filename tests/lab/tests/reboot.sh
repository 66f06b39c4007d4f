# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# shellcheck shell=sh source=lib.sh
# needs: vmm-reference vmlinuz guest.cpio
# timeout: 400
. ./lib.sh

# The VMM builds the VM anew in the same process: the banner comes twice.
again() { # NAME WORDS
  guest "vmm.test=reboot $2"
  if says '^Welcome' 2; then pass "$1"; else fail "$1" 'no second banner'; fi
  kill -TERM "$vmm_pid"
  finish 10
  check "$1: then SIGTERM ends it with 0" [ "$vmm_status" = 0 ]
}

if [ "$arch" = x86_64 ]; then
  again 'reboot by the ACPI reset register' reboot=acpi
  again 'reboot by the keyboard controller' reboot=kbd
  again 'reboot by triple fault' reboot=triple
  again 'reboot without a word about how' ''
else
  again 'reboot by PSCI' ''
fi

guest vmm.test=idle
says '^Welcome'
kill -TERM "$vmm_pid"
finish 10
check 'SIGTERM ends an idle guest, exit status 0' [ "$vmm_status" = 0 ]
guest vmm.test=idle
says 'Welcome'
kill -INT "$vmm_pid"
finish 10
check 'SIGINT does the same' [ "$vmm_status" = 0 ]
