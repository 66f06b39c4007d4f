#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#
# bench_boot.sh ARCH BUILD-FOLDER [OPTION...]
# ./dev bench --lab: how many instructions a boot takes, from the start of the VMM's process to the
# guest's first program, for the reference VMM and its peers in the same L1.
set -euo pipefail

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
guest_arch=$1 build=$2
# shellcheck source=lib/common.sh
source "$top/tests/lab/lib/common.sh"
# shellcheck source=lib/peers.sh
source "$top/tests/lab/lib/peers.sh"
lab=("$top/tests/lab/lab" --arch "$guest_arch")
shift 2
json='' plain_clock=false devices=false only='.'
guest_mib=512
mark='guest: userspace'

usage() {
  cat <<'END'
usage: ./dev bench --lab [--arch ARCH] [--filter RE] [--json FILE] [--clock] [--devices]

Boots the stock Debian kernel in the reference VMM, in QEMU's microvm and q35 machines and, where
one is installed, in kvmtool (lkvm), one after the other on the same emulated CPU. Counts
instructions of everything (VMM, host kernel, guest); the counts are the same in every run.
Prints also the resident memory of each VMM outside the guest's.

  --arch ARCH   x86_64 or aarch64 (default: this machine's; no peers for another one)
  --filter RE   only these rows (names like bzImage/qemu-q35)
  --json FILE   write rows {"name", "instructions", "peer", "peer_instructions"} as well
  --clock       measure the emulated machine's time instead, without counting
  --devices     with a disk, a network device (a tap), a socket device and the control socket, to the
                shell of a guest that has loaded their drivers; not kvmtool
END
}

parse() {
  while [[ $# -gt 0 ]]; do
    case $1 in
      --filter) only=$2 && shift 2 ;;
      --json) json=$2 && shift 2 ;;
      --clock) plain_clock=true && shift ;;
      --devices) devices=true && mark=Welcome && shift ;;
      -h | --help) usage && exit ;;
      *) usage >&2 && exit 2 ;;
    esac
  done
}

# devices_of VMM: the options, on one line.
devices_of() {
  local qemu='-drive if=none,id=disk,file=disk.img,format=raw -netdev tap,id=net,ifname=vmm0,script=no,downscript=no
    -qmp unix:control.sock,server=on,wait=off' suffix=pci
  if [[ $1 == qemu-microvm ]]; then suffix=device; fi
  case $1 in
    vmm-reference) echo '--disk path=disk.img,image_type=raw --net tap=vmm0 --vsock cid=3,socket=vm.sock
      --api-socket path=control.sock' ;;
    *) echo "$qemu -device virtio-blk-$suffix,drive=disk -device virtio-net-$suffix,netdev=net$(
      [[ $suffix == device ]] || echo ,romfile=) -device vhost-vsock-$suffix,guest-cid=3" ;;
  esac | tr -s '\n ' ' '
}

# command_of VMM KERNEL: what starts it in L1.
command_of() {
  local cmdline="console=$console panic=-1 quiet vmm_mark=1" more=
  if $devices; then
    cmdline="console=$console panic=-1 quiet vmm.test=idle modules=$(
      [[ $1 == qemu-microvm ]] && echo virtio_mmio || echo virtio_pci),virtio_blk,virtio_net,vmw_vsock_virtio_transport"
    more=" $(devices_of "$1")"
  fi
  local qemu="qemu-system-x86_64 -accel kvm -cpu host -m $guest_mib -nodefaults -no-user-config
    -no-reboot -display none -serial stdio -kernel $2 -initrd guest.cpio -append '$cmdline'"
  case $1 in
    vmm-reference) echo "vmm-reference --kernel $2 --initramfs guest.cpio --cmdline '$cmdline' \
      --memory size=${guest_mib}M --serial tty --console off$more" ;;
    qemu-microvm) echo "${qemu//$'\n'/ } -M microvm$more" ;;
    qemu-q35) echo "${qemu//$'\n'/ } -M q35$more" ;;
    kvmtool) echo "lkvm run --kernel $2 --initrd guest.cpio -c 1 -m $guest_mib --console serial \
      -p '$cmdline'" ;;
  esac
}

# measure KERNEL VMM: prints "KERNEL/VMM COUNT KIB". An L1 of its own for each, so that no row
# depends on those before it.
measure() {
  local files=(boot-timer="$build/tests/lab/boot-timer" "$1=$("${lab[@]}" path "$1")"
    guest.cpio="$("${lab[@]}" path "$($devices && echo l2_virtio || echo l2)")")
  local options=(--timeout 300) line setup=:
  if $devices; then
    setup='modprobe tun; modprobe vhost_vsock; dd if=/dev/zero of=disk.img bs=1M count=4 2>/dev/null'
  fi
  if [[ $2 == vmm-reference ]]; then
    files+=("$build/examples/vmm-reference/vmm-reference")
  else
    options+=(--overlay "$work/peers.cpio")
  fi
  if ! $plain_clock; then options+=(--icount); fi
  line=$("${lab[@]}" run "${options[@]}" \
    --script "$setup; echo \"result \$(boot-timer '$mark' $guest_mib $(command_of "$2" "$1") 2>&1)\"" \
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
  if [[ $guest_arch == "$(uname -m)" ]] && ! $devices && command -v lkvm >/dev/null; then vmms+=(kvmtool); fi
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
