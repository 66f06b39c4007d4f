// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// Spec: the kernel's bindings arm/cpus.yaml, cpu/cpu-topology.txt, cache.yaml.

#include <algorithm>
#include <array>

#include "tree.h"

namespace vmm::arch::aarch64::tree {
namespace {

using fdt::Node;

constexpr std::uint32_t kMaxLevel = 7;

/// How many vCPUs share one instance of `cache`.
std::uint32_t shared_by(const DeviceTreeConfig& config, const Cache& cache) {
  return cache.vcpus == 0 ? config.vcpus : cache.vcpus;
}

const Cache* find_cache(const DeviceTreeConfig& config, std::uint32_t level, Cache::Kind kind) {
  for (const Cache& cache : config.caches) {
    if (cache.level == level && cache.kind == kind) return &cache;
  }
  return nullptr;
}

/// The next level above `level` that there is; nullptr for the last.
const Cache* next_cache(const DeviceTreeConfig& config, std::uint32_t level) {
  for (++level; level <= kMaxLevel; ++level) {
    if (const Cache* cache = find_cache(config, level, Cache::Kind::kUnified)) return cache;
  }
  return nullptr;
}

/// The phandle of the instance of `cache` that vCPU `cpu` uses.
std::uint32_t cache_phandle(const DeviceTreeConfig& config, const Cache& cache, std::uint32_t cpu) {
  return kFirstCache + cache.level * kMaxVcpus + cpu / shared_by(config, cache);
}

void put_next_level(Node& node, const DeviceTreeConfig& config, std::uint32_t level,
                    std::uint32_t cpu) {
  if (const Cache* next = next_cache(config, level)) {
    node.u32("next-level-cache", cache_phandle(config, *next, cpu));
  }
}

struct CacheNames {
  std::string_view bytes, line, sets;
};
constexpr CacheNames kData = {"d-cache-size", "d-cache-line-size", "d-cache-sets"};
constexpr CacheNames kInstruction = {"i-cache-size", "i-cache-line-size", "i-cache-sets"};
constexpr CacheNames kUnified = {"cache-size", "cache-line-size", "cache-sets"};

void put_sizes(Node& node, const Cache& cache, const CacheNames& names) {
  node.u32(names.bytes, cache.bytes);
  if (cache.line_bytes != 0) node.u32(names.line, cache.line_bytes);
  if (cache.sets != 0) node.u32(names.sets, cache.sets);
}

void put_first_level(Node& cpu, const DeviceTreeConfig& config) {
  if (const Cache* cache = find_cache(config, 1, Cache::Kind::kData)) {
    put_sizes(cpu, *cache, kData);
  }
  if (const Cache* cache = find_cache(config, 1, Cache::Kind::kInstruction)) {
    put_sizes(cpu, *cache, kInstruction);
  }
  if (const Cache* cache = find_cache(config, 1, Cache::Kind::kUnified)) {
    cpu.flag("cache-unified");
    put_sizes(cpu, *cache, kUnified);
  }
}

void put_cpu(Node& cpus, const DeviceTreeConfig& config, std::uint32_t index) {
  Node cpu = cpus.child(Name::at("cpu", mpidr_affinity(index)));
  cpu.string("device_type", "cpu");
  cpu.string("compatible", "arm,armv8");
  cpu.u32("reg", mpidr_affinity(index));
  cpu.string("enable-method", "psci");
  put_first_level(cpu, config);
  put_next_level(cpu, config, 1, index);
  cpu.phandle(kFirstCpu + index);
}

/// One node for each instance of each cache above level 1.
void put_caches(Node& cpus, const DeviceTreeConfig& config) {
  for (const Cache& cache : config.caches) {
    if (cache.level == 1) continue;
    const std::uint32_t step = shared_by(config, cache);
    for (std::uint32_t first = 0; first < config.vcpus; first += step) {
      const Name level = Name::numbered("l", cache.level);
      std::array<char, 16> base{};
      const std::string_view prefix = level;
      constexpr std::string_view kSuffix = "-cache";
      std::copy(kSuffix.begin(), kSuffix.end(),
                std::copy(prefix.begin(), prefix.end(), base.begin()));
      Node node =
          cpus.child(Name::numbered({base.data(), prefix.size() + kSuffix.size()}, first / step));
      node.string("compatible", "cache");
      node.u32("cache-level", cache.level);
      node.flag("cache-unified");
      put_sizes(node, cache, kUnified);
      put_next_level(node, config, cache.level, first);
      node.phandle(cache_phandle(config, cache, first));
    }
  }
}

/// A part of the map: `span` vCPUs from `first` on, as far as there are any.
struct Part {
  std::uint32_t first;
  std::uint32_t span;
};

void put_core(Node& cluster, const Topology& topology, Part part, std::uint32_t vcpus) {
  Node core =
      cluster.child(Name::numbered("core", part.first / part.span % topology.cores_per_cluster));
  if (topology.threads_per_core == 1) {
    core.u32("cpu", kFirstCpu + part.first);
    return;
  }
  const std::uint32_t end = std::min(vcpus, part.first + part.span);
  for (std::uint32_t cpu = part.first; cpu < end; ++cpu) {
    Node thread = core.child(Name::numbered("thread", cpu - part.first));
    thread.u32("cpu", kFirstCpu + cpu);
  }
}

void put_clusters(Node& parent, const Topology& topology, Part part, std::uint32_t vcpus) {
  const std::uint32_t core = topology.threads_per_core;
  const std::uint64_t cluster = std::uint64_t{core} * topology.cores_per_cluster;
  const std::uint64_t end = std::min<std::uint64_t>(vcpus, std::uint64_t{part.first} + part.span);
  std::uint32_t number = 0;
  for (std::uint64_t first = part.first; first < end; first += cluster) {
    Node node = parent.child(Name::numbered("cluster", number++));
    for (std::uint64_t at = first; at < std::min(end, first + cluster); at += core) {
      put_core(node, topology, {static_cast<std::uint32_t>(at), core}, vcpus);
    }
  }
}

/// Kernels before 6.0 know no sockets in it, so that one socket is left out.
void put_map(Node& cpus, const DeviceTreeConfig& config) {
  const Topology topology = config.topology.value_or(Topology::flat(config.vcpus));
  Node map = cpus.child("cpu-map");
  if (topology.sockets == 1) return put_clusters(map, topology, {0, config.vcpus}, config.vcpus);
  const std::uint64_t per_socket = std::uint64_t{topology.threads_per_core} *
                                   topology.cores_per_cluster * topology.clusters_per_socket;
  const auto span = static_cast<std::uint32_t>(std::min<std::uint64_t>(per_socket, config.vcpus));
  std::uint32_t number = 0;
  for (std::uint32_t first = 0; first < config.vcpus; first += span) {
    Node socket = map.child(Name::numbered("socket", number++));
    put_clusters(socket, topology, {first, span}, config.vcpus);
  }
}

bool valid(const DeviceTreeConfig& config, const Cache& cache) {
  if (cache.level == 0 || cache.level > kMaxLevel || cache.bytes == 0) return false;
  if (cache.level > 1 && cache.kind != Cache::Kind::kUnified) return false;
  // Whoever shares this one shares the next one too.
  const Cache* next = next_cache(config, cache.level);
  return next == nullptr || shared_by(config, *next) % shared_by(config, cache) == 0 ||
         shared_by(config, *next) >= config.vcpus;
}

}  // namespace

Result<void, ArchError> check_caches(const DeviceTreeConfig& config) {
  for (const Cache& cache : config.caches) {
    if (!valid(config, cache)) return fail(ArchError::kBadCache);
    // Twice the same one.
    if (find_cache(config, cache.level, cache.kind) != &cache) return fail(ArchError::kBadCache);
  }
  return {};
}

void put_cpus(Node& root, const DeviceTreeConfig& config) {
  Node cpus = root.child("cpus");
  cpus.u32("#address-cells", 1);
  cpus.u32("#size-cells", 0);
  for (std::uint32_t cpu = 0; cpu < config.vcpus; ++cpu) put_cpu(cpus, config, cpu);
  put_caches(cpus, config);
  put_map(cpus, config);
}

}  // namespace vmm::arch::aarch64::tree
