# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# shellcheck shell=sh disable=SC2154  # $rows is set before this
# The guest's part of ./dev bench --lab-io. Prints for each row "row NAME OPERATIONS NANOSECONDS", and
# marks when its operations begin and when they have ended.
export PATH=/usr/bin:/bin:/sbin
ip addr add 192.0.2.2/24 dev eth0
ip link set eth0 up
cd /tmp || exit

# fio starts it, beside its job: what takes long comes after the mark at the beginning.
cat >mark <<'MARK'
echo "mark $1" >/dev/console
[ "$1" = end ] || sleep 0.2
MARK

# wanted NAME: whether the row was asked for.
wanted() { echo "$1" | grep -qE "$rows"; }

# disk NAME OPERATIONS SIZE OPTION...: so many of that many KiB on the disk.
disk() {
  name=$1 count=$2 size=$3
  wanted "$name" || return
  shift 3
  fio --name=row --filename=/dev/vda --ioengine=libaio --direct=1 --clocksource=clock_gettime \
    --size=64m --io_size=$((count * size))k --bs="${size}k" --norandommap --thread \
    --output-format=terse --exec_prerun='sh /tmp/mark begin' --exec_postrun='sh /tmp/mark end' \
    "$@" >fio.out
  grep '^3;' fio.out | cut -d ';' -f 5,9,50 | {
    IFS=';' read -r errors reads writes
    [ "$errors" = 0 ] && echo "row $name $count $(((reads + writes) * 1000000))"
  }
}

# stream NAME MEGABYTES OPTION...: over TCP to the host, or with -R from there.
stream() {
  name=$1 count=$2
  wanted "$name" || return
  shift 2
  sh mark begin
  iperf3 -J -c 192.0.2.1 -n "${count}M" "$@" >iperf.out
  sh mark end
  sed -n '/"sum_received"/,/}/s/.*"seconds":[^0-9]*\([0-9.]*\).*/\1/p' iperf.out |
    awk -v name="$name" -v count="$count" '{ printf "row %s %d %.0f\n", name, count, $1 * 1e9 }'
}

# echoes NAME COUNT: one after the other. (Without its path it would be the ping of busybox.)
echoes() {
  wanted "$1" || return
  sh mark begin
  /usr/bin/ping -f -q -c "$2" 192.0.2.1 >ping.out
  sh mark end
  sed -n 's|^rtt.*= [0-9.]*/\([0-9.]*\)/.*|\1|p' ping.out |
    awk -v name="$1" -v count="$2" '{ printf "row %s %d %.0f\n", name, count, $1 * 1e6 * count }'
}

disk read-4k-depth-1 3000 4 --rw=randread --iodepth=1
disk read-4k-depth-32 8000 4 --rw=randread --iodepth=32
disk write-4k-depth-1 3000 4 --rw=randwrite --iodepth=1
disk write-4k-depth-32 8000 4 --rw=randwrite --iodepth=32
disk read-128k-depth-1 800 128 --rw=read --iodepth=1
disk read-128k-depth-32 1600 128 --rw=read --iodepth=32
disk write-128k-depth-1 800 128 --rw=write --iodepth=1
disk write-128k-depth-32 1600 128 --rw=write --iodepth=32
echoes ping 1000
stream tcp-to-host 50
stream tcp-to-guest 50 -R
