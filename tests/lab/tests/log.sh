# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# shellcheck shell=sh source=lib.sh
# needs: vmm-reference vmlinuz guest-virtio.cpio
. ./lib.sh

# The guest uses a disk and reads where nothing is, then resets itself once.
cat >script <<'END'
devmem 0xd0000000 32
dd if=/dev/vda of=/dev/null bs=4096 count=1 2>/dev/null
END
dd if=/dev/zero of=disk.img bs=1M count=1 2>/dev/null

# levels OPTION...: a guest with that much to say; the kinds of lines in the file `levels`.
levels() {
  guest_with_script modules=virtio_pci,virtio_blk --disk path=disk.img,image_type=raw,id=data "$@"
  boots "log: a guest with ${*:-no option}"
  tr -d '\r' <vmm.err | sed -n 's/^vmm-reference: \([a-z]*\): .*/\1/p' | sort -u | tr '\n' ' ' >levels
}
line() { tr -d '\r' <vmm.err | grep -q "^vmm-reference: $1"; }

levels
check 'log: by default there is nothing to say' [ "$(cat levels)" = '' ]
levels -v
check 'log: -v: info, and no more' [ "$(cat levels)" = 'info ' ]
check 'log: -v: what becomes of the VM' line 'info: vm: booted$'
check 'log: -v: where the kernel is' line 'info: --kernel: vmlinuz: in guest memory from 0x'
check 'log: -v: where a device is' line 'info: data: PCI function 0000:00:01.0$'
check 'log: -v: what becomes of a device' line 'info: virtio-device: activated (id=data)$'
levels -vv
check 'log: -vv: and debugging' [ "$(cat levels)" = 'debug info ' ]
check 'log: -vv: threads' line 'debug: vcpu0: thread [1-9]'
levels -v -vv --log-file vmm.log
check 'log: --log-file takes all of it' [ ! -s vmm.err ]
mv vmm.log vmm.err
check 'log: -vvv: and what comes to nothing' line 'trace: read from 0xd0000000, where no device is$'
