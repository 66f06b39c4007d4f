# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# shellcheck shell=sh source=lib.sh
# needs: vmm-reference board vhost-user-gpio gpio_guest.sh
# arch: x86_64
# on request
. ./lib.sh

# Lines and their interrupts, with Linux' own driver; its kernel is built for that (board_guest.sh).
cp gpio_guest.sh script
for packed in off on; do
  what="GPIO of another process, packed=$packed"
  rm -f gpio.sock
  vhost-user-gpio --socket-path=gpio.sock --device-list=sim:8 2>>gpio.err &
  daemon_pid=$!
  until [ -S gpio.sock ] || ! kill -0 $daemon_pid; do sleep 0.1; done
  guest_with_script 'modules=virtio_pci,gpio-virtio' --memory size=512M,shared=on \
    --generic-vhost-user "device_type=gpio,queue_sizes=[64,64],socket=gpio.sock,packed=$packed"
  boots "$what: boots"
  check "$what: the guest has its lines" says '^lines 8' 1 0
  check "$what: an input is high as its output is" says '^values 1' 1 0
  check "$what: and low" says '^values 0' 1 0
  check "$what: interrupts of rising edges" says '^edge rising 3' 1 0
  check "$what: of falling edges" says '^edge falling 3' 1 0
  check "$what: of both" says '^edge both 6' 1 0
  check "$what: an interrupt that was disabled and enabled" says '^again 1' 1 0
  check "$what: nothing went wrong" says '^guest: script 0' 1 0
  kill $daemon_pid
  wait $daemon_pid
done
