#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""I2C and GPIO: boards_test.py [--results FILE] BUILD [TEST]...

Guests of QEMU with Linux' own drivers use vhost-user-i2c and vhost-user-gpio; and the libraries below
them use hardware that a kernel simulates. The guest is made by board_guest.sh.
"""
import functools
import pathlib
import re
import subprocess
import sys

from qemu_test import check, main, socket_device, tests_of

HERE = pathlib.Path(__file__).resolve().parent


@functools.cache
def board_guest():
    told = subprocess.run([HERE / "board_guest.sh"], check=True, capture_output=True, text=True).stdout
    return told.splitlines()


def guest(bench, *args, **options):
    return bench.guest(*args, boot=board_guest(), **options)


I2C_SCRIPT = """
set -e
bus=$(grep -l virtio /sys/bus/i2c/devices/i2c-*/name | sed 's/.*i2c-\\([0-9]*\\).*/\\1/')
i2cset -y $bus 0x50 0x10 0xab
echo "byte $(i2cget -y $bus 0x50 0x10)"
i2cset -y $bus 0x50 0x20 0x1234 w
echo "word $(i2cget -y $bus 0x50 0x20 w)"
i2ctransfer -y $bus w5@0x50 0x30 1 2 3 4
echo "block $(i2ctransfer -y $bus w1@0x50 0x31 r3)"
echo "combined $(i2ctransfer -y $bus w1@0x50 0x30 r1 w1@0x51 0x30 r1 | tr '\\n' ' ')"
i2cget -y $bus 0x52 0 && exit 1
i2cset -y $bus 0x53 0 0 && exit 1
echo "present $(i2cdetect -y -q $bus | grep -o ' [0-9a-f][0-9a-f]' | tr -d '\\n')"
echo 24c02 0x51 >/sys/bus/i2c/devices/i2c-$bus/new_device
eeprom=/sys/bus/i2c/devices/$bus-0051/eeprom
dd if=/dev/urandom of=/data bs=256 count=1 2>/dev/null
dd if=/data of=$eeprom bs=256 2>/dev/null
echo 0x51 >/sys/bus/i2c/devices/i2c-$bus/delete_device
echo 24c02 0x51 >/sys/bus/i2c/devices/i2c-$bus/new_device
cmp /data $eeprom && echo "eeprom holds"
"""


def check_i2c(bench, device_options=""):
    daemon = bench.daemon("i2c", "--device-list=sim:0x50:81")
    text = guest(bench, I2C_SCRIPT, socket_device("c0", daemon.path, "vhost-user-i2c-pci" + device_options),
                 ["i2c-virtio", "i2c-dev", "at24"]).finish()
    check("byte 0xab" in text, "a byte")
    check("word 0x1234" in text, "a word")
    check("block 0x02 0x03 0x04" in text, "a block")
    check("combined 0x01 0x00" in text, "a transaction of four messages")
    check("present  50 51\n" in text, "the chips that there are")
    check("eeprom holds" in text, "an EEPROM with Linux' driver")
    check(daemon.end() == 0, "the daemon's exit status")


def test_i2c(bench):
    """A guest uses simulated chips: SMBus commands, transactions, an EEPROM with its driver."""
    check_i2c(bench)


def test_i2c_packed(bench):
    """The same with a packed ring."""
    check_i2c(bench, ",packed=on")


GPIO_SCRIPT = (HERE / "gpio_guest.sh").read_text()


def test_gpio(bench):
    """A guest drives lines, and takes interrupts where QEMU knows them."""
    daemon = bench.daemon("gpio", "--device-list=sim:8")
    text = guest(bench, GPIO_SCRIPT, socket_device("c0", daemon.path, "vhost-user-gpio-pci"),
                 ["gpio-virtio"]).finish()
    check("lines 8" in text, "how many lines")
    check(re.findall(r"values (\d)", text) == ["1", "0"], "what an output says to an input")
    if "no interrupts" in text:  # QEMU 7.2 does not offer VIRTIO_GPIO_F_IRQ, whatever the back end does
        print("   without interrupts, which this QEMU does not know")
    else:
        for edge, count in (("rising", 3), ("falling", 3), ("both", 6)):
            check(f"edge {edge} {count}\n" in text, f"interrupts of {edge} edges")
        check("again 1" in text, "an interrupt that was disabled and enabled")
    check(daemon.end() == 0, "the daemon's exit status")


HARDWARE_SCRIPT = """
set -e
modprobe i2c-stub chip_addr=0x50
mkdir -p /config
mount -t configfs none /config
mkdir /config/gpio-sim/board
mkdir /config/gpio-sim/board/bank
echo 8 >/config/gpio-sim/board/bank/num_lines
mkdir /config/gpio-sim/board/bank/line2
echo button >/config/gpio-sim/board/bank/line2/name
echo 1 >/config/gpio-sim/board/live
chip=$(cat /config/gpio-sim/board/bank/chip_name)
export BOARD_I2C_BUS=$(grep -l 'SMBus stub' /sys/bus/i2c/devices/i2c-*/name | sed 's/.*i2c-\\([0-9]*\\).*/\\1/')
export BOARD_GPIO_CHIP=${chip#gpiochip}
export BOARD_GPIO_PULL=/sys/devices/platform/$(cat /config/gpio-sim/board/dev_name)/$chip
/host-hardware
"""


def test_hardware(bench):
    """The libraries use an I2C adapter and a GPIO chip that the guest's kernel simulates."""
    text = guest(bench, HARDWARE_SCRIPT, [], ["i2c-dev", "gpio-sim"],
                 files=[bench.build / "examples/vhost-user/host-hardware"]).finish()
    check("All tests passed" in text, "the test program")


if __name__ == "__main__":
    sys.exit(main(tests_of(globals())))
