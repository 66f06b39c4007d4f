# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# shellcheck shell=bash disable=SC2154  # kit, arch and lab_dir come from common.sh
# lab run: one script in L1 (or, with --direct, in a temporary folder of this machine).

run_timeout=120 run_cpu='' run_gic=3 run_smp=1 run_memory=2G run_out='' run_script=''
run_iommu=false run_icount=false run_interactive=false run_trixie=false run_direct=false run_beats=false
run_files=() run_overlays=() run_disks=()
run_kernel=''

parse_run() {
  while [[ $# -gt 0 ]]; do
    case $1 in
      --timeout) run_timeout=$2 && shift 2 ;;
      --kernel) run_kernel=$2 && shift 2 ;;
      --cpu) run_cpu=$2 && shift 2 ;;
      --gic) run_gic=$2 && shift 2 ;;
      --smp) run_smp=$2 && shift 2 ;;
      --memory) run_memory=$2 && shift 2 ;;
      --out) run_out=$2 && shift 2 ;;
      --script) run_script=$2 && shift 2 ;;
      --overlay) run_overlays+=("$2") && shift 2 ;;
      --disk) run_disks+=("$2") && shift 2 ;;
      --write-disk) run_disks+=("$2,write") && shift 2 ;;
      --iommu) run_iommu=true && shift ;;
      --trixie) run_trixie=true && shift ;;
      --icount) run_icount=true && shift ;;
      --interactive) run_interactive=true && shift ;;
      --direct) run_direct=true && shift ;;
      -*) usage_error "run: unknown option $1" ;;
      *) run_files+=("$1") && shift ;;
    esac
  done
  [[ -n $run_script ]] || usage_error 'run: --script is missing'
}

