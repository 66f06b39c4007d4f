# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# shellcheck shell=sh source=lib.sh
# needs: vmm-reference vmlinuz debian
# timeout: 1200
# on request
. ./lib.sh
# shellcheck source=lib-debian.sh
. ./lib-debian.sh

# Written before the reboot, read after it, and each time from both disks.
truncate -s 32M raw.img
cat >script <<'END'
disk=/dev/disk/by-id/virtio-raw
echo "transport: $(basename "$(readlink /sys/block/vda/device/../driver)")"
if [ -e /root/before ]; then
  echo "kept: $(cat /root/before) $(sha256sum <$disk | cut -c 1-64)"
else
  fio --name=verify --filename=$disk --rw=randrw --bs=16k --size=16m --iodepth=16 \
    --ioengine=libaio --direct=1 --verify=crc32c --verify_fatal=1 --output-format=terse >/tmp/fio
  echo "fio: $?, $(cut -s -d ';' -f 5 /tmp/fio) errors"
  sha256sum <$disk | cut -c 1-64 >/root/before
fi
dd if=/dev/hwrng bs=1024 count=4 iflag=fullblock status=none | wc -c | sed 's/^/random: /'
END
script_disk
debian --transport mmio --rng src=/dev/urandom --disk path=raw.img,image_type=raw,serial=raw \
  --disk path=script.img,image_type=raw,readonly=on,serial=script
login 'MMIO: Debian boots from its disk to a login' || exit
run_script 'MMIO: it does its work' 200
check 'MMIO: the disk is on MMIO' says '^transport: virtio-mmio' 1 0
check 'MMIO: fio finds what it wrote' says '^fio: 0, 0 errors' 1 0
check 'MMIO: random bytes' says '^random: 4096' 1 0

keys reboot
login 'MMIO: after a reboot it comes back to its login' 2 || exit
run_script 'MMIO: after the reboot it does its work' 200 2
sum=$(tr -d '\r' <"$log" | sed -n 's/^kept: \([0-9a-f]\{64\}\) .*/\1/p')
check 'MMIO: both disks kept what was written' says "^kept: $sum $sum" 1 0
check 'MMIO: the entropy device works again' says '^random: 4096' 2 0
check 'MMIO: it is the same process' alive
power_off 'MMIO: it powers off'
check 'MMIO: the root file system was left clean' tool e2fsck -fn /mnt/debian
