// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/pci/bar.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "vmm/base/checked.h"

namespace vmm::pci {
namespace {

constexpr std::uint64_t k4GiB = std::uint64_t{1} << 32;
constexpr std::uint32_t kPorts = 0x1'0000;

/// Whether [at, at + size) lies inside the window.
bool holds(const std::optional<AddressRange>& window, std::uint64_t at, std::uint64_t size) {
  if (!window || at < window->base.raw()) return false;
  return fits(at - window->base.raw(), size, window->size);
}

Result<std::optional<vm_allocator::AddressAllocator>, PciError> allocator_of(
    const std::optional<AddressRange>& window) {
  if (!window) return std::optional<vm_allocator::AddressAllocator>();
  const auto range = vm_allocator::AddressRange::from_size(window->base.raw(), window->size);
  if (!range) return fail(PciError::kBadWindow);
  auto allocator = vm_allocator::AddressAllocator::create(*range);
  if (!allocator) return fail(PciError::kBadWindow);
  return std::optional(std::move(*allocator));
}

bool overlap(const AddressRange& a, const AddressRange& b) {
  const AddressRange& low = a.base < b.base ? a : b;
  const AddressRange& high = a.base < b.base ? b : a;
  return high.base.raw() - low.base.raw() < low.size;
}

vm_device::PioAddress port(std::uint64_t address) {
  return vm_device::PioAddress(static_cast<std::uint16_t>(address));
}

}  // namespace

Result<std::shared_ptr<BarSpace>, PciError> BarSpace::create(Buses buses, const Windows& windows) {
  const auto& low = windows.memory32;
  if (low && !fits(low->base.raw(), low->size, k4GiB)) return fail(PciError::kBadWindow);
  if (low && windows.memory64 && overlap(*low, *windows.memory64)) {
    return fail(PciError::kBadWindow);
  }
  if (windows.ports && !fits(std::uint32_t{windows.ports->base}, windows.ports->size, kPorts)) {
    return fail(PciError::kBadWindow);
  }
  std::shared_ptr<BarSpace> space(new BarSpace(buses, windows));
  VMM_TRY_DO(space->make_allocators());
  return space;
}

std::shared_ptr<BarSpace> BarSpace::behind(std::shared_ptr<BarSpace> parent) {
  return std::shared_ptr<BarSpace>(new BarSpace(std::move(parent)));
}

bool BarSpace::forward(const Forwarded& ranges) {
  const MutexLock lock(mutex_);
  return std::exchange(forwarded_, ranges) != ranges;
}

// A bridge sends I/O nowhere, and does not look at what kind of BAR is in which of its windows.
bool BarSpace::is_forwarded(const Bar& bar, std::uint64_t address) const {
  if (bar.kind == BarKind::kIo) return false;
  const MutexLock lock(mutex_);
  return holds(forwarded_.memory, address, bar.size) ||
         holds(forwarded_.prefetchable, address, bar.size);
}

Result<void, PciError> BarSpace::make_allocators() {
  std::optional<AddressRange> ports;
  if (windows_.ports) {
    ports = AddressRange{.base = GuestAddress(windows_.ports->base), .size = windows_.ports->size};
  }
  const MutexLock lock(mutex_);
  VMM_TRY(memory32_, allocator_of(windows_.memory32));
  VMM_TRY(memory64_, allocator_of(windows_.memory64));
  VMM_TRY(ports_, allocator_of(ports));
  return {};
}

BarSpace::Allocator& BarSpace::allocator_for(const Bar& bar) {
  if (bar.kind == BarKind::kIo) return ports_;
  return bar.kind == BarKind::kMemory64 && memory64_ ? memory64_ : memory32_;
}

Result<std::uint64_t, PciError> BarSpace::allocate(const Bar& bar) {
  if (parent_ != nullptr) return std::uint64_t{0};
  const MutexLock lock(mutex_);
  Allocator& allocator = allocator_for(bar);
  if (!allocator) return fail(PciError::kNoAddress);
  const auto range =
      allocator->allocate_first({.size = bar.size, .alignment = std::max(bar.alignment, bar.size)});
  if (!range) return fail(PciError::kNoAddress);
  return range->first;
}

void BarSpace::free(const Bar& bar, std::uint64_t address) {
  if (parent_ != nullptr) return;
  const MutexLock lock(mutex_);
  Allocator& allocator = allocator_for(bar);
  const auto range = vm_allocator::AddressRange::from_size(address, bar.size);
  if (allocator && range) (void)allocator->free(*range);
}

bool BarSpace::may_be_at(const Bar& bar, std::uint64_t address) const {
  if (parent_ != nullptr) return is_forwarded(bar, address) && parent_->may_be_at(bar, address);
  switch (bar.kind) {
    case BarKind::kIo:
      return buses_.ports != nullptr && windows_.ports && address >= windows_.ports->base &&
             fits(address - windows_.ports->base, bar.size, windows_.ports->size);
    case BarKind::kMemory32:
    case BarKind::kRom:
      return holds(windows_.memory32, address, bar.size);
    case BarKind::kMemory64:
      return holds(windows_.memory32, address, bar.size) ||
             holds(windows_.memory64, address, bar.size);
  }
  return false;
}

bool BarSpace::add(const Bar& bar, std::uint64_t address,
                   std::shared_ptr<vm_device::BusDevice> device) {
  if (parent_ != nullptr) return parent_->add(bar, address, std::move(device));
  const std::uint64_t before = frees();
  if (bar.kind == BarKind::kIo) {
    return note(buses_.ports->add(port(address), bar.size, std::move(device)).has_value(), before);
  }
  return note(buses_.mmio.add(GuestAddress(address), bar.size, std::move(device)).has_value(),
              before);
}

bool BarSpace::move(const Bar& bar, std::uint64_t from, std::uint64_t to) {
  if (parent_ != nullptr) return parent_->move(bar, from, to);
  const std::uint64_t before = frees();
  const bool moved = bar.kind == BarKind::kIo
                         ? buses_.ports->move(port(from), port(to)).has_value()
                         : buses_.mmio.move(GuestAddress(from), GuestAddress(to)).has_value();
  if (moved) note_free();
  return note(moved, before);
}

void BarSpace::remove(const Bar& bar, std::uint64_t address) {
  if (parent_ != nullptr) return parent_->remove(bar, address);
  if (bar.kind == BarKind::kIo) {
    (void)buses_.ports->remove(port(address));
  } else {
    (void)buses_.mmio.remove(GuestAddress(address));
  }
  note_free();
}

std::uint64_t BarSpace::frees() {
  const MutexLock lock(mutex_);
  return frees_;
}

// A range that became free between the refusal and this was not told of it.
bool BarSpace::note(bool placed, std::uint64_t frees_before) {
  if (placed) return true;
  const MutexLock lock(mutex_);
  refused_ = true;
  if (frees_ != frees_before) freed_.store(true);
  return false;
}

void BarSpace::note_free() {
  const MutexLock lock(mutex_);
  ++frees_;
  if (refused_) freed_.store(true);
}

bool BarSpace::take_freed() {
  if (parent_ != nullptr) return parent_->take_freed();
  if (!freed_.load()) return false;
  const MutexLock lock(mutex_);
  if (!freed_.exchange(false)) return false;
  refused_ = false;
  return true;
}

}  // namespace vmm::pci
