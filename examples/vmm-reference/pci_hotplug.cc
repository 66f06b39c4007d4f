// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "pci_hotplug.h"

#include <optional>

namespace vmm::reference {

PciHotplug::PciHotplug(Parts parts)
    : parts_(std::move(parts)),
      announcer_(parts_.make_announcer(static_cast<EjectListener&>(*this))),
      self_(std::make_shared<PciHotplug*>(this)) {}

Outcome<pci::FunctionAddress> PciHotplug::add(const PmemFile& pmem, const DeviceSlot& device) {
  VMM_TRY(const GuestAddress base, find_place(pmem.bytes, parts_.pmem_window, parts_.memory));
  pmem.device->place({base, pmem.bytes});
  const auto come = [&]() -> Outcome<pci::FunctionAddress> {
    VMM_TRY_DO(add_memory(pmem));
    return add(device);
  };
  auto added = come();
  if (!added) remove_memory(pmem);
  return added;
}

// All who reach memory know of it before the guest does.
Outcome<void> PciHotplug::add_memory(const PmemFile& pmem) {
  VMM_TRY(const auto region, map_pmem(pmem, parts_.memory, parts_.mapped));
  VMM_TRY_DO(parts_.passed.memory_added(region));
  if (parts_.board.iommu() != nullptr) parts_.board.iommu()->memory_changed();
  parts_.on_memory_changed(parts_.memory);
  return {};
}

void PciHotplug::remove_memory(const PmemFile& pmem) {
  const GuestAddress base = pmem.device->range().base;
  parts_.passed.memory_removed(base);
  parts_.mapped.remove(base);
  unplug_pmem(pmem, parts_.memory);
  if (parts_.board.iommu() != nullptr) parts_.board.iommu()->memory_changed();
  parts_.on_memory_changed(parts_.memory);
}

bool PciHotplug::ask_for(const std::string& id) {
  const std::optional<pci::FunctionAddress> address = parts_.board.find(id);
  if (!address) return false;
  asked_.insert(id);
  announcer_->ask_for(*address);
  return true;
}

// On a vCPU's thread; there are no more of these than the user has asked for devices.
void PciHotplug::ejected(pci::FunctionAddress address) {
  parts_.loop.post([self = self_, address] {
    if (*self != nullptr) (*self)->remove(address);
  });
}

// A second ejection, of a device that was asked for twice, may find the next one in the slot.
void PciHotplug::remove(const pci::FunctionAddress& address) {
  if (paused_) return held_.push_back(address);
  const std::string id = parts_.board.id_at(address);
  if (asked_.erase(id) == 0) return;
  parts_.board.remove(id);
  announcer_->forget(address);
  parts_.passed.removed(id);
  for (const PmemFile& pmem : parts_.devices.pmems()) {
    if (pmem.id == id) remove_memory(pmem);
  }
  parts_.on_removed(id);
}

void PciHotplug::resume() {
  paused_ = false;
  for (const pci::FunctionAddress& address : std::exchange(held_, {})) remove(address);
}

}  // namespace vmm::reference
