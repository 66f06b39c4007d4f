#!/bin/sh
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#
# emulated.sh ARCH COMMAND...: runs the command as root of namespaces of its own in which programs of
# that architecture run, too, by QEMU's user-mode emulator. The kernel (from 6.7 on) knows the emulator in
# that user namespace only, so nothing of this machine changes. Needs root, for users other than root
# in there.
set -e

emulator=$(command -v "qemu-$1-static")
case $1 in
  aarch64) machine='\xb7' ;;
  x86_64) machine='\x3e' ;;
  *) exit 2 ;;
esac
shift

# An ELF file of 64 bits, little-endian, for that machine: the kernel gives it to the emulator, which
# it has open (F), with the name the program was called by (P).
head='\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00'
mask='\xff\xff\xff\xff\xff\xff\xff\xfc\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff'
entry=":emulated:M::$head$machine\x00:$mask\xff\xff:$emulator:FP"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkfifo "$work/mapped"

# Only programs that start after the users were mapped have root's rights there.
# shellcheck disable=SC2016  # for the shells in there
inside='mount -t binfmt_misc emulators "$1" && printf %s "$2" >"$1/register" && shift 2 && exec "$@"'
# shellcheck disable=SC2016
setpriv --pdeathsig KILL unshare --user --mount --pid --fork --kill-child \
  sh -c 'read -r _ <"$1/mapped"; exec env sh -c "$0" sh "$@"' "$inside" "$work" "$entry" "$@" &
child=$!
until [ "$(readlink /proc/$child/ns/user)" != "$(readlink /proc/$$/ns/user)" ]; do sleep 0.05; done
echo '0 0 65536' >/proc/$child/uid_map
echo '0 0 65536' >/proc/$child/gid_map
echo >"$work/mapped"
wait "$child"
