# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# shellcheck shell=sh source=lib.sh
# needs: vmm-reference in-terminal vmlinuz guest-virtio.cpio
# timeout: 400
. ./lib.sh

# The guest tells each size of its terminal once, until it is as the test has it last. It keeps the
# terminal open, as sizes are set while it is.
cat >script <<'END'
exec 3<>/dev/hvc0
said=
while [ "$said" != '50 160' ]; do
  size=$(stty size <&3)
  [ "$size" = "$said" ] || echo "size $size"
  said=$size
  sleep 0.1
done
END
echo script | cpio -o -H newc 2>/dev/null >script.cpio
cat guest-virtio.cpio script.cpio >guest-script.cpio

# vmm CONSOLE: words of a command line in $vmm; the serial port is the file $log.
vmm() {
  : >"$log"
  vmm="vmm-reference --kernel vmlinuz --initramfs guest-script.cpio --serial file=$log --console $1"
  cmdline="console=$console panic=-1 quiet vmm.test=script modules=virtio_pci,virtio_console"
}

mkfifo sizes
vmm tty
# shellcheck disable=SC2086  # a list of words
in-terminal 90 30 $vmm --cmdline "$cmdline" <sizes >tty.log 2>vmm.err &
vmm_pid=$!
exec 4>sizes
check '--console tty: the guest sees the size of the terminal' says '^size 30 90' 1 100
echo '100 40' >&4
check '--console tty: and a change' says '^size 40 100' 1 20
echo '160 50' >&4
boots '--console tty: and another one, and ends'
exec 4>&-

log=serial2.log
vmm pty
# shellcheck disable=SC2086  # a list of words
$vmm --cmdline "$cmdline" </dev/null >out.log 2>vmm.err &
vmm_pid=$!
until pty=$(sed -n 's|.*\(/dev/pts/[0-9]*\).*|\1|p' vmm.err) && [ -n "$pty" ]; do
  alive || break
  sleep 0.1
done
says '^size' 1 100
stty rows 40 cols 100 <"$pty"
echo 'typed' >"$pty"
check '--console pty: the guest sees the size of the pty when somebody types' says '^size 40 100' 1 20
stty rows 50 cols 160 <"$pty"
kill -WINCH "$vmm_pid"
boots '--console pty: and after SIGWINCH'
