// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vm_sizes.h"

#include <algorithm>
#include <utility>

#include "device_options.h"

namespace vmm::reference {
namespace {

constexpr std::uint64_t kMostCpus = 8192;
constexpr std::uint64_t kPage = 4096;

Outcome<void> set_cpus(CpusConfig& cpus, std::uint64_t count) {
  if (count == cpus.boot) return {};
  if (count == 0 || count > kMostCpus) {
    return fail(runtime("desired_vcpus: not a number from 1 to 8192"));
  }
  if (cpus.topology) return fail(runtime("desired_vcpus: not the product of the topology"));
  if (std::ranges::any_of(cpus.affinity, [&](const auto& entry) { return entry.vcpu >= count; })) {
    return fail(runtime("desired_vcpus: one that has an affinity is beyond it"));
  }
  cpus.boot = static_cast<std::uint32_t>(count);
  return {};
}

Outcome<void> set_memory(MemoryConfig& memory, std::uint64_t bytes) {
  if (memory.virtio_mem) {
    VMM_TRY(memory.hotplugged_size, hotplugged_bytes(memory, bytes));
    return {};
  }
  if (bytes == 0 || bytes % kPage != 0) {
    return fail(runtime("desired_ram: not a multiple of 4096 bytes"));
  }
  memory.size = bytes;
  return {};
}

}  // namespace

Outcome<std::uint64_t> hotplugged_bytes(const MemoryConfig& memory, std::uint64_t bytes) {
  if (!memory.virtio_mem) {
    return fail(runtime("desired_ram: there is no hotplug_method=virtio-mem"));
  }
  if (bytes < memory.size || bytes - memory.size > memory.hotplug_size) {
    return fail(runtime("desired_ram: less than size, or more than hotplug_size beyond it"));
  }
  const std::uint64_t hot = bytes - memory.size;
  if (hot % memory.hot_block_bytes() != 0) {
    return fail(runtime("desired_ram: beyond size, not a multiple of the block size"));
  }
  return hot;
}

Outcome<void> resize_config(VmConfig& vm, const VmSizes& sizes) {
  VmConfig wanted = vm;
  if (sizes.vcpus) VMM_TRY_DO(set_cpus(wanted.cpus, *sizes.vcpus));
  if (sizes.ram_bytes) VMM_TRY_DO(set_memory(wanted.memory, *sizes.ram_bytes));
  if (sizes.balloon_bytes && wanted.balloon) wanted.balloon->size = *sizes.balloon_bytes;
  VMM_TRY_DO(check_devices(wanted));
  vm = std::move(wanted);
  return {};
}

}  // namespace vmm::reference
