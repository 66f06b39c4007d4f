#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#
# ./dev run, after the build: one guest in the reference VMM, here or in the lab.
# run_guest.sh ARCH BUILD-FOLDER [OPTION...]
set -euo pipefail

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
arch=$1
vmm=$2/examples/vmm-reference/vmm-reference
lab=("$top/tests/lab/lab" --arch "$arch")
shift 2
case $arch in
  x86_64) console=ttyS0 ;;
  aarch64) console=ttyAMA0 ;;
esac

once=false cpus=1 memory=512M words=()

say() { printf 'dev: %s\n' "$*" >&2; }

usage_error() {
  say "run: $*"
  exit 2
}

parse() {
  while [[ $# -gt 0 ]]; do
    case $1 in
      --once) once=true && shift ;;
      --cpus) cpus=${2:?run: --cpus needs a number} && shift 2 ;;
      --memory) memory=${2:?run: --memory needs a size} && shift 2 ;;
      --) shift && words=("$@") && break ;;
      *) usage_error "unknown option $1 (words for the guest's command line come after --)" ;;
    esac
  done
  [[ $cpus =~ ^[0-9]+$ ]] || usage_error "--cpus: $cpus: not a number"
  [[ $memory =~ ^[0-9]+[KMG]?$ ]] || usage_error "--memory: $memory: not a size (such as 512M)"
  if [[ ! -t 0 || ! -t 1 ]]; then once=true; fi
}

# vmm_command KERNEL INITRAMFS: quoted for a shell, as it has to reach one in L1.
vmm_command() {
  local cmdline="console=$console panic=-1 quiet TERM=${TERM:-vt100}"
  if $once; then cmdline+=' vmm.test=poweroff'; fi
  if [[ ${#words[@]} -gt 0 ]]; then cmdline+=" ${words[*]}"; fi
  printf '%q ' vmm-reference --kernel "$1" --initramfs "$2" --cmdline "$cmdline" \
    --cpus "boot=$cpus" --memory "size=$memory" --serial tty --console off
}

# script VMM-COMMAND: runs it and ends with the guest's status when the VMM's own is 0.
script() {
  if $once; then
    cat <<END
{ $1 </dev/null; echo \$? >vmm.status; } | tee guest.log
read -r status <vmm.status
guest=\$(tr -d '\\r' <guest.log | sed -n 's/^guest: status \\([0-9]*\\)\$/\\1/p' | tail -n 1)
[ "\$status" -ne 0 ] || status=\${guest:-0}
exit "\$status"
END
  else
    echo "exec $1"
  fi
}

main() {
  parse "$@"
  local options=(--timeout 0) files=()
  local kernel initramfs
  kernel=$("${lab[@]}" path vmlinuz)
  initramfs=$("${lab[@]}" path l2)
  files=(vmm-reference="$vmm" vmlinuz="$kernel" guest.cpio="$initramfs")
  if "${lab[@]}" has-kvm; then
    options+=(--direct)
  else
    say 'no hardware KVM here: the VMM runs inside the lab, an emulated machine that has KVM'
  fi
  if ! $once; then
    options+=(--interactive)
    say "exit the guest's shell, or press Ctrl-a x, to end"
  fi
  exec "${lab[@]}" run "${options[@]}" --script "$(script "$(vmm_command vmlinuz guest.cpio)")" \
    "${files[@]}"
}

main "$@"
