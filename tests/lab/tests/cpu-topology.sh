# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# shellcheck shell=sh source=lib.sh
# needs: vmm-reference vmlinuz guest-virtio.cpio core-cookies
# l1: --smp 2,threads=2
# timeout: 400
. ./lib.sh

cat >script <<'END'
cd /sys/devices/system/cpu
for cpu in cpu[0-9]*; do
  cd $cpu/topology
  die=$(cat die_id 2>/dev/null)
  echo "$cpu: package $(cat physical_package_id) die ${die:--} threads $(cat thread_siblings_list) cores $(cat core_siblings_list)"
  cd ../..
done
for cache in cpu0/cache/index*; do
  echo "cache: L$(cat $cache/level) $(cat $cache/type) shared by $(cat $cache/shared_cpu_list)"
done
END

topology() { # NAME CPUS
  guest_with_script 'modules=virtio_pci' --cpus "$2"
  boots "topology: $1: the guest boots"
}
cpu() { check "topology: $1: $2" says "^$2[^0-9]*\$" 1 0; }

topology '2 threads, 2 packages' boot=4,topology=2:1:1:2
cpu '2 threads, 2 packages' 'cpu0: package 0 die [-0-9]* threads 0-1 cores 0-1'
cpu '2 threads, 2 packages' 'cpu1: package 0 die [-0-9]* threads 0-1 cores 0-1'
cpu '2 threads, 2 packages' 'cpu2: package 1 die [-0-9]* threads 2-3 cores 2-3'
cpu '2 threads, 2 packages' 'cpu3: package 1 die [-0-9]* threads 2-3 cores 2-3'
topology '3 cores, 2 packages' boot=6,topology=1:3:1:2
cpu '3 cores, 2 packages' 'cpu2: package 0 die [-0-9]* threads 2 cores 0-2'
cpu '3 cores, 2 packages' 'cpu3: package 1 die [-0-9]* threads 3 cores 3-5'
if [ "$arch" = x86_64 ]; then
  topology '2 dies' boot=4,topology=1:2:2:1
  cpu '2 dies' 'cpu1: package 0 die 0 threads 1 cores 0-3'
  cpu '2 dies' 'cpu2: package 0 die 1 threads 2 cores 0-3'
  refused=topology=4:1:1:1 words='more than 2 threads'
else
  topology '4 threads' boot=4,topology=4:1:1:1
  cpu '4 threads' 'cpu3: package 0 die [-0-9]* threads 0-3 cores 0-3'
  refused=topology=1:2:2:1 words='one die'
fi
start --kernel vmlinuz --cpus "boot=4,$refused"
finish 20
check "topology: $refused is refused" [ "$vmm_status" = 2 ]
check 'topology: by name' grep -q -- "--cpus: topology: .*$words" vmm.err

# allowed THREAD: the host's CPUs that this thread may use.
allowed() {
  for task in /proc/"$vmm_pid"/task/*; do
    [ "$(cat "$task/comm")" = "$1" ] && sed -n 's/^Cpus_allowed_list:[^0-9]*//p' "$task/status"
  done
}
sleeper() { # CPUS
  echo 'sleep 1000' >script
  guest_with_script 'modules=virtio_pci' --cpus "$1"
  says '^Welcome' 1 120
}
sleeper 'boot=3,affinity=[0@[1],2@[0-1]]'
check 'affinity: of vCPU 0' [ "$(allowed vcpu0)" = 1 ]
check 'affinity: a vCPU that is not named is anywhere' [ "$(allowed vcpu1)" = "$(allowed vmm-reference)" ]
check 'affinity: of vCPU 2' [ "$(allowed vcpu2)" = 0-1 ]
core-cookies "$vmm_pid" >cookies 2>cookies.err
smt=$?
kill -TERM "$vmm_pid"
finish 20
for cpu in 1023 5000; do
  guest_with_script 'modules=virtio_pci' --cpus "affinity=[0@[$cpu]]"
  finish 20
  check "affinity: a CPU that the host has not, $cpu, is an error that names it" \
    sh -c "[ '$vmm_status' = 1 ] && grep -q -- '--cpus: affinity: vCPU 0: .*\[$cpu\]' vmm.err"
done

case $smt in
  3)
    skip 'core scheduling' 'this machine has one thread a core'
    exit
    ;;
  4) # as Debian 12's kernels
    sleeper boot=2,core_scheduling=vm
    check 'core scheduling: vm: a kernel without it is a warning' \
      grep -q 'warning: --cpus: core_scheduling' vmm.err
    kill -TERM "$vmm_pid"
    finish 20
    guest_with_script 'modules=virtio_pci' --cpus core_scheduling=vcpu
    finish 20
    check 'core scheduling: vcpu: a kernel without it is an error that names the key' \
      sh -c "[ '$vmm_status' = 1 ] && grep -q -- '--cpus: core_scheduling' vmm.err"
    sleeper boot=2,core_scheduling=off
    check 'core scheduling: off: needs nothing of the kernel' alive
    kill -TERM "$vmm_pid"
    finish 20
    exit
    ;;
esac
cookie() { sed -n "s/^$1 //p" cookies; }
cookies_of() {
  sleeper "$1"
  core-cookies "$vmm_pid" >cookies
  kill -TERM "$vmm_pid"
  finish 20
}
check 'core scheduling: by default the vCPUs have a cookie' [ "$(cookie vcpu0)" != 0 ]
check 'core scheduling: of the VM' [ "$(cookie vcpu0)" = "$(cookie vcpu1)" ]
cookies_of boot=2,core_scheduling=vm
check 'core scheduling: vm: one cookie' \
  [ "$(cookie vcpu0)" != 0 -a "$(cookie vcpu0)" = "$(cookie vcpu1)" ]
cookies_of boot=2,core_scheduling=vcpu
check 'core scheduling: vcpu: cookies of their own' \
  [ "$(cookie vcpu0)" != 0 -a "$(cookie vcpu1)" != 0 -a "$(cookie vcpu0)" != "$(cookie vcpu1)" ]
cookies_of boot=2,core_scheduling=off
check 'core scheduling: off: no cookies' [ "$(cookie vcpu0)" = 0 -a "$(cookie vcpu1)" = 0 ]
