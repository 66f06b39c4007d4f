#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#
# bench_io.sh BUILD-FOLDER [OPTION...]
# ./dev bench --lab-io: what a disk request and a network packet cost, in the reference VMM and in QEMU.
set -euo pipefail

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
build=$1
shift
guest_arch=$(uname -m) lab=$top/tests/lab/lab
# shellcheck source=lib/common.sh
source "$top/tests/lab/lib/common.sh"
# shellcheck source=lib/peers.sh
source "$top/tests/lab/lib/peers.sh"
json='' words='' rows=. rounds=3 guest_mib=512 vmms=() options=()

usage() {
  cat <<'EOF'
usage: ./dev bench --lab-io [--vmm NAME]... [--rows RE] [--rounds N] [--instructions]
                            [--json FILE] [--words WORDS]

Runs Debian's fio, iperf3 and ping in a guest with one CPU, in the reference VMM and in QEMU's q35
machine with virtio-blk-pci and virtio-net-pci, one after the other in the same L1, several times. The
disk is in the host's memory, opened for direct I/O through io_uring; the network is a tap. Prints the
best time of an operation, and the mean of how often the guest's CPU was left for it (KVM's "exits").
Time is that of an emulated machine: only its ratios say something, and those on an idle one only.

  --vmm NAME    only this one: vmm-reference, qemu or qemu-iothread; may be repeated
  --rows RE     only these rows (names like read-4k-depth-1)
  --rounds N    that many times (default 3)
  --instructions  count instructions of everything (VMM, host kernel, guest) instead: a nanosecond is
                one. One VMM and one row at a time: QEMU does not emulate more of it for certain
  --json FILE   write rows {"name", "vmm", "ns", "exits"} as well
  --words WORDS added to the guest's command line
EOF
}

parse() {
  while [[ $# -gt 0 ]]; do
    case $1 in
      --vmm) vmms+=("$2") && shift 2 ;;
      --rows) rows=$2 && shift 2 ;;
      --rounds) rounds=$2 && shift 2 ;;
      --instructions) options+=(--icount) && shift ;;
      --json) json=$2 && shift 2 ;;
      --words) words=$2 && shift 2 ;;
      -h | --help) usage && exit ;;
      *) usage >&2 && exit 2 ;;
    esac
  done
  if [[ ${#vmms[@]} -eq 0 ]]; then vmms=(vmm-reference qemu qemu-iothread); fi
}

# programs_overlay: fio, iperf3 and ping of the lab's Debian with their libraries, for L1 and the guest,
# as $work/programs.cpio; and guest.sh as the guest's script: all is in memory then.
programs_overlay() {
  local from=$work/debian libraries=$work/debian/x86_64-linux-gnu tree=$work/programs program file
  mkdir -p "$from" "$tree/usr/bin"
  debugfs -R "rdump /usr/lib/x86_64-linux-gnu /usr/bin/fio /usr/bin/iperf3 /usr/bin/ping $from" \
    "$("$lab" path debian)" 2>/dev/null
  install -D "$libraries/ld-linux-x86-64.so.2" "$tree/lib64/ld-linux-x86-64.so.2"
  for program in fio iperf3 ping; do
    install "$from/$program" "$tree/usr/bin/$program"
    "$libraries/ld-linux-x86-64.so.2" --library-path "$libraries:$libraries/ceph" \
      --list "$from/$program" | sed -n "s|.* => $from\(/[^ ]*\).*|\1|p"
  done | sort -u | while read -r file; do
    install -D "$from$file" "$tree/usr/lib$file"
  done
  pack "$tree" >"$work/programs.cpio"
  mkdir "$work/script"
  { echo "rows='$rows'" && cat "$top/tests/lab/bench_io/guest.sh"; } >"$work/script/script"
  pack "$work/script" >"$work/script.cpio"
}

# measure: prints "VMM NAME OPERATIONS NANOSECONDS EXITS" for each row.
measure() {
  {
    printf "vmms='%s' rounds=%s memory=%s words='%s'\n" "${vmms[*]}" "$rounds" "$guest_mib" "$words"
    cat "$top/tests/lab/bench_io/host.sh"
  } >"$work/host.sh"
  "$lab" run "${options[@]}" --timeout 3000 --memory 3G --overlay "$work/peers.cpio" \
    --overlay "$work/programs.cpio" --script "$work/host.sh" "vmlinuz=$("$lab" path vmlinuz)" \
    "guest-virtio.cpio=$("$lab" path l2_virtio)" "$work/programs.cpio" "$work/script.cpio" \
    "$build/examples/vmm-reference/vmm-reference" 2>&1 </dev/null | tee "$work/log" >&2 || true
  tr -d '\r' <"$work/log" | sed -n 's/^row //p'
}

report() {
  python3 - "$work/rows" "$json" <<'EOF'
import json, sys

rows = {}
vmms = []
for line in open(sys.argv[1]):
    vmm, name, count, ns, exits = line.split()
    runs = rows.setdefault(name, {}).setdefault(vmm, [])
    runs.append((int(ns) / int(count), int(exits) / int(count)))
    if vmm not in vmms:
        vmms.append(vmm)
# What an operation of each row moves, in bytes; a stream's operation is a megabyte.
size = lambda name: next((int(part[:-1]) << 10 for part in name.split("-") if part[-1:] == "k"
                          and part[:-1].isdigit()), 1 << 20 if name.startswith("tcp") else 0)
print(f"{'':<22}{'':<16}{'ns':>14}{'of ours':>9}{'exits':>9}{'of ours':>9}{'a second':>11}{'MB/s':>8}")
out = []
for name, runs_by_vmm in rows.items():
    by_vmm = {vmm: (min(run[0] for run in runs), sum(run[1] for run in runs) / len(runs))
              for vmm, runs in runs_by_vmm.items()}
    ours = by_vmm.get("vmm-reference")
    for vmm in vmms:
        if vmm not in by_vmm:
            continue
        cost, exits = by_vmm[vmm]
        ratio = f"{cost / ours[0]:8.2f}x" if ours else ""
        exit_ratio = f"{exits / ours[1]:8.2f}x" if ours and ours[1] else ""
        speed = f"{size(name) / cost * 1e3:8.1f}" if size(name) else ""
        print(f"{name:<22}{vmm:<16}{cost:>14,.0f}{ratio:>9}{exits:>9.2f}{exit_ratio:>9}"
              f"{1e9 / cost:>11,.0f}{speed:>8}")
        out.append({"name": name, "vmm": vmm, "ns": round(cost), "exits": round(exits, 2)})
if sys.argv[2]:
    with open(sys.argv[2], "w") as file:
        json.dump(out, file, indent=1)
EOF
}

main() {
  parse "$@"
  [[ $guest_arch == x86_64 ]] || die 'the comparison with QEMU is for x86_64'
  need qemu-system-x86_64 python3 debugfs
  work=$(mktemp -d "${TMPDIR:-/tmp}/cpp-vmm-bench.XXXXXX")
  trap 'rm -rf "$work"' EXIT
  peers_overlay "$work"
  programs_overlay
  say "measuring ${vmms[*]}"
  measure >"$work/rows"
  report
}

main "$@"
