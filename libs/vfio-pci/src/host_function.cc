// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/vfio_pci/host_function.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include "bar_parts.h"
#include "config_layout.h"
#include "interrupts.h"
#include "vmm/base/endian.h"
#include "vmm/base/log.h"
#include "vmm/pci/registers.h"

namespace vmm::vfio_pci {

using detail::BarPart;
using detail::PartKind;
using detail::Piece;
using pci::ConfigSpace;

namespace {

constexpr std::uint8_t kTypeMask = 0x7f;  // of the header type
// What of the command register is the guest's to say to the device.
constexpr std::uint16_t kPassedCommand = pci::kCommandBusMaster | pci::kCommandParityError |
                                         pci::kCommandSystemError | pci::kCommandIntxDisable;
// The device decodes always: memory of it may be mapped, and is reached through the kernel.
constexpr std::uint16_t kConstantCommand = pci::kCommandIo | pci::kCommandMemory;

pci::Header header_of(std::span<const std::byte> config, bool has_pin) {
  const auto pin = std::to_integer<std::uint8_t>(config[pci::kInterruptPin]);
  const auto class_and_revision = load_le<std::uint32_t>(config.data() + pci::kRevision);
  return {.vendor = load_le<std::uint16_t>(config.data() + pci::kVendorId),
          .device = load_le<std::uint16_t>(config.data() + pci::kDeviceId),
          .revision = static_cast<std::uint8_t>(class_and_revision),
          .class_code = class_and_revision >> 8,
          .subsystem_vendor = load_le<std::uint16_t>(config.data() + pci::kSubsystemVendorId),
          .subsystem = load_le<std::uint16_t>(config.data() + pci::kSubsystemId),
          .interrupt_pin = has_pin && pin <= 4 ? pin : std::uint8_t{0},
          .multifunction = false};
}

Result<std::vector<std::byte>> config_of(const vfio::Device& device) {
  const std::uint64_t bytes = device.region(vfio::kConfigRegion).bytes;
  const bool is_pci = device.info().kind == vfio::DeviceKind::kPci;
  if (!is_pci || bytes < pci::kConventionalConfigBytes) {
    return fail(Error::os(ENOTSUP, "pass through what is no PCI device"));
  }
  std::vector<std::byte> config(bytes < pci::kConfigBytes ? pci::kConventionalConfigBytes
                                                          : pci::kConfigBytes);
  VMM_TRY_DO(device.read(vfio::kConfigRegion, 0, config));
  if ((std::to_integer<std::uint8_t>(config[pci::kHeaderType]) & kTypeMask) != 0) {
    return fail(Error::os(ENOTSUP, "pass a PCI bridge through"));
  }
  return config;
}

}  // namespace

Result<std::shared_ptr<HostFunction>> HostFunction::create(Wiring wiring) {
  VMM_TRY(const std::vector<std::byte> config, config_of(*wiring.device));
  VMM_TRY(const ConfigPlan plan, plan_config(config));
  const bool has_pin = wiring.pins != nullptr && wiring.device->irq(vfio::PciIrq::kIntx).count != 0;
  std::shared_ptr<HostFunction> function(
      new HostFunction(std::move(wiring), header_of(config, has_pin)));
  VMM_TRY_DO(function->set_up(config, plan));
  return function;
}

HostFunction::HostFunction(Wiring&& wiring, const pci::Header& header)
    : device_(std::move(wiring.device)),
      mapper_(wiring.mapper),
      vectors_(wiring.vectors),
      pins_(header.interrupt_pin != 0 ? wiring.pins : nullptr),
      io_ports_(wiring.io_ports),
      trapped_bars_(wiring.trapped_bars),
      quirks_(std::move(wiring.quirks)),
      wanted_fd_(wiring.wanted_fd),
      error_fd_(wiring.error_fd),
      peers_(std::move(wiring.peers)),
      parts_(std::make_unique<detail::BarParts>()),
      interrupts_(std::make_unique<detail::Interrupts>(*device_)),
      endpoint_(header, *this) {}

HostFunction::~HostFunction() { detach(); }

Result<void> HostFunction::attach(const pci::Attachment& attachment) {
  if (msix_ != nullptr) msix_->set_device_id(attachment.msi_device_id);
  VMM_TRY_DO(endpoint_.attach(attachment));
  endpoint_.with_config([&](ConfigSpace& config) {
    if (msi_ != nullptr) msi_->set_device_id(attachment.msi_device_id);
    const auto pin = config.get<std::uint8_t>(pci::kInterruptPin);
    if (pin >= 1 && pin <= std::size(attachment.intx)) {
      interrupts_->place_pin({.slot = attachment.address.slot,
                              .pin = static_cast<std::uint8_t>(pin - 1),
                              .sink = this});
    }
    choose_interrupts();
  });
  return {};
}

void HostFunction::detach() {
  endpoint_.detach();
  endpoint_.with_config([this](ConfigSpace& config) {
    if (device_ == nullptr) return;
    interrupts_.reset();
    if (msi_ != nullptr) msi_->reset(config);
    if (msix_ != nullptr) msix_->reset();
    memory_ = {};
    peers_.reset();
    device_.reset();
  });
}

void HostFunction::stop() {
  endpoint_.with_config([this](ConfigSpace& config) {
    if (device_ == nullptr) return;
    stopped_ = true;
    interrupts_->off();
    (void)set_device_command(config.get<std::uint16_t>(pci::kCommand));
  });
}

// ---- BARs ----

void HostFunction::read_bar(std::uint8_t bar, std::uint64_t offset, std::span<std::byte> data) {
  while (!data.empty()) {
    const Piece piece = parts_->first({.bar = bar, .offset = offset, .bytes = data.size()});
    const auto bytes = data.first(piece.bytes);
    const BarPart* const part = piece.part;
    if (part != nullptr && part->kind == PartKind::kTable) {
      if (msix_ != nullptr) msix_->read_table(offset - part->area.offset, bytes);
    } else if (part != nullptr && part->kind == PartKind::kPending) {
      if (msix_ != nullptr) msix_->read_pending(offset - part->area.offset, bytes);
    } else if (part == nullptr ||
               !part->quirk->read_bar(*device_, {bar, offset, piece.bytes}, bytes)) {
      // What the device does not answer reads as on a bus without one.
      if (!device_->read(bar, offset, bytes)) std::ranges::fill(bytes, std::byte{0xff});
    }
    data = data.subspan(piece.bytes);
    offset += piece.bytes;
  }
}

void HostFunction::write_bar(std::uint8_t bar, std::uint64_t offset,
                             std::span<const std::byte> data) {
  while (!data.empty()) {
    const Piece piece = parts_->first({.bar = bar, .offset = offset, .bytes = data.size()});
    const auto bytes = data.first(piece.bytes);
    const BarPart* const part = piece.part;
    if (part != nullptr && part->kind == PartKind::kTable) {
      if (msix_ != nullptr) msix_->write_table(offset - part->area.offset, bytes);
    } else if (part != nullptr && part->kind == PartKind::kPending) {
      // Read-only.
    } else if (part == nullptr ||
               !part->quirk->write_bar(*device_, {bar, offset, piece.bytes}, bytes)) {
      if (const auto done = device_->write(bar, offset, bytes); !done) {
        VMM_LOG_GUEST(kDebug, "BAR %u of a device of the host: %s", bar,
                      to_string(done.error()).c_str());
      }
    }
    data = data.subspan(piece.bytes);
    offset += piece.bytes;
  }
}

void HostFunction::bar_moved(std::uint8_t bar, std::optional<GuestAddress> address) {
  if (bar >= memory_.size() || mapper_ == nullptr) return;
  memory_[bar].hide();
  if (!address) return;
  if (const auto shown = memory_[bar].show(*mapper_, *address); !shown) {
    VMM_LOG_GUEST(kWarn, "BAR %u of a device of the host is slow: %s", bar,
                  to_string(shown.error()).c_str());
  }
  if (peers_ == nullptr) return;
  if (const auto shared = memory_[bar].share(*peers_, *address); !shared) {
    VMM_LOG_GUEST(kWarn, "BAR %u of a device of the host is not reached by others: %s", bar,
                  to_string(shared.error()).c_str());
  }
}

// ---- Configuration space ----

void HostFunction::before_config_read(ConfigSpace& config, std::uint16_t offset,
                                      std::size_t bytes) {
  if (device_ == nullptr) return;
  layout_->read(*device_, config, {offset, static_cast<std::uint16_t>(bytes)});
  if (msi_ != nullptr && pci::touches(offset, bytes, msi_->at(), pci::Msi::bytes(msi_->form()))) {
    msi_->refresh(config);
  }
}

void HostFunction::after_config_write(ConfigSpace& config, std::uint16_t offset,
                                      std::size_t bytes) {
  if (device_ == nullptr) return;
  const ConfigArea access{offset, static_cast<std::uint16_t>(bytes)};
  if (pci::touches(offset, bytes, pci::kCommand, sizeof(std::uint16_t))) {
    (void)set_device_command(config.get<std::uint16_t>(pci::kCommand));
  }
  const bool reset = layout_->takes_reset(config, access);
  layout_->write(*device_, config, access);
  update_interrupts(config, offset, bytes);
  if (reset) reset_function(config);
}

Result<void> HostFunction::set_device_command(std::uint16_t guest) {
  const std::uint16_t passed = stopped_ ? kPassedCommand & ~pci::kCommandBusMaster : kPassedCommand;
  const auto wanted = static_cast<std::uint16_t>((guest & passed) | kConstantCommand);
  if (wanted == device_command_) return {};
  std::array<std::byte, sizeof(wanted)> bytes{};
  store_le(bytes.data(), wanted);
  auto done = device_->write(vfio::kConfigRegion, pci::kCommand, bytes);
  if (done) {
    device_command_ = wanted;
  } else {
    VMM_LOG_GUEST(kWarn, "command register of a device of the host: %s",
                  to_string(done.error()).c_str());
  }
  return done;
}

void HostFunction::update_interrupts(ConfigSpace& config, std::uint16_t offset, std::size_t bytes) {
  const std::uint16_t msix = layout_->msix_at();
  const auto control = static_cast<std::uint16_t>(msix + pci::Msix::kControl);
  const bool of_msix = msix != 0 && pci::touches(offset, bytes, control, sizeof(std::uint16_t));
  const bool of_msi =
      msi_ != nullptr && pci::touches(offset, bytes, msi_->at(), pci::Msi::bytes(msi_->form()));
  if (of_msix) msix_->set_control(config.get<std::uint16_t>(control));
  if (of_msi) msi_->update(config);
  if (of_msix || of_msi) choose_interrupts();
}

void HostFunction::choose_interrupts() {
  if (stopped_) return;
  if (msix_ != nullptr && msix_->enabled()) {
    for (std::uint16_t i = 0; i < msix_->count(); ++i) fds_[i] = msix_->trigger_fd(i);
    return interrupts_->use_msix(std::span(fds_).first(msix_->count()));
  }
  if (msi_ != nullptr && msi_->enabled() != 0) {
    for (std::uint8_t i = 0; i < msi_->enabled(); ++i) fds_[i] = msi_->trigger_fd(i);
    return interrupts_->use_msi(std::span(fds_).first(msi_->enabled()));
  }
  interrupts_->use_pin();
}

// PCI Express 5.0, 6.6.2. The kernel keeps what is its own of the device's registers.
void HostFunction::reset_function(ConfigSpace& config) {
  interrupts_->off();
  if (const auto done = device_->reset(); !done) {
    VMM_LOG_GUEST(kWarn, "reset of a device of the host: %s", to_string(done.error()).c_str());
  }
  stopped_ = false;
  config.set(pci::kCommand, std::uint16_t{0});
  (void)set_device_command(0);
  layout_->reset(config);
  if (msi_ != nullptr) msi_->reset(config);
  if (msix_ != nullptr) {
    const auto control = static_cast<std::uint16_t>(layout_->msix_at() + pci::Msix::kControl);
    config.set(control, static_cast<std::uint16_t>(msix_->count() - 1));
    msix_->reset();
  }
  choose_interrupts();
}

}  // namespace vmm::vfio_pci
