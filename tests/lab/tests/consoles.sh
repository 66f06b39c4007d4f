# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# shellcheck shell=sh source=lib.sh
# needs: vmm-reference vmlinuz guest.cpio vsock-peer
# timeout: 400
. ./lib.sh

# vmm WORDS ARGUMENT...: the VMM in the background without the lib's serial port on its output.
vmm() {
  words=$1
  shift
  : >vmm.err
  vmm-reference --kernel vmlinuz --initramfs guest.cpio \
    --cmdline "console=$console panic=-1 quiet $words" "$@" </dev/null >out.log 2>vmm.err &
  vmm_pid=$!
}

# A guest of a few instructions: a 64-bit ELF file with a PVH entry. It writes "hello" to port 0xe9,
# then the power-off value to port 0x600.
port_guest() {
  # ELF header
  printf '\177\105\114\106\002\001\001\000\000\000\000\000\000\000\000\000'
  printf '\002\000\076\000\001\000\000\000\000\000\020\000\000\000\000\000'
  printf '\100\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000'
  printf '\000\000\000\000\100\000\070\000\002\000\100\000\000\000\000\000'
  # program headers: the code at 1 MiB, the note
  printf '\001\000\000\000\005\000\000\000\304\000\000\000\000\000\000\000'
  printf '\000\000\020\000\000\000\000\000\000\000\020\000\000\000\000\000'
  printf '\036\000\000\000\000\000\000\000\036\000\000\000\000\000\000\000'
  printf '\000\020\000\000\000\000\000\000'
  printf '\004\000\000\000\004\000\000\000\260\000\000\000\000\000\000\000'
  printf '\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000'
  printf '\024\000\000\000\000\000\000\000\024\000\000\000\000\000\000\000'
  printf '\004\000\000\000\000\000\000\000'
  # the PVH note: entry at 1 MiB
  printf '\004\000\000\000\004\000\000\000\022\000\000\000\130\145\156\000'
  printf '\000\000\020\000'
  # mov al, 'h'; out 0xe9, al; ... mov dx, 0x600; mov al, 0x34; out dx, al; hlt; jmp
  printf '\260\150\346\351\260\145\346\351\260\154\346\351\260\154\346\351'
  printf '\260\157\346\351\146\272\000\006\260\064\356\364\353\375'
}

if [ "$arch" = x86_64 ]; then
  port_guest >hello.elf
  vmm-reference --kernel hello.elf --memory size=16M --debug-console file=debug.log </dev/null 2>vmm.err
  check '--debug-console: a guest of a few instructions powers off, exit status 0' [ $? -eq 0 ]
  check '--debug-console file: has what the guest wrote to port 0xe9' [ "$(cat debug.log)" = hello ]
fi

echo 'what was there before, and longer than nothing' >file.log
vmm 'vmm.test=poweroff' --serial file=file.log
finish 120
check '--serial file: exit status 0' [ "$vmm_status" = 0 ]
check '--serial file: has the banner' grep -q '^Welcome' file.log
check '--serial file: what was there before is gone' [ "$(grep -c before file.log)" = 0 ]

vmm 'vmm.test=shell' --serial socket=serial.sock
until [ -S serial.sock ] || ! alive; do sleep 0.1; done
sleep 6 # what the guest says meanwhile is kept
: >said.log
{
  log=said.log
  says '^Welcome' 1 60
  sleep 1 # until the shell listens
  printf 'echo "typed $((6 * 7))"\nsleep 1; poweroff -f\n'
} | timeout 90 vsock-peer cat unix:serial.sock >said.log 2>&1
finish 60
check '--serial socket: exit status 0' [ "$vmm_status" = 0 ]
check '--serial socket: who connects hears what was said before' grep -q '^Welcome' said.log
check '--serial socket: and types' grep -q '^typed 42' said.log
check '--serial socket: it is gone afterwards' [ ! -e serial.sock ]

vmm 'vmm.test=shell' --serial pty
tenths=100
until pty=$(sed -n 's|.*\(/dev/pts/[0-9]*\).*|\1|p' vmm.err) && [ -n "$pty" ]; do
  tenths=$((tenths - 1))
  [ "$tenths" -gt 0 ] || break
  sleep 0.1
done
check '--serial pty: says its path' [ -c "$pty" ]
sleep 3 # nobody reads yet: what the guest prints has to wait
cat "$pty" >pty.log &
reader=$!
log=pty.log
check '--serial pty: has the banner, also of the time before it was opened' says '^Welcome'
says '/ # ' 1 30 # input that comes before its shell may be lost in the guest
echo 'echo answer $((40 + 2))' >"$pty"
check '--serial pty: the guest takes input' says '^answer 42' 1 30
echo 'exit' >"$pty"
finish 30
check '--serial pty: exit status 0' [ "$vmm_status" = 0 ]
kill "$reader" 2>/dev/null
log=serial.log

guest 'vmm.test=button'
says '^Welcome'
kill -USR1 "$vmm_pid"
check 'SIGUSR1 presses the power button' says 'power button' 1 30
finish 30
check 'and the guest powers off, exit status 0' [ "$vmm_status" = 0 ]
