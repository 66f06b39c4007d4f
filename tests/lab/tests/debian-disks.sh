# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# shellcheck shell=sh source=lib.sh
# needs: vmm-reference vmlinuz debian
# l1: --smp 2 --memory 3G
# timeout: 1200
# on request
. ./lib.sh
# shellcheck source=lib-debian.sh
. ./lib-debian.sh

# A disk of each format. Each gets the same work; at the end one becomes a copy of the other.
mib=64
truncate -s ${mib}M raw.img
tool qemu-img create -q -f qcow2 /mnt/disk.qcow2 ${mib}M
tool qemu-img create -q -f vpc -o subformat=fixed,force_size=on /mnt/disk.vhd ${mib}M
tool qemu-img create -q -f vhdx -o subformat=fixed /mnt/disk.vhdx ${mib}M

cat >script <<'END'
raw=/dev/disk/by-id/virtio-raw
qcow2=/dev/disk/by-id/virtio-qcow2
others='/dev/disk/by-id/virtio-vhd /dev/disk/by-id/virtio-vhdx'
stat -fc 'root is on %T' /
findmnt -no SOURCE,FSTYPE /
for disk in vda vdb vdc; do echo "queues of $disk: $(ls /sys/block/$disk/mq | wc -l)"; done

# Each of four jobs writes an eighth of the disk at random, then reads back and compares.
for disk in $raw $qcow2 $others; do
  fio --name=verify --filename=$disk --rw=randrw --bsrange=4k-64k --size=8m --offset_increment=8m \
    --numjobs=4 --iodepth=16 --ioengine=libaio --direct=1 --verify=crc32c --verify_fatal=1 \
    --group_reporting --output-format=terse >/tmp/fio
  echo "fio on ${disk##*-}: $?, $(cut -s -d ';' -f 5 /tmp/fio) errors"
done

# A tree of many small files, through tar, with the caches emptied before it is read again.
mke2fs -q -t ext4 -N 8000 $qcow2
mount $qcow2 /mnt
mkdir -p /tmp/tree
cd /tmp/tree
for dir in $(seq 30); do
  mkdir dir$dir
  seq $dir 30 60000 | split -l 20 -a 3 - dir$dir/file
done
sum() { find . -name 'file*' -print0 | sort -z | xargs -0 cat | sha256sum; }
sum >/tmp/sum
tar cf - . | tar xf - -C /mnt
cd /mnt
sync
echo 3 >/proc/sys/vm/drop_caches
echo "files: $(find . -type f | wc -l)"
sum | cmp - /tmp/sum && echo 'tree: the same'
cd /
umount /mnt
fsck.ext4 -fn $qcow2 >/tmp/fsck && echo 'fsck: clean'
for disk in $raw $others; do
  dd if=$qcow2 of=$disk bs=1M oflag=direct conv=fsync status=none && echo "copy: done"
done
END
script_disk
debian --cpus boot=4 --disk path=raw.img,image_type=raw,num_queues=4,serial=raw \
  --disk path=disk.qcow2,image_type=qcow2,num_queues=4,serial=qcow2 \
  --disk path=disk.vhd,image_type=vhd,serial=vhd --disk path=disk.vhdx,image_type=vhdx,serial=vhdx \
  --disk path=script.img,image_type=raw,readonly=on,serial=script
login 'Debian boots from its disk to a login' || exit
run_script 'it does its work' 400
check 'the root file system is on the disk' says '^/dev/vda ext4' 1 0
check 'the raw disk has 4 queues' says '^queues of vdb: 4' 1 0
check 'the qcow2 disk has 4 queues' says '^queues of vdc: 4' 1 0
check 'fio finds what it wrote on the raw disk' says '^fio on raw: 0, 0 errors' 1 0
check 'fio finds what it wrote on the qcow2 disk' says '^fio on qcow2: 0, 0 errors' 1 0
check 'and on the VHD' says '^fio on vhd: 0, 0 errors' 1 0
check 'and on the VHDX' says '^fio on vhdx: 0, 0 errors' 1 0
check '3000 files are all there' says '^files: 3000' 1 0
check 'and have what was written to them' says '^tree: the same' 1 0
check 'fsck finds the file system clean' says '^fsck: clean' 1 0
power_off 'it powers off'

check 'the root file system was left clean' tool e2fsck -fn /mnt/debian
check 'qemu-img finds the qcow2 image clean' tool qemu-img check -q -f qcow2 /mnt/disk.qcow2
for image in qcow2:disk.qcow2 vpc:disk.vhd vhdx:disk.vhdx; do
  check "the raw image and the one of ${image%:*} have the same content" \
    tool qemu-img compare -q -f raw -F "${image%:*}" /mnt/raw.img "/mnt/${image#*:}"
done
