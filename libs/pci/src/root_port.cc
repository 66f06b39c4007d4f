// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/pci/root_port.h"

#include <array>
#include <utility>

#include "express_slot.h"

namespace vmm::pci {
namespace {

// The port that guests know from other VMMs; drivers go by its class.
constexpr Header kHeader{
    .vendor = 0x1b36, .device = 0x000c, .class_code = 0x06'04'00, .interrupt_pin = 1};

constexpr Msi::Form kMsiForm{.wide = true, .maskable = false};

// Of the windows' registers: bits 31 to 20 of an address, in steps of 1 MiB.
constexpr std::uint16_t kWindowAddress = 0xfff0;
constexpr std::uint16_t kWide = 1;               // the prefetchable window has 64 bits
constexpr std::uint64_t kWindowStep = 0xf'ffff;  // the lowest bits of a limit

std::optional<AddressRange> window(std::uint64_t base, std::uint64_t limit) {
  if (base > limit || limit - base == UINT64_MAX) return std::nullopt;
  return AddressRange{.base = GuestAddress(base), .size = limit - base + 1};
}

}  // namespace

Result<std::shared_ptr<RootPort>, PciError> RootPort::create(Parts parts) {
  std::unique_ptr<Msi> msi;
  vm_device::MsiVectors* const vector = parts.vector.get();
  if (vector != nullptr) {
    VMM_TRY(msi, Msi::create(std::move(parts.vector), 1, kMsiForm));
  }
  std::shared_ptr<RootPort> port(new RootPort(std::move(parts)));
  port->vector_ = vector;
  const MutexLock lock(port->mutex_);
  port->msi_ = std::move(msi);
  VMM_TRY_DO(port->lay_out());
  return port;
}

RootPort::RootPort(Parts&& parts)
    : listener_(parts.listener),
      vector_(nullptr),
      bus_(std::make_shared<MsiDeviceId::BusNumber>(std::uint8_t{0})),
      config_(kHeader),
      slot_(std::make_unique<ExpressSlot>()) {}

RootPort::~RootPort() { detach(); }

// Both windows begin empty: their bases are above their limits.
Result<void, PciError> RootPort::lay_out() {
  config_.set(kHeaderType, kHeaderBridge);
  for (const std::uint16_t at : {kPrimaryBus, kSecondaryBus, kSubordinateBus}) {
    config_.set_writable(at, std::uint8_t{0xff});
  }
  for (const std::uint16_t at :
       {kMemoryBase, kMemoryLimit, kPrefetchableBase, kPrefetchableLimit}) {
    config_.set_writable(at, kWindowAddress);
  }
  config_.set(kMemoryBase, kWindowAddress);
  config_.set(kPrefetchableBase, static_cast<std::uint16_t>(kWindowAddress | kWide));
  config_.set(kPrefetchableLimit, kWide);
  for (const std::uint16_t at : {kPrefetchableBaseUpper, kPrefetchableLimitUpper}) {
    config_.set_writable(at, ~std::uint32_t{0});
  }
  config_.set_writable(kBridgeControl, std::uint16_t{0x3});  // error answers: kept, without effect
  VMM_TRY_DO(slot_->lay_out(config_));
  if (msi_ == nullptr) return {};
  constexpr std::array<std::byte, Msi::bytes(kMsiForm) - 2> kBody{};
  VMM_TRY(const std::uint16_t at, config_.add_capability(kCapabilityMsi, kBody));
  msi_->lay_out(config_, at);
  return {};
}

Result<void> RootPort::attach(const Attachment& attachment) {
  const MutexLock lock(mutex_);
  if (attachment_) return fail(PciError::kAttached);
  attachment_ = attachment;
  constexpr std::uint32_t kSlots = 32;
  slot_->set_number(config_, static_cast<std::uint16_t>(attachment.address.segment * kSlots +
                                                        attachment.address.slot));
  bars_ = BarSpace::behind(attachment.bars);
  if (msi_ != nullptr) msi_->set_device_id(attachment.msi_device_id);
  pin_ = attachment.intx[0];
  return {};
}

void RootPort::detach() {
  if (const std::shared_ptr<Function> function = take()) function->detach();
  const MutexLock lock(mutex_);
  pin_.reset();
  attachment_.reset();
}

// Pins go through as they are: the device behind is number 0.
Attachment RootPort::attachment_behind() const {
  Attachment behind{.address = attachment_->address,
                    .bars = bars_,
                    .intx = {},
                    .lines = nullptr,
                    .msi_device_id = {}};
  for (std::uint8_t pin = 0; attachment_->lines != nullptr && pin < std::size(behind.intx); ++pin) {
    behind.intx[pin] = attachment_->lines->input({.slot = behind.address.slot, .pin = pin});
  }
  if (const auto own = attachment_->msi_device_id.now()) {
    behind.msi_device_id = MsiDeviceId(*own - behind.address.devfn(), bus_);
  }
  return behind;
}

Result<void> RootPort::insert(std::shared_ptr<Function> function, Moment moment) {
  Attachment behind;
  {
    const MutexLock lock(mutex_);
    if (!attachment_) return fail(PciError::kNoDevice);
    if (function_ != nullptr) return fail(PciError::kSlotTaken);
    behind = attachment_behind();
  }
  VMM_TRY_DO(function->attach(behind));
  {
    const MutexLock lock(mutex_);
    function_ = function;
    slot_->fill(config_, moment == Moment::kFromStart);
    (void)apply();
  }
  function->retry_bars();
  return {};
}

bool RootPort::ask() {
  FunctionAddress address;
  {
    const MutexLock lock(mutex_);
    if (function_ == nullptr || !attachment_) return false;
    const bool given = slot_->ask(config_);
    update_interrupt();
    if (!given) return true;
    address = attachment_->address;
  }
  listener_.ejected(address);
  return true;
}

// Nothing of it is read in configuration space any more.
std::shared_ptr<Function> RootPort::take() {
  const MutexLock lock(mutex_);
  return std::exchange(function_, nullptr);
}

bool RootPort::remove() {
  const std::shared_ptr<Function> function = take();
  if (function == nullptr) return false;
  function->detach();
  const MutexLock lock(mutex_);
  slot_->empty(config_);
  (void)apply();
  return true;
}

bool RootPort::occupied() {
  const MutexLock lock(mutex_);
  return function_ != nullptr;
}

void RootPort::read_config(std::uint16_t offset, std::span<std::byte> data) {
  const MutexLock lock(mutex_);
  config_.read(offset, data);
}

void RootPort::write_config(std::uint16_t offset, std::span<const std::byte> data) {
  std::shared_ptr<Function> moved;
  FunctionAddress given;
  bool is_given = false;
  {
    const MutexLock lock(mutex_);
    config_.write(offset, data);
    bus_->store(config_.get<std::uint8_t>(kSecondaryBus));
    if (msi_ != nullptr) msi_->update(config_);
    is_given = slot_->after_write(config_) && attachment_;
    if (is_given) given = attachment_->address;
    moved = apply();
  }
  if (moved != nullptr) moved->retry_bars();
  if (is_given) listener_.ejected(given);
}

// What the device may decode, and the port's interrupt. The device, when it has to look at its
// BARs.
std::shared_ptr<Function> RootPort::apply() {
  update_interrupt();
  if (bars_ == nullptr || !bars_->forward(windows())) return nullptr;
  return function_;
}

BarSpace::Forwarded RootPort::windows() const {
  const bool open = (config_.get<std::uint16_t>(kCommand) & kCommandMemory) != 0;
  if (!open || !slot_->connects()) return {};
  const auto part = [this](std::uint16_t at) VMM_REQUIRES(mutex_) {
    return static_cast<std::uint64_t>(config_.get<std::uint16_t>(at) & kWindowAddress) << 16;
  };
  const auto upper = [this](std::uint16_t at) VMM_REQUIRES(mutex_) {
    return std::uint64_t{config_.get<std::uint32_t>(at)} << 32;
  };
  return {.memory = window(part(kMemoryBase), part(kMemoryLimit) | kWindowStep),
          .prefetchable =
              window(upper(kPrefetchableBaseUpper) | part(kPrefetchableBase),
                     upper(kPrefetchableLimitUpper) | part(kPrefetchableLimit) | kWindowStep)};
}

// A message for each time that there begins to be an event; the pin as long as there is one.
void RootPort::update_interrupt() {
  const bool wanted = slot_->interrupts(config_);
  const bool by_message = msi_ != nullptr && msi_->enabled() != 0;
  const bool send = wanted && by_message;
  if (send && !signalled_) vector_->trigger(0);
  signalled_ = send;
  const bool pin = wanted && !by_message;
  const bool masked = (config_.get<std::uint16_t>(kCommand) & kCommandIntxDisable) != 0;
  const auto status = config_.get<std::uint16_t>(kStatus) & ~kStatusInterrupt;
  config_.set(kStatus, static_cast<std::uint16_t>(status | (pin ? kStatusInterrupt : 0)));
  if (pin_ != nullptr) pin_->set(pin && !masked);
}

void RootPort::retry_bars() {
  std::shared_ptr<Function> function;
  {
    const MutexLock lock(mutex_);
    function = function_;
  }
  if (function != nullptr) function->retry_bars();
}

std::shared_ptr<Function> RootPort::find_behind(ConfigAddress address) {
  if (address.bus == 0 || address.bus != bus() || address.devfn != 0) return nullptr;
  const MutexLock lock(mutex_);
  return slot_->connects() ? function_ : nullptr;
}

}  // namespace vmm::pci
