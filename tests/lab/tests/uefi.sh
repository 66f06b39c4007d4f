# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# shellcheck shell=sh source=lib.sh
# arch: aarch64
# needs: vmm-reference vmlinuz uefi debian
# timeout: 1200
# on request
. ./lib.sh
# shellcheck source=lib-debian.sh
. ./lib-debian.sh

# What lib-debian.sh does with a kernel: Debian with its serial port on a terminal.
cat >script <<'END'
echo "efi: $(ls -d /sys/firmware/efi)"
echo "root is $(findmnt -no SOURCE /)"
END
script_disk
: >"$log"
vmm-reference --firmware firmware --memory size=1G --serial pty --console off \
  --disk path=uefi,image_type=raw,readonly=on --disk path=debian,image_type=raw \
  --disk path=script.img,image_type=raw,readonly=on,serial=script </dev/null >out.log 2>vmm.err &
vmm_pid=$!
until terminal=$(sed -n 's|.*\(/dev/pts/[0-9]*\).*|\1|p' vmm.err) && [ -n "$terminal" ]; do
  alive || break
  sleep 0.1
done
cat "$terminal" >"$log" 2>/dev/null &
check 'UEFI: U-Boot starts' says '^U-Boot ' 1 60
check "UEFI: it finds GRUB on the disk" says 'Found EFI removable media binary' 1 120
login 'UEFI: Debian boots to a login' || exit
run_script 'UEFI: it does its work' 60
check 'UEFI: the kernel was started by EFI' says '^efi: /sys/firmware/efi' 1 0
check 'UEFI: its root is the other disk' says '^root is /dev/vdb' 1 0
power_off 'UEFI: it powers off'
