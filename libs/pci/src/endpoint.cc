// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/pci/endpoint.h"

#include <algorithm>
#include <utility>

#include "vmm/base/checked.h"

namespace vmm::pci {
namespace {

constexpr std::uint32_t kIoBits = 0x1;        // of an I/O BAR: bit 0
constexpr std::uint32_t kMemory64Bits = 0x4;  // of a memory BAR: bits 1 and 2
constexpr std::uint32_t kPrefetchable = 0x8;  // of a memory BAR
constexpr std::uint64_t kIoAddress = ~std::uint64_t{0x3};
constexpr std::uint64_t kMemoryAddress = ~std::uint64_t{0xf};
constexpr std::uint64_t kMaxSize32 = std::uint64_t{1} << 31;
constexpr std::uint64_t kMaxIoSize = 1 << 15;
constexpr std::uint32_t kRomEnable = 0x1;
constexpr std::uint64_t kRomAddress = ~std::uint64_t{0x7ff};
constexpr std::uint64_t kMinRomSize = 2048;

std::uint16_t register_of(std::uint8_t bar) {
  if (bar == kRomIndex) return kRomBar;
  return static_cast<std::uint16_t>(kBar0 + bar * sizeof(std::uint32_t));
}

bool is_possible(const Bar& bar) {
  const bool wide = bar.kind == BarKind::kMemory64;
  if (bar.kind == BarKind::kRom) {
    return bar.index == kRomIndex && is_power_of_two(bar.size) && bar.size >= kMinRomSize &&
           bar.size <= kMaxSize32 && (bar.alignment == 0 || is_power_of_two(bar.alignment));
  }
  if (bar.index >= kBarCount || (wide && bar.index + std::size_t{1} >= kBarCount)) return false;
  if (!is_power_of_two(bar.size)) return false;
  if (bar.alignment != 0 && !is_power_of_two(bar.alignment)) return false;
  if (bar.kind == BarKind::kIo) return bar.size >= 4 && bar.size <= kMaxIoSize;
  return bar.size >= 16 && (wide || bar.size <= kMaxSize32);
}

}  // namespace

/// A BAR on the bus. Endpoint::detach() takes it off before the device dies.
class Endpoint::Port final : public vm_device::BusDevice {
 public:
  Port(EndpointDevice& device, std::uint8_t bar) : device_(device), bar_(bar) {}

  void read(std::uint64_t offset, std::span<std::byte> data) override {
    std::ranges::fill(data, std::byte{0});
    device_.read_bar(bar_, offset, data);
  }
  void write(std::uint64_t offset, std::span<const std::byte> data) override {
    device_.write_bar(bar_, offset, data);
  }

