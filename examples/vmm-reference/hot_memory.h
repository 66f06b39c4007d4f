// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <memory>

#include "config.h"
#include "failure.h"
#include "vmm/base/address_range.h"
#include "vmm/base/mutex.h"
#include "vmm/kvm_board/mapped_memory.h"
#include "vmm/virtio_mem/mem.h"
#include "vmm/vm_memory/guest_memory.h"

namespace vmm::reference {

/// Memory that the guest is given, and gives back, while it runs: --memory
/// hotplug_method=virtio-mem. It is a region of its own behind RAM, of which the host has as much
/// as the guest has touched. Outlives the machines that it is in.
class HotMemory {
 public:
  /// nullptr without such memory. Failures: there are not that many addresses.
  static Outcome<std::unique_ptr<HotMemory>> create(const VmConfig& config);

  /// The device by which the guest takes it.
  [[nodiscard]] const std::shared_ptr<virtio_mem::Mem>& device() const { return device_; }
  [[nodiscard]] const AddressRange& range() const { return range_; }
  /// Makes the region, with nothing of it plugged, part of a new machine.
  Outcome<void> map(vm_memory::GuestMemory& memory, kvm_board::MappedMemory& mapped);
  /// Lets go of the region: there is no machine any more.
  void release();

 private:
  class Blocks;

  HotMemory(const MemoryConfig& config, const AddressRange& range);

  const MemoryConfig config_;
  const AddressRange range_;
  const std::shared_ptr<Blocks> blocks_;
  std::shared_ptr<virtio_mem::Mem> device_;
};

}  // namespace vmm::reference
