// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/virtio_pci/pci_transport.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include "capabilities.h"
#include "common_config.h"
#include "identity.h"
#include "vmm/base/checked.h"
#include "vmm/base/endian.h"
#include "vmm/base/log.h"
#include "vmm/virtio_pci/layout.h"

namespace vmm::virtio_pci {
namespace {

using virtio_device::SharedMemoryOwner;
using virtio_device::TransportCore;

constexpr std::uint64_t kPage = 4096;

bool is_in(const Part& part, std::uint64_t offset) {
  return offset >= part.offset && offset - part.offset < part.bytes;
}

}  // namespace

Result<std::shared_ptr<PciTransport>> PciTransport::create(const Wiring& wiring) {
  std::shared_ptr<PciTransport> transport(new PciTransport(wiring));
  VMM_TRY_DO(transport->set_up(wiring));
  return transport;
}

PciTransport::PciTransport(const Wiring& wiring)
    : device_(wiring.device),
      doorbells_(wiring.doorbells),
      endpoint_(detail::header_of(wiring.device->type()), *this) {}

PciTransport::~PciTransport() {
  detach();
  const MutexLock lock(mutex_);
  core_.reset();
}

Result<void> PciTransport::set_up(const Wiring& wiring) {
  if (wiring.device->queue_sizes().size() > kMaxQueues) {
    return fail(Error::os(EINVAL, "virtio-pci: more than 1024 queues"));
  }
  VMM_TRY_DO(add_msix(wiring));
  VMM_TRY_DO(add_core(wiring));
  VMM_TRY_DO(add_bars(wiring));
  return add_capabilities();
}

Result<void> PciTransport::add_core(const Wiring& wiring) {
  const MutexLock lock(mutex_);
  VMM_TRY(core_, TransportCore::create({.device = wiring.device,
                                        .memory = wiring.memory,
                                        .workers = wiring.workers,
                                        .sink = *this,
                                        .queue_features = wiring.queue_features,
                                        .behind_iommu = wiring.behind_iommu,
                                        .lone_driver = wiring.lone_driver}));
  const std::uint16_t vectors = msix_ == nullptr ? std::uint16_t{0} : msix_->count();
  common_ = std::make_unique<detail::CommonConfig>(*core_, vectors);
  for (std::uint16_t queue = 0; queue < core_->queue_count(); ++queue) {
    kick_fds_.push_back(core_->kick_fd(queue));
  }
  return {};
}

// A vector for each queue and one for the configuration.
Result<void> PciTransport::add_msix(const Wiring& wiring) {
  if (wiring.vectors == nullptr) return {};
  const auto count = static_cast<std::uint16_t>(wiring.device->queue_sizes().size() + 1);
  VMM_TRY(auto vectors, wiring.vectors->create_vectors(count));
  VMM_TRY(msix_, pci::Msix::create(std::move(vectors), count));
  return {};
}

Result<void> PciTransport::add_bars(const Wiring& wiring) {
  VMM_TRY_DO(endpoint_.add_bar(
      {.index = kRegistersBar,
       .kind = wiring.below_4g ? pci::BarKind::kMemory32 : pci::BarKind::kMemory64,
       .size = kRegistersBytes,
       .alignment = kRegistersAlignment}));
  SharedMemoryOwner* const owner = device_->shared_memory_owner();
  if (owner == nullptr) return {};
  const std::uint64_t bytes = owner->shared_memory().bytes;
  if (bytes < kPage) return fail(pci::PciError::kBadBar);
  VMM_TRY_DO(endpoint_.add_bar({.index = kSharedMemoryBar,
                                .kind = pci::BarKind::kMemory64,
                                .size = bytes,
                                .prefetchable = true}));
  return {};
}

Result<void> PciTransport::add_capabilities() {
  using detail::capability;
  const auto add = [this](const auto& body) {
    return endpoint_.add_capability(pci::kCapabilityVendor, body);
  };
  VMM_TRY_DO(add(capability(CapabilityKind::kCommon, kCommonPart)));
  VMM_TRY_DO(add(capability(CapabilityKind::kIsr, kIsrPart)));
  VMM_TRY_DO(add(capability(CapabilityKind::kDevice, kConfigPart)));
  VMM_TRY_DO(add(detail::notify_capability()));
  VMM_TRY(window_capability_,
          endpoint_.add_capability(pci::kCapabilityVendor, detail::window_capability(),
                                   detail::window_mask()));
  if (SharedMemoryOwner* const owner = device_->shared_memory_owner(); owner != nullptr) {
    VMM_TRY_DO(add(detail::shared_memory_capability(owner->shared_memory())));
  }
  if (msix_ == nullptr) return {};
  constexpr pci::Msix::Places kPlaces{
      .table = {.bar = kRegistersBar, .offset = kTablePart.offset},
      .pending = {.bar = kRegistersBar, .offset = kPendingPart.offset}};
  VMM_TRY(msix_capability_,
          endpoint_.add_capability(pci::kCapabilityMsix, msix_->capability(kPlaces),
                                   pci::Msix::capability_mask()));
  return {};
}

Result<void> PciTransport::attach(const pci::Attachment& attachment) {
  if (msix_ != nullptr) msix_->set_device_id(attachment.msi_device_id);
  VMM_TRY_DO(endpoint_.attach(attachment));
  return {};
}

void PciTransport::detach() {
  endpoint_.detach();
  const MutexLock lock(mutex_);
  detached_ = true;
  if (core_ == nullptr) return;
  core_->reset();
  forget_interrupts();
  if (msix_ != nullptr) msix_->reset();
}

void PciTransport::read_config(std::uint16_t offset, std::span<std::byte> data) {
  endpoint_.read_config(offset, data);
}

void PciTransport::write_config(std::uint16_t offset, std::span<const std::byte> data) {
  endpoint_.write_config(offset, data);
}

// ---- BARs ----

void PciTransport::read_bar(std::uint8_t bar, std::uint64_t offset, std::span<std::byte> data) {
  if (bar == kRegistersBar) read_registers(offset, data);
}

void PciTransport::write_bar(std::uint8_t bar, std::uint64_t offset,
                             std::span<const std::byte> data) {
  if (bar == kRegistersBar) write_registers(offset, data);
}

void PciTransport::read_registers(std::uint64_t offset, std::span<std::byte> data) {
  if (msix_ != nullptr && is_in(kTablePart, offset)) {
    return msix_->read_table(offset - kTablePart.offset, data);
  }
  if (msix_ != nullptr && is_in(kPendingPart, offset)) {
    return msix_->read_pending(offset - kPendingPart.offset, data);
  }
  const MutexLock lock(mutex_);
  if (is_in(kCommonPart, offset)) return common_->read(offset - kCommonPart.offset, data);
  if (offset == kIsrPart.offset) {
    data[0] = static_cast<std::byte>(take_isr());
    return;
  }
  if (is_in(kConfigPart, offset)) core_->read_config(offset - kConfigPart.offset, data);
}

void PciTransport::write_registers(std::uint64_t offset, std::span<const std::byte> data) {
  if (msix_ != nullptr && is_in(kTablePart, offset)) {
    return msix_->write_table(offset - kTablePart.offset, data);
  }
  const MutexLock lock(mutex_);
  if (detached_) return;
  if (is_in(kCommonPart, offset)) {
    const std::uint64_t at = offset - kCommonPart.offset;
    common_->write(at, data);
    const bool reset = at == static_cast<std::uint64_t>(Common::kDeviceStatus) &&
                       data.size() == 1 && data[0] == std::byte{0};
    if (reset) forget_interrupts();
    return;
  }
  if (is_in(kNotifyPart, offset)) {
    const std::uint64_t at = offset - kNotifyPart.offset;
    if (at % kNotifyMultiplier == 0) {
      core_->kick(static_cast<std::uint32_t>(at / kNotifyMultiplier));
    }
    return;
  }
  if (is_in(kConfigPart, offset)) core_->write_config(offset - kConfigPart.offset, data);
}

void PciTransport::bar_moved(std::uint8_t bar, std::optional<GuestAddress> address) {
  if (bar == kRegistersBar) move_doorbells(address);
  if (bar == kSharedMemoryBar) place_shared_memory(address);
}

// One for each queue, as each has an address of its own; whatever is written there.
void PciTransport::move_doorbells(std::optional<GuestAddress> registers) {
  for (const vm_device::Doorbell& doorbell : installed_) doorbells_.remove(doorbell);
  installed_.clear();
  if (!registers) return;
  for (std::size_t queue = 0; queue < kick_fds_.size(); ++queue) {
    const auto at = registers->checked_add(kNotifyPart.offset + queue * kNotifyMultiplier);
    if (!at) return;
    const vm_device::Doorbell doorbell{
        .address = *at, .bytes = 0, .value = std::nullopt, .fd = kick_fds_[queue]};
    if (doorbells_.add(doorbell)) installed_.push_back(doorbell);
  }
}

void PciTransport::place_shared_memory(std::optional<GuestAddress> address) {
  const MutexLock lock(mutex_);
  SharedMemoryOwner* const owner = device_->shared_memory_owner();
  if (owner == nullptr) return;
  const Result<void> placed = owner->place_shared_memory(address ? &*address : nullptr);
  if (!placed) {
    VMM_LOG_GUEST(kWarn, "virtio device %u: shared memory: %s",
                  static_cast<unsigned>(device_->type()), to_string(placed.error()).c_str());
  }
}

// ---- Capabilities with effects ----

void PciTransport::before_config_read(pci::ConfigSpace& config, std::uint16_t offset,
                                      std::size_t bytes) {
  const std::uint16_t data_at = detail::window_data(window_capability_);
  if (!pci::touches(offset, bytes, data_at, detail::kWindowDataBytes)) return;
  const auto window = detail::window_of(config, window_capability_);
  if (!window) return;
  const std::span<std::byte> data = config.bytes(data_at, window->bytes);
  std::ranges::fill(data, std::byte{0});
  read_registers(window->offset, data);
}

void PciTransport::after_config_write(pci::ConfigSpace& config, std::uint16_t offset,
                                      std::size_t bytes) {
  const std::uint16_t data_at = detail::window_data(window_capability_);
  if (pci::touches(offset, bytes, data_at, detail::kWindowDataBytes)) {
    const auto window = detail::window_of(config, window_capability_);
    if (window) write_registers(window->offset, config.bytes(data_at, window->bytes));
  }
  if (pci::touches(offset, bytes, pci::kCommand, sizeof(std::uint16_t))) {
    set_bus_master((config.get<std::uint16_t>(pci::kCommand) & pci::kCommandBusMaster) != 0);
  }
  if (msix_ == nullptr) return;
  const auto control = static_cast<std::uint16_t>(msix_capability_ + pci::Msix::kControl);
  if (!pci::touches(offset, bytes, control, sizeof(std::uint16_t))) return;
  set_msix_control(config.get<std::uint16_t>(control));
}

void PciTransport::set_msix_control(std::uint16_t control) {
  const bool was_enabled = msix_->enabled();
  msix_->set_control(control);
  update_pin();
  if (msix_->enabled() == was_enabled) return;
  const MutexLock lock(mutex_);
  if (core_ != nullptr) core_->interrupts_moved();
}

// A device that may not access memory any more stops for good, until a driver starts it again. One
// that never might runs all the same: not every firmware asks.
void PciTransport::set_bus_master(bool may) {
  const MutexLock lock(mutex_);
  const bool taken_away = bus_master_ && !may;
  bus_master_ = may;
  if (taken_away && core_ != nullptr) core_->stop();
}

// ---- Interrupts ----

void PciTransport::queue_interrupt(std::uint16_t queue) {
  if (has_msix()) return msix_->trigger(common_->queue_vector(queue));
  set_isr(kIsrQueue);
}

// The ISR status tells of it with MSI-X too: 4.1.4.5.1.
void PciTransport::config_interrupt() {
  set_isr(kIsrConfig);
  if (has_msix()) msix_->trigger(common_->config_vector());
}

int PciTransport::queue_interrupt_fd(std::uint16_t queue) {
  return has_msix() ? msix_->trigger_fd(common_->queue_vector(queue)) : -1;
}

void PciTransport::set_isr(std::uint8_t bits) {
  const MutexLock lock(isr_mutex_);
  isr_ |= bits;
  endpoint_.set_intx(!has_msix());
}

std::uint8_t PciTransport::take_isr() {
  const MutexLock lock(isr_mutex_);
  endpoint_.set_intx(false);
  return std::exchange(isr_, std::uint8_t{0});
}

void PciTransport::update_pin() {
  const MutexLock lock(isr_mutex_);
  endpoint_.set_intx(isr_ != 0 && !has_msix());
}

void PciTransport::forget_interrupts() {
  common_->reset();
  (void)take_isr();
  if (msix_ != nullptr) msix_->clear_pending();
}

}  // namespace vmm::virtio_pci