# place FOLDER: the files (PATH, or NAME=PATH to give one another name) into the folder.
place() {
  local entry path name
  for entry in "${run_files[@]}"; do
    path=${entry#*=}
    name=$(basename "${entry%%=*}")
    [[ -r $path ]] || die "$path: no such file"
    cp --reflink=auto -rL "$path" "$1/$name"
  done
}

# place_libraries TREE PROGRAM...: the shared libraries of programs that are not static, and what
# loads them, where these look for them.
place_libraries() {
  local tree=$1 triplet=$arch-linux-gnu library path folders=() files=()
  shift
  files=("$@")
  folders=("/lib/$triplet" "/usr/lib/$triplet" "/usr/$triplet/lib" "$kit"/sysroot-*/lib/"$triplet"
    "$kit"/sysroot-*/usr/lib/"$triplet" "$kit"/daemons-*/lib/"$triplet"
    "$kit"/daemons-*/usr/lib/"$triplet" "$kit"/fio-*/lib/"$triplet" "$kit"/fio-*/usr/lib/"$triplet"
    "$kit"/fio-*/usr/lib/"$triplet"/ceph)
  while [[ ${#files[@]} -gt 0 ]]; do
    for library in $(readelf -ld "${files[0]}" 2>/dev/null |
      sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p; s/.*program interpreter: \(.*\)\]/\1/p'); do
      path=$tree/lib/$(basename "$library")
      if [[ $library == /* ]]; then path=$tree$library; fi
      [[ ! -e $path ]] || continue
      mkdir -p "$(dirname "$path")"
      find_library "$(basename "$library")" "${folders[@]}" || die "$library: not found"
      cp -L "$found" "$path"
      files+=("$path")
    done
    files=("${files[@]:1}")
  done
}

# find_library NAME FOLDER...: sets $found to the first one there is.
find_library() {
  local folder name=$1
  shift
  for folder in "$@"; do
    found=$folder/$name
    [[ ! -e $found ]] || return 0
  done
  return 1
}

write_script() {
  if [[ -f $run_script ]]; then cat "$run_script"; else printf '%s\n' "$run_script"; fi >"$1"
}

# The overlay of this run: the script and the files, on top of the cached image.
make_initrd() {
  local work=$1
  mkdir -p "$work/tree/lab" "$work/tree/work"
  write_script "$work/tree/lab/run.sh"
  place "$work/tree/work"
  place_libraries "$work/tree" "$work/tree/work"/*
  pack "$work/tree" | cat "$(l1_image)" "${run_overlays[@]}" - >"$work/initrd"
  rm -rf "$work/tree"
}

# disk_options: the disks of L1, which init/l1 finds by their serial numbers. What L1 writes is
# thrown away unless it was --write-disk.
disk_options() {
  local entry file keep count=0
  for entry in "${run_disks[@]}"; do
    keep='snapshot=on'
    if [[ $entry == *,write ]]; then keep='cache=unsafe,discard=unmap' entry=${entry%,write}; fi
    file=${entry#*=}
    [[ -r $file ]] || die "$file: no such file"
    qemu+=(-drive "file=$file,format=raw,if=none,id=disk$count,$keep"
      -device "nvme,drive=disk$count,serial=${entry%%=*}")
    count=$((count + 1))
  done
}

# iommu_options: an IOMMU and, behind it, a disk (0000:00:10.0) and network devices (0000:00:11.0 and 12.0)
# to give away. L1's own devices pass the IOMMU by.
iommu_options() {
  $run_iommu || return 0
  append+=' iommu=pt iommu.passthrough=1'
  if [[ $arch == x86_64 ]]; then
    qemu+=(-machine kernel-irqchip=split -device 'intel-iommu,intremap=on,caching-mode=on')
    append+=' intel_iommu=on'
  else
    qemu+=(-machine iommu=smmuv3)
  fi
  truncate -s 64M "$work/given.img"
  qemu+=(-drive "file=$work/given.img,format=raw,if=none,id=given,cache=unsafe"
    -device 'nvme,drive=given,serial=given,addr=10.0' -netdev 'user,id=given-net'
    -device 'virtio-net-pci,netdev=given-net,addr=11.0,romfile=,iommu_platform=on,disable-legacy=on'
    -netdev 'user,id=given-card' -device 'e1000e,netdev=given-card,addr=12.0,romfile=')
}

# machine_options: the emulated machine and, last of its serial ports, the one for the status.
machine_options() {
  case $arch in
    x86_64)
      console=ttyS0
      qemu=(qemu-system-x86_64 -M q35 -cpu "${run_cpu:-EPYC}")
      status_port=(-serial "file:$work/status")
      # On a loaded host the timer is too slow for the kernel's check of it, and the HPET for that of
      # the TSC: a TSC that fails it is one that KVM does not give to its guests as it is.
      append='no_timer_check tsc=reliable'
      if [[ $run_smp -gt 1 ]]; then
        mkfifo "$work/second.in" "$work/second.out"
        qemu+=(-chardev "pipe,id=second,path=$work/second"
          -device 'isa-serial,index=2,irq=10,chardev=second')
      fi
      ;;
    aarch64)
      console=ttyAMA0
      qemu=(qemu-system-aarch64 -M "virt,virtualization=on,gic-version=$run_gic"
        -cpu "${run_cpu:-neoverse-n1}")
      status_port=(-chardev "file,id=status,path=$work/status" -device 'pci-serial,chardev=status')
      ;;
  esac
}

qemu_options() {
  local work=$1 console status_port append=''
  machine_options
  iommu_options
  append+=" console=$console panic=-1 quiet"
  qemu+=(-smp "$run_smp" -m "$run_memory"
    -nodefaults -no-user-config -display none -no-reboot -net none
    -kernel "${run_kernel:-$kit/linux/vmlinuz}" -initrd "$work/initrd")
  if $run_icount; then
    qemu+=(-accel 'tcg,thread=single' -icount 'shift=0,sleep=off' -seed 42
      -rtc 'base=2024-01-01T00:00:00,clock=vm')
  else
    qemu+=(-accel 'tcg,thread=multi')
  fi
  if $run_interactive; then
    qemu+=(-serial mon:stdio)
    append+=" lab.interactive TERM=${TERM:-vt100}"
  else
    qemu+=(-serial stdio)
  fi
  qemu+=("${status_port[@]}" -append "$append")
  disk_options
  if [[ -n $run_out ]]; then
    truncate -s 256M "$work/out.img"
    qemu+=(-drive "file=$work/out.img,format=raw,if=none,id=out" -device 'nvme,drive=out,serial=out')
  fi
}

# stop: ends what this run has started, and nothing else; gives the terminal back as it was.
stop() {
  if [[ -n ${child:-} ]] && kill "$child" 2>/dev/null; then wait "$child" || true; fi
  if [[ -n ${heart:-} ]]; then kill "$heart" 2>/dev/null || true; fi
  if [[ -n ${saved_tty:-} ]]; then stty "$saved_tty" 2>/dev/null || true; fi
  rm -rf "$work"
}

# QEMU's TCG can lose an interrupt of the emulated CPU: VMRUN and #VMEXIT change the CPU's set of
# pending interrupts while another of its threads adds one. The local APIC has the interrupt, the
# CPU does not see it, and as the timer is set anew only by its handler, L1 sleeps for good. Any
# further interrupt makes the APIC look again: one byte to the console's port does, and one to a
# port whose interrupt goes to the second CPU (init/l1) where there is one.
heartbeat() {
  local second=/dev/null
  [[ ! -p $work/second.in ]] || second=$work/second.in
  while sleep 0.25; do printf '\n' && printf '\n' >&3 || return 0; done 2>/dev/null 3<>"$second"
}

# wait_for COMMAND...: runs it under the time limit; its exit status, or 124. The command dies
# with this script, whatever ends that.
wait_for() {
  local input=/dev/null status=0 limit=()
  if $run_interactive; then
    input=/dev/stdin
  elif $run_beats; then
    mkfifo "$work/beats"
    heartbeat >"$work/beats" &
    heart=$!
    input=$work/beats
  fi
  if [[ $run_timeout != 0 ]]; then
    limit=(setpriv --pdeathsig TERM timeout --foreground --kill-after 5 "$run_timeout")
  fi
  "${limit[@]}" setpriv --pdeathsig KILL "$@" <"$input" &
  child=$!
  wait "$child" || status=$?
  child=''
  if [[ -n ${heart:-} ]]; then kill "$heart" 2>/dev/null || true; fi
  return "$status"
}

take_files() {
  mkdir -p "$run_out"
  tar xf "$work/out.img" -C "$run_out" 2>/dev/null || say "no files came out of L1"
}

run_in_l1() {
  need "qemu-system-$arch" cpio depmod setpriv timeout
  fetch
  local qemu status=0 kit=$kit
  if $run_trixie; then use_other_kernel trixie; fi
  make_initrd "$work"
  qemu_options "$work"
  if $run_interactive && [[ -t 0 ]]; then saved_tty=$(stty -g); fi
  if ! $run_icount; then run_beats=true; fi
  say 'starting the emulated machine'
  wait_for "${qemu[@]}" 2>"$work/stderr" || status=$?
  grep -v "TCG doesn't support requested feature" "$work/stderr" >&2 || true
  if [[ $status -eq 124 || $status -eq 137 ]]; then
    say "ended after $run_timeout s (time limit)"
    return 124
  fi
  if [[ -n $run_out ]]; then take_files; fi
  local reported
  reported=$(tr -d '\r' <"$work/status" 2>/dev/null | sed -n 's/^status \([0-9]*\)$/\1/p' | tail -n 1)
  if [[ -n $reported ]]; then return "$reported"; fi
  if $run_interactive && [[ $status -eq 0 ]]; then return 0; fi # Ctrl-a x
  say "the emulated machine ended without a status (QEMU's was $status)"
  return 125
}

run_on_host() {
  need setpriv timeout
  mkdir "$work/files" "$work/out"
  write_script "$work/run.sh"
  local entry
  for entry in "${run_disks[@]}"; do run_files+=("${entry%,write}"); done
  place "$work/files"
  export LAB=host OUT=$work/out PATH=$work/files:$PATH
  local status=0 command=(sh "$work/run.sh")
  if $run_interactive && [[ -t 0 ]]; then
    saved_tty=$(stty -g)
    command=("$lab_dir/lib/console.py" "${command[@]}")
  fi
  cd "$work/files" || return
  wait_for "${command[@]}" || status=$?
  cd "$OLDPWD" || return
  if [[ -n $run_out ]]; then
    mkdir -p "$run_out"
    cp -r "$work/out/." "$run_out"
  fi
  return "$status"
}

run() {
  parse_run "$@"
  work=$(mktemp -d "${TMPDIR:-/tmp}/cpp-vmm-lab.XXXXXX")
  trap stop EXIT
  trap 'exit 129' HUP
  trap 'exit 130' INT
  trap 'exit 143' TERM
  if $run_direct; then run_on_host; else run_in_l1; fi
}