 private:
  EndpointDevice& device_;
  const std::uint8_t bar_;
};

Endpoint::Endpoint(const Header& header, EndpointDevice& device)
    : device_(device), config_(header) {}

Endpoint::~Endpoint() { detach(); }

bool Endpoint::takes(std::uint8_t index) const {
  return std::ranges::any_of(slots_, [index](const Slot& slot) {
    const bool wide = slot.bar.kind == BarKind::kMemory64;
    return slot.bar.index == index || (wide && slot.bar.index + 1 == index);
  });
}

Result<void, PciError> Endpoint::add_bar(const Bar& bar) {
  const MutexLock lock(mutex_);
  if (was_attached_) return fail(PciError::kAttached);
  const auto second = static_cast<std::uint8_t>(bar.index + 1);
  if (!is_possible(bar) || takes(bar.index)) return fail(PciError::kBadBar);
  if (bar.kind == BarKind::kMemory64 && takes(second)) return fail(PciError::kBadBar);
  add_registers(bar);
  slots_.push_back({.bar = bar,
                    .port = std::make_shared<Port>(device_, bar.index),
                    .first = std::nullopt,
                    .decoded = std::nullopt});
  return {};
}

// The bits below the size are fixed to 0, which is what the sizing protocol reads: 6.2.5.1.
void Endpoint::add_registers(const Bar& bar) {
  const std::uint16_t low = register_of(bar.index);
  const std::uint64_t mask = ~(bar.size - 1);
  if (bar.kind == BarKind::kIo) {
    config_.set(low, kIoBits);
    config_.set_writable(low, static_cast<std::uint32_t>(mask & kIoAddress));
    return;
  }
  if (bar.kind == BarKind::kRom) {
    config_.set_writable(low, static_cast<std::uint32_t>(mask & kRomAddress) | kRomEnable);
    return;
  }
  const bool wide = bar.kind == BarKind::kMemory64;
  config_.set(low, (wide ? kMemory64Bits : 0) | (bar.prefetchable ? kPrefetchable : 0));
  config_.set_writable(low, static_cast<std::uint32_t>(mask & kMemoryAddress));
  if (wide) {
    config_.set_writable(register_of(static_cast<std::uint8_t>(bar.index + 1)),
                         static_cast<std::uint32_t>(mask >> 32));
  }
}

Result<std::uint16_t, PciError> Endpoint::add_capability(std::uint8_t id,
                                                         std::span<const std::byte> body,
                                                         std::span<const std::byte> writable) {
  const MutexLock lock(mutex_);
  return config_.add_capability(id, body, writable);
}

Result<std::uint16_t, PciError> Endpoint::add_extended_capability(
    ConfigSpace::ExtendedId id, std::span<const std::byte> body,
    std::span<const std::byte> writable) {
  const MutexLock lock(mutex_);
  return config_.add_extended_capability(id, body, writable);
}

void Endpoint::set_address(const Bar& bar, std::uint64_t address) {
  const std::uint16_t low = register_of(bar.index);
  const std::uint32_t kind = config_.get<std::uint32_t>(low) & (bar.kind == BarKind::kIo ? 3 : 15);
  config_.set(low, static_cast<std::uint32_t>(address) | kind);
  if (bar.kind == BarKind::kMemory64) {
    config_.set(register_of(static_cast<std::uint8_t>(bar.index + 1)),
                static_cast<std::uint32_t>(address >> 32));
  }
}

std::uint64_t Endpoint::address(const Bar& bar) const {
  const std::uint16_t low = register_of(bar.index);
  if (bar.kind == BarKind::kIo) return config_.get<std::uint32_t>(low) & kIoAddress;
  if (bar.kind == BarKind::kRom) return config_.get<std::uint32_t>(low) & kRomAddress;
  if (bar.kind == BarKind::kMemory32) return config_.get<std::uint32_t>(low) & kMemoryAddress;
  return config_.get<std::uint64_t>(low) & kMemoryAddress;
}

Result<void, PciError> Endpoint::attach(const Attachment& attachment) {
  const MutexLock lock(mutex_);
  if (was_attached_) return fail(PciError::kAttached);
  space_ = attachment.bars;
  for (Slot& slot : slots_) {
    const auto given = space_->allocate(slot.bar);
    if (!given) {
      release_addresses();
      return fail(given.error());
    }
    slot.first = *given;
    set_address(slot.bar, *given);
  }
  was_attached_ = true;
  const auto pin = config_.get<std::uint8_t>(kInterruptPin);
  if (pin >= 1 && pin <= std::size(attachment.intx)) {
    const MutexLock intx_lock(intx_mutex_);
    intx_ = attachment.intx[pin - 1];
  }
  return {};
}

void Endpoint::release_addresses() {
  for (Slot& slot : slots_) {
    if (slot.first) space_->free(slot.bar, *slot.first);
    slot.first = std::nullopt;
  }
  space_.reset();
}

void Endpoint::detach() {
  const MutexLock lock(mutex_);
  if (space_ == nullptr) return;
  for (Slot& slot : slots_) move_to(slot, std::nullopt);
  release_addresses();
  const MutexLock intx_lock(intx_mutex_);
  intx_.reset();  // an input that dies is deasserted
}

void Endpoint::read_config(std::uint16_t offset, std::span<std::byte> data) {
  const MutexLock lock(mutex_);
  if (touches(offset, data.size(), kStatus, sizeof(std::uint16_t))) {
    const MutexLock intx_lock(intx_mutex_);
    const auto status = config_.get<std::uint16_t>(kStatus) & ~kStatusInterrupt;
    config_.set(kStatus,
                static_cast<std::uint16_t>(status | (intx_asserted_ ? kStatusInterrupt : 0)));
  }
  if (fits(std::size_t{offset}, data.size(), config_.size())) {
    device_.before_config_read(config_, offset, data.size());
  }
  config_.read(offset, data);
}

void Endpoint::write_config(std::uint16_t offset, std::span<const std::byte> data) {
  const MutexLock lock(mutex_);
  config_.write(offset, data);
  if (touches(offset, data.size(), kCommand, sizeof(std::uint16_t))) {
    apply_command();
  } else if (touches(offset, data.size(), kBar0, kBarCount * sizeof(std::uint32_t)) ||
             touches(offset, data.size(), kRomBar, sizeof(std::uint32_t))) {
    update_decoding();
  }
  if (!fits(std::size_t{offset}, data.size(), config_.size())) return;
  const auto before = config_.get<std::uint16_t>(kCommand);
  device_.after_config_write(config_, offset, data.size());
  if (config_.get<std::uint16_t>(kCommand) != before) apply_command();
}

void Endpoint::apply_command() {
  update_intx((config_.get<std::uint16_t>(kCommand) & kCommandIntxDisable) != 0);
  update_decoding();
}

void Endpoint::retry_bars() {
  const MutexLock lock(mutex_);
  update_decoding();
}

std::optional<std::uint64_t> Endpoint::wanted(const Bar& bar) const {
  const std::uint16_t enable = bar.kind == BarKind::kIo ? kCommandIo : kCommandMemory;
  if (space_ == nullptr || (config_.get<std::uint16_t>(kCommand) & enable) == 0) {
    return std::nullopt;
  }
  const bool is_rom = bar.kind == BarKind::kRom;
  if (is_rom && (config_.get<std::uint32_t>(kRomBar) & kRomEnable) == 0) return std::nullopt;
  const std::uint64_t at = address(bar);
  return space_->may_be_at(bar, at) ? std::optional(at) : std::nullopt;
}

// Another pass while something moves: two BARs of one function may change places.
void Endpoint::update_decoding() {
  for (std::size_t pass = 0; pass <= slots_.size(); ++pass) {
    bool changed = false;
    for (Slot& slot : slots_) changed |= decode(slot);
    if (!changed) return;
  }
}

bool Endpoint::decode(Slot& slot) {
  const std::optional<std::uint64_t> to = wanted(slot.bar);
  const std::optional<std::uint64_t> from = slot.decoded;
  if (to == from) return false;
  move_to(slot, to);
  return slot.decoded != from;
}

void Endpoint::move_to(Slot& slot, std::optional<std::uint64_t> to) {
  const bool is_memory = slot.bar.kind != BarKind::kIo;
  if (slot.decoded && is_memory) device_.bar_moved(slot.bar.index, std::nullopt);
  bool there = false;
  if (to && slot.decoded) there = space_->move(slot.bar, *slot.decoded, *to);
  if (slot.decoded && !there) space_->remove(slot.bar, *slot.decoded);
  if (to && !slot.decoded) there = space_->add(slot.bar, *to, slot.port);
  slot.decoded = there ? to : std::nullopt;
  if (there && is_memory) device_.bar_moved(slot.bar.index, GuestAddress(*to));
}

void Endpoint::set_intx(bool asserted) {
  const MutexLock lock(intx_mutex_);
  intx_asserted_ = asserted;
  if (intx_ != nullptr) intx_->set(asserted && !intx_disabled_);
}

void Endpoint::update_intx(bool disabled) {
  const MutexLock lock(intx_mutex_);
  intx_disabled_ = disabled;
  if (intx_ != nullptr) intx_->set(intx_asserted_ && !disabled);
}

std::optional<std::uint64_t> Endpoint::decoded_at(std::uint8_t bar) {
  const MutexLock lock(mutex_);
  const auto found =
      std::ranges::find_if(slots_, [bar](const Slot& slot) { return slot.bar.index == bar; });
  return found == slots_.end() ? std::nullopt : found->decoded;
}

}  // namespace vmm::pci
