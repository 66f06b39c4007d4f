# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# shellcheck shell=sh source=lib.sh
# core
# needs: vmm-reference vmlinuz guest.cpio
. ./lib.sh

log=empty.log

# refused NAME STATUS[|STATUS] PATTERN ARGUMENT...: one clear line that matches, and that exit status.
refused() {
  name=$1 want=$2 pattern=$3
  shift 3
  start "$@"
  finish 10
  if ! echo "$vmm_status" | grep -qxE "$want"; then
    fail "$name" "exit status $vmm_status instead of $want"
  elif ! grep -qi -- "$pattern" vmm.err; then
    fail "$name" "the message says nothing of $pattern"
  else
    pass "$name"
  fi
}

: >empty
head -c 100000 vmlinuz >truncated
echo 'no kernel' >text
printf '\0' >tiny
set -- --kernel vmlinuz --initramfs guest.cpio

refused 'a kernel that is not there' 1 'nowhere' --kernel nowhere
refused 'an empty kernel' 1 'kernel' --kernel empty
refused 'a truncated kernel' 1 'kernel' --kernel truncated
refused 'a text file as kernel' 1 'kernel' --kernel text
refused 'a folder as kernel' 1 'kernel' --kernel /
refused 'an initramfs that is not there' 1 'nowhere' --kernel vmlinuz --initramfs nowhere
refused 'a kernel larger than memory' 1 'kernel' "$@" --memory size=16M
truncate -s 200M large
refused 'an initramfs larger than memory' 1 'initramfs' --kernel vmlinuz --initramfs large \
  --memory size=128M
refused 'a command line beyond the limit' 1 'cmdline' "$@" \
  --cmdline "$(head -c 70000 /dev/zero | tr '\0' x)"
refused 'no memory' '1|2' 'memory' "$@" --memory size=0
refused 'no CPUs' '1|2' 'cpus' "$@" --cpus boot=0
refused 'too many CPUs' '1|2' 'cpus' "$@" --cpus boot=100000
if [ "$arch" = aarch64 ]; then
  refused 'a debug console, which needs a port' 2 'debug-console' "$@" --debug-console tty
  refused 'too few bits of physical address' 1 'max_phys_bits' "$@" --cpus max_phys_bits=32
else
  refused 'a device tree, which x86_64 has not' 2 'dtb' "$@" --dtb text
fi
refused 'no kernel at all' 2 '' --cpus boot=1
refused 'an unknown key' '1|2' 'colour' "$@" --cpus boot=1,colour=red
refused 'an unknown option' 2 'frobnicate' "$@" --frobnicate
vmm-reference "$@" --serial file=/proc/none/serial </dev/null >empty.log 2>vmm.err
check 'a serial file that cannot be written' [ $? -eq 1 ]

if [ "$LAB" = l1 ]; then
  mv /dev/kvm /dev/kvm.away
  refused 'no /dev/kvm' 1 '/dev/kvm' "$@"
  mv /dev/kvm.away /dev/kvm
  chmod 600 /dev/kvm
  chmod 777 . && : >vmm.err && chmod 666 vmm.err
  su nobody -s /bin/sh -c './vmm-reference --kernel vmlinuz </dev/null >/dev/null 2>vmm.err'
  check 'no permission for /dev/kvm' [ $? -eq 1 ]
  check 'and the message names it' grep -q '/dev/kvm' vmm.err
fi
