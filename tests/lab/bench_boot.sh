#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#
# bench_boot.sh ARCH BUILD-FOLDER [OPTION...]
# ./dev bench --lab: how many instructions a boot takes, from the start of the VMM's process to the
# guest's first program, for the reference VMM and its peers in the same L1.
set -euo pipefail

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
guest_arch=$1 build=$2
lab=("$top/tests/lab/lab" --arch "$guest_arch")
shift 2
json='' plain_clock=false only='.'
guest_mib=512
mark='guest: userspace'

usage() {
  cat <<'END'
usage: ./dev bench --lab [--arch ARCH] [--filter RE] [--json FILE] [--clock]

Boots the stock Debian kernel in the reference VMM, in QEMU's microvm and q35 machines and, where
one is installed, in kvmtool (lkvm), one after the other on the same emulated CPU. Counts
instructions of everything (VMM, host kernel, guest); the counts are the same in every run.
Prints also the resident memory of each VMM outside the guest's.

  --arch ARCH   x86_64 or aarch64 (default: this machine's; no peers for another one)
  --filter RE   only these rows (names like bzImage/qemu-q35)
  --json FILE   write rows {"name", "instructions", "peer", "peer_instructions"} as well
  --clock       measure the emulated machine's time instead, without counting
END
}

parse() {
  while [[ $# -gt 0 ]]; do
    case $1 in
      --filter) only=$2 && shift 2 ;;
      --json) json=$2 && shift 2 ;;
      --clock) plain_clock=true && shift ;;
      -h | --help) usage && exit ;;
      *) usage >&2 && exit 2 ;;
    esac
  done
}

# copy_program TREE PROGRAM: with the libraries it loads, at their own paths.
copy_program() {
  local file
  for file in "$2" $(ldd "$2" 2>/dev/null | grep -o '/[^ ]*'); do
    install -D -m 755 "$(readlink -f "$file")" "$1$file"
  done
}

# The peers as an overlay for L1.
peers_overlay() {
  local tree=$1/tree file
  if [[ $guest_arch == x86_64 ]]; then copy_program "$tree" "$(command -v qemu-system-x86_64)"; fi
  for file in /usr/share/{qemu,seabios}/{bios-256k,bios-microvm,linuxboot_dma,pvh,kvmvapic}.bin; do
    [[ ! -e $file ]] || install -D -m 644 "$(readlink -f "$file")" "$tree$file"
  done
  if command -v lkvm >/dev/null; then copy_program "$tree" "$(command -v lkvm)"; fi
  source_lab pack "$tree" >"$1/peers.cpio"
}

# One function of the lab's library.
source_lab() {
  (
    # shellcheck source=lib/common.sh
    source "$top/tests/lab/lib/common.sh"
    "$@"
  )
}

# command_of VMM KERNEL: what starts it in L1.
command_of() {
  local cmdline="console=$console panic=-1 quiet vmm_mark=1"
  local qemu="qemu-system-x86_64 -accel kvm -cpu host -m $guest_mib -nodefaults -no-user-config
    -no-reboot -display none -serial stdio -kernel $2 -initrd guest.cpio -append '$cmdline'"
  case $1 in
    vmm-reference) echo "vmm-reference --kernel $2 --initramfs guest.cpio --cmdline '$cmdline' \
      --memory size=${guest_mib}M --serial tty --console off" ;;
    qemu-microvm) echo "${qemu//$'\n'/ } -M microvm" ;;
    qemu-q35) echo "${qemu//$'\n'/ } -M q35" ;;
    kvmtool) echo "lkvm run --kernel $2 --initrd guest.cpio -c 1 -m $guest_mib --console serial \
      -p '$cmdline'" ;;
  esac
}

# measure KERNEL VMM: prints "KERNEL/VMM COUNT KIB". An L1 of its own for each, so that no row
# depends on those before it.
measure() {
  local files=(boot-timer="$build/tests/lab/boot-timer" "$1=$("${lab[@]}" path "$1")"
    guest.cpio="$("${lab[@]}" path l2)")
  local options=(--timeout 300) line
  if [[ $2 == vmm-reference ]]; then
    files+=("$build/examples/vmm-reference/vmm-reference")
  else
    options+=(--overlay "$work/peers.cpio")
  fi
  if ! $plain_clock; then options+=(--icount); fi
  line=$("${lab[@]}" run "${options[@]}" \
    --script "echo \"result \$(boot-timer '$mark' $guest_mib $(command_of "$2" "$1") 2>&1)\"" \
    "${files[@]}" 2>"$work/stderr") || true
  line=$(tr -d '\r' <<<"$line" | sed -n 's/^result //p')
  if [[ $line =~ ^[0-9]+\ [0-9]+$ ]]; then
    echo "$1/$2 $line"
  else
    echo "$1/$2: ${line:-$(tail -n 1 "$work/stderr")}" >&2
  fi
}

measure_all() {
  local kernel vmm vmms=(vmm-reference) kernels=(Image:vmlinuz)
  if [[ $guest_arch == x86_64 ]]; then kernels=(bzImage:vmlinuz vmlinux:vmlinux); fi
  if [[ $guest_arch == x86_64 && $(uname -m) == x86_64 ]]; then vmms+=(qemu-microvm qemu-q35); fi
  if [[ $guest_arch == "$(uname -m)" ]] && command -v lkvm >/dev/null; then vmms+=(kvmtool); fi
  for kernel in "${kernels[@]}"; do
    for vmm in "${vmms[@]}"; do
      if [[ ! ${kernel%:*}/$vmm =~ $only ]]; then continue; fi
      echo "measuring ${kernel%:*}/$vmm" >&2
      measure "${kernel#*:}" "$vmm" | sed "s/^vmlinuz/${kernel%:*}/"
    done
  done
}

report() {
  python3 - "$work/rows" "$json" "$($plain_clock && echo ns || echo instructions)" <<'END'
import json, sys

rows = {}
for line in open(sys.argv[1]):
    name, count, kib = line.split()
    rows[name] = (int(count), int(kib))
unit = sys.argv[3]
print(f"{'boot to userspace':<28}{unit:>16}{'of ours':>10}{'VMM memory':>14}")
out = []
for name, (count, kib) in rows.items():
    kernel, vmm = name.split("/")
    ours = rows.get(kernel + "/vmm-reference")
    ratio = f"{count / ours[0]:9.2f}x" if ours else ""
    print(f"{name:<28}{count:>16,}{ratio:>10}{kib:>10,} KiB")
    if ours and vmm != "vmm-reference":
        out.append({"name": f"boot/{kernel}", unit: ours[0], "peer": vmm, f"peer_{unit}": count,
                    "resident_kib": ours[1], "peer_resident_kib": kib})
if sys.argv[2]:
    with open(sys.argv[2], "w") as file:
        json.dump(out, file, indent=1)
END
}

main() {
  parse "$@"
  "${lab[@]}" fetch
  work=$(mktemp -d "${TMPDIR:-/tmp}/cpp-vmm-bench.XXXXXX")
  trap 'rm -rf "$work"' EXIT
  case $guest_arch in
    x86_64) console=ttyS0 ;;
    aarch64) console=ttyAMA0 ;;
  esac
  if [[ $guest_arch == "$(uname -m)" ]]; then peers_overlay "$work"; fi
  measure_all >"$work/rows"
  report
}

main "$@"
