# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# shellcheck shell=bash disable=SC2154  # kit, arch and lab_dir come from common.sh
# Debian's dpdk-testpmd with its libraries and the drivers for vhost-user, unpacked in the cache, not
# installed: 6 MB to download, where dpdk-dev with all that it depends on has 35.

# dpdk_packages: the program, and what it is linked with.
dpdk_packages() {
  local name
  echo dpdk-dev ibverbs-providers libbsd0 libdbus-1-3 libelf1 libfdt1 libibverbs1 libjansson4 libmd0 \
    libnl-3-200 libnl-route-3-200 libnuma1 libpcap0.8 librte-common-mlx5-23 librte-net-mlx5-23 zlib1g
  for name in bitratestats bpf bus-auxiliary bus-dpaa bus-pci bus-vdev cmdline common-dpaax \
    common-iavf crypto-scheduler cryptodev dmadev eal ethdev eventdev gro gso hash ip-frag kvargs \
    latencystats mbuf mempool mempool-dpaa mempool-ring meter metrics net net-bnxt net-bond net-dpaa \
    net-i40e net-ice net-ixgbe net-vhost net-virtio pcapng pci pdump rcu reorder ring sched security \
    telemetry timer vhost; do
    echo "librte-${name}23"
  done
}

# debian_dpdk: prints the folder, of which usr/bin has the program.
debian_dpdk() {
  local root
  need apt-get dpkg flock
  root=$kit/dpdk-$(key_of "${BASH_SOURCE[0]}")
  if [[ ! -d $root ]]; then
    (
      flock 9
      [[ ! -d $root ]] || exit 0
      work=$(mktemp -d "$kit/dpdk.XXXXXX")
      trap 'rm -rf "$work"' EXIT
      apt_for "$arch"
      # shellcheck disable=SC2046  # a list of words
      download "$work" $(dpdk_packages) || {
        refresh_lists
        download "$work" $(dpdk_packages) || die "download failed: $(tail -n 1 "$work/log")"
      }
      unpack_packages "$work" "$work/root"
      rm -rf "$work/root/usr/share" "$kit"/dpdk-*
      mv "$work/root" "$root"
    ) 9>"$kit/dpdk.lock" || exit
  fi
  [[ -x $root/usr/bin/dpdk-testpmd ]] || die "dpdk-testpmd: not in Debian's packages"
  echo "$root"
}
