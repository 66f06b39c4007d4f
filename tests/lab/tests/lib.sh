# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# shellcheck shell=sh
# For the lab's tests: runs in L1's busybox shell, or on a host with KVM in its sh.
#
# A test reports with one line: "ok - NAME", "not ok - NAME" or "skip - NAME # WHY". What guests
# print goes to files, so that a guest cannot report.

vmm_pid='' vmm_status='' log=serial.log
arch=$(uname -m)
case $arch in
  aarch64) console=ttyAMA0 ;;
  *) console=ttyS0 ;;
esac

pass() { echo "ok - $1"; }
skip() { echo "skip - $1 # $2"; }

# fail NAME [WHY]: with the guest's last words and the VMM's messages.
fail() {
  echo "not ok - $1${2:+ # $2}"
  for file in vmm.err "$log"; do
    [ -s "$file" ] && tail -n 40 "$file" | tr -d '\r' | sed "s/^/    $file | /"
  done
  return 0
}

# check NAME COMMAND...: a test that passes when the command succeeds.
check() {
  name=$1
  shift
  if "$@"; then pass "$name"; else fail "$name" "$*"; fi
}

# start [ARGUMENT...]: the VMM, or what $vmm starts, in the background with a guest; its serial port
# goes to $log.
start() {
  : >"$log"
  ${vmm:-vmm-reference} "$@" --serial tty </dev/null >"$log" 2>vmm.err &
  vmm_pid=$!
}

# guest CMDLINE [ARGUMENT...]: the same with the lab's guest and this addition to its command line.
guest() {
  words=$1
  shift
  start --kernel "${kernel:-vmlinuz}" --initramfs guest.cpio \
    --cmdline "console=$console panic=-1 quiet $words" "$@"
}

alive() { kill -0 "$vmm_pid" 2>/dev/null; }

# Nobody waits for less: the host may be busy with something else.
least_seconds=90

# tenths_of SECONDS: sets $tenths; 0 is 0.
tenths_of() {
  tenths=$(($1 * 10))
  if [ "$1" -gt 0 ] && [ "$1" -lt $least_seconds ]; then tenths=$((least_seconds * 10)); fi
}

# finish SECONDS: waits until the VMM has ended, about so long; its exit status in $vmm_status.
finish() {
  tenths_of "$1"
  while alive && [ "$tenths" -gt 0 ]; do
    sleep 0.1
    tenths=$((tenths - 1))
  done
  vmm_status=''
  if alive; then
    kill -9 "$vmm_pid"
    wait "$vmm_pid" 2>/dev/null
    vmm_status='killed: it did not end'
    return 1
  fi
  wait "$vmm_pid"
  vmm_status=$?
}

# says PATTERN [COUNT] [SECONDS]: waits until the guest has printed that many such lines, about so
# long; 0: it has to be there.
says() {
  tenths_of "${3:-90}"
  while [ "$(grep -c "$1" "$log")" -lt "${2:-1}" ]; do
    if ! alive || [ "$tenths" -le 0 ]; then
      [ "$(grep -c "$1" "$log")" -ge "${2:-1}" ]
      return
    fi
    sleep 0.1
    tenths=$((tenths - 1))
  done
}

# value WORD: the number in the guest's line "guest: WORD N ..."
value() { tr -d '\r' <"$log" | sed -n "s/^guest: $1 \([0-9]*\).*/\1/p" | tail -n 1; }

# boots NAME: after guest or start: the guest gets to its banner, powers off, and the VMM exits 0.
boots() {
  finish 120
  if ! grep -q '^Welcome' "$log"; then
    fail "$1" 'no banner'
  elif [ "$vmm_status" != 0 ]; then
    fail "$1" "exit status $vmm_status"
  else
    pass "$1"
    return 0
  fi
  return 1
}

complaints='ACPI.*(Error|Warning|BIOS|bug)|APIC.*(bug|error)|unchecked MSR|\[Firmware (Bug|Warn)|WARNING:|BUG:|Call Trace|GICv?[0-9]?:? .*(fail|error|bad)|ITS.*(fail|error)|arch_timer.*(fail|error|bad|No interrupt)|OF: .*(fail|error|bad|[Nn]ot)|DT.*(missing|invalid)|psci: .*(fail|unsupported)|kvm .*error'
# Of the emulated CPU's microcode, and an advice that every PC with PCI gets.
excused='Speculative Return Stack Overflow: WARNING|PCI: Using host bridge windows from ACPI'

# QEMU's TCG does not intercept XSETBV, so KVM in L1 misses it and reports a size to the guest that
# the guest finds odd: a warning of a page that only emulated machines give.
without_xsave_warning() {
  awk '/-\[ cut here \]-/ { block = ""; inside = 1 }
    !inside { print; next }
    { block = block $0 "\n" }
    /-\[ end trace / {
      inside = 0
      if (block !~ /XSAVE consistency problem/) printf "%s", block
    }
    END { if (inside) printf "%s", block }'
}

# clean NAME: the dmesg in the log is complete and has no complaints about the machine.
clean() {
  tr -d '\r' <"$log" | sed -n '/^guest: dmesg begins/,/^guest: dmesg ends/p' |
    without_xsave_warning >dmesg.log
  if ! grep -q '^guest: dmesg ends' dmesg.log; then
    fail "$1" 'the guest printed no dmesg'
  elif grep -vE "$excused" dmesg.log | grep -E "$complaints" >complaints.log; then
    echo "not ok - $1 # the guest complains:"
    sed 's/^/    | /' complaints.log
  else
    pass "$1"
  fi
}

# guest_with_script CMDLINE [ARGUMENT...]: the guest with its drivers, which runs the file `script`
# of the test, then powers off; it finds the files that $guest_files names in /. CMDLINE says
# which drivers: modules=virtio_pci,virtio_blk
guest_with_script() {
  words=$1
  shift
  # shellcheck disable=SC2086  # a list of words
  printf '%s\n' script ${guest_files:-} | cpio -o -H newc 2>/dev/null >script.cpio
  cat guest-virtio.cpio script.cpio >guest-script.cpio
  start --kernel "${kernel:-vmlinuz}" --initramfs guest-script.cpio \
    --cmdline "console=$console panic=-1 quiet vmm.test=script $words" "$@"
}
