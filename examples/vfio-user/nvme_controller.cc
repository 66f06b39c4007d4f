// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "nvme_controller.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "vmm/base/payload.h"
#include "vmm/vfio/device.h"

namespace vmm::nvme {
namespace {

constexpr std::uint32_t kBar = 0;

// Configuration space: a type 0 header, a pin and MSI-X.
constexpr std::uint16_t kVendor = 0x1234;  // nobody's
constexpr std::uint16_t kDevice = 0x4e56;
constexpr std::size_t kMsix = 0x40;
constexpr std::uint8_t kPinA = 1;
constexpr auto kPinOff = std::byte{0x04};  // of the command register's second byte

constexpr auto kIntxIndex = static_cast<std::uint32_t>(vfio::PciIrq::kIntx);
constexpr auto kMsixIndex = static_cast<std::uint32_t>(vfio::PciIrq::kMsix);

template <class T>
void put(std::span<std::byte> bytes, std::size_t at, T value) {
  std::memcpy(bytes.data() + at, &value, sizeof(value));
}

void fill_config(std::span<std::byte> config) {
  put(config, 0x00, kVendor);
  put(config, 0x02, kDevice);
  put(config, 0x06, std::uint16_t{0x10});        // status: capabilities
  put(config, 0x08, std::uint32_t{0x01080200});  // class: NVM Express
  put(config, 0x10, std::uint32_t{4});           // BAR 0: 64 bits
  put(config, 0x2c, kVendor);
  put(config, 0x2e, kDevice);
  put(config, 0x34, std::uint8_t{kMsix});
  put(config, 0x3d, kPinA);
  put(config, kMsix, std::uint8_t{0x11});
  put(config, kMsix + 2, std::uint16_t{Controller::kVectors - 1});
  put(config, kMsix + 4, std::uint32_t{Controller::kTableOffset});
  put(config, kMsix + 8, std::uint32_t{Controller::kPendingOffset});
}

std::uint32_t& at(std::array<std::uint32_t, 16>& registers, std::uint64_t offset) {
  return registers[offset / 4];
}

std::uint64_t wide(const std::array<std::uint32_t, 16>& registers, std::uint64_t offset) {
  return registers[offset / 4] | std::uint64_t{registers[offset / 4 + 1]} << 32;
}

}  // namespace

Controller::Controller(UniqueFd file, std::uint64_t bytes, const std::string& serial)
    : file_(std::move(file)),
      blocks_(bytes >> kBlockShift),
      serial_(serial),
      buffer_(kPage << kMaxTransferShift) {
  fill_config(config_);
  // Queues of 256 entries that have to be contiguous, ten seconds to get ready, the NVM commands.
  at(registers_, kCapabilities) = (kMaxEntries - 1) | 1 << 16 | 20 << 24;
  at(registers_, kCapabilities + 4) = 1 << 5;
  at(registers_, kVersion) = 0x0001'0200;
}

vfio::DeviceInfo Controller::info() const {
  return {.kind = vfio::DeviceKind::kPci, .resettable = true, .regions = 9, .interrupts = 5};
}

vfio_user::ServedRegion Controller::region(std::uint32_t index) const {
  if (index == kBar) return {.bytes = kBarBytes};
  if (index == vfio::kConfigRegion) return {.bytes = config_.size()};
  return {};
}

vfio::IrqInfo Controller::irq(std::uint32_t index) const {
  vfio::IrqInfo info;
  info.index = index;
  if (index == kMsixIndex) {
    info.count = kVectors;
    info.eventfd = true;
    info.fixed_size = true;
  }
  if (index == kIntxIndex) {
    info.count = 1;
    info.eventfd = true;
    info.maskable = true;
    info.automasked = true;
  }
  return info;
}

Result<void> Controller::read(std::uint32_t region, std::uint64_t offset,
                              std::span<std::byte> bytes) {
  std::span<const std::byte> from = std::as_bytes(std::span(registers_));
  if (region == vfio::kConfigRegion) from = config_;
  std::ranges::fill(bytes, std::byte{0});
  if (offset >= from.size()) return {};
  from = from.subspan(static_cast<std::size_t>(offset));
  std::ranges::copy(from.first(std::min(from.size(), bytes.size())), bytes.begin());
  return {};
}

// Of configuration space, the command register: the rest is the client's to emulate.
Result<void> Controller::write(std::uint32_t region, std::uint64_t offset,
                               std::span<const std::byte> bytes) {
  if (region == vfio::kConfigRegion) {
    for (std::size_t i = 0; i < bytes.size(); ++i) {
      if (offset + i == 4 || offset + i == 5)
        config_[static_cast<std::size_t>(offset) + i] = bytes[i];
    }
    raise_pin();
    return {};
  }
  if (offset % 4 != 0 || bytes.size() % 4 != 0 || bytes.size() > 8) return {};
  for (std::size_t i = 0; i < bytes.size(); i += 4) {
    write_register(offset + i, *front_as<std::uint32_t>(bytes.subspan(i)));
  }
  return {};
}

void Controller::write_register(std::uint64_t offset, std::uint32_t value) {
  if (offset >= kDoorbells) return ring(offset, value);
  switch (offset) {
    case kConfiguration:
      return configure(value);
    case kMaskSet:
      return set_mask(masked_ | value);
    case kMaskClear:
      return set_mask(masked_ & ~value);
    case kAdminSizes:
    case kAdminSubmissions:
    case kAdminSubmissions + 4:
    case kAdminCompletions:
    case kAdminCompletions + 4:
      at(registers_, offset) = value;
      return;
    default:
      return;
  }
}

// Both registers read as the mask.
void Controller::set_mask(std::uint32_t mask) {
  masked_ = mask;
  at(registers_, kMaskSet) = mask;
  at(registers_, kMaskClear) = mask;
  raise_pin();
}

void Controller::configure(std::uint32_t value) {
  const std::uint32_t before = std::exchange(at(registers_, kConfiguration), value);
  if ((before & kEnable) == 0 && (value & kEnable) != 0) enable();
  if ((before & kEnable) != 0 && (value & kEnable) == 0) stop();
  if ((value & kShutdown) != 0) at(registers_, kStatus) |= kShutdownDone;
}

void Controller::enable() {
  stop();
  const std::uint32_t sizes = at(registers_, kAdminSizes);
  // Pages of 4 KiB, the commands of NVM, and queues of pages.
  const bool sensible = (at(registers_, kConfiguration) & 0x7f0) == 0 &&
                        wide(registers_, kAdminSubmissions) % kPage == 0 &&
                        wide(registers_, kAdminCompletions) % kPage == 0;
  const std::uint32_t submissions = (sizes & 0xfff) + 1;
  const std::uint32_t completions = (sizes >> 16 & 0xfff) + 1;
  if (!sensible || submissions < 2 || completions < 2) {
    at(registers_, kStatus) = kFatal;
    return;
  }
  submissions_[0] = {
      .exists = true, .base = wide(registers_, kAdminSubmissions), .entries = submissions};
  completions_[0] = {.exists = true,
                     .base = wide(registers_, kAdminCompletions),
                     .entries = completions,
                     .interrupts = true};
  at(registers_, kStatus) = kReady;
}

void Controller::stop() {
  submissions_ = {};
  completions_ = {};
  events_ = 0;
  at(registers_, kStatus) = 0;
  set_mask(0);
}

Result<void> Controller::reset() {
  is_held_ = false;
  stop();
  for (const std::uint64_t offset :
       {kConfiguration, kAdminSizes, kAdminSubmissions, kAdminSubmissions + 4, kAdminCompletions,
        kAdminCompletions + 4}) {
    at(registers_, offset) = 0;
  }
  config_[4] = std::byte{0};
  config_[5] = std::byte{0};
  return {};
}

void Controller::attached(vfio_user::DmaSpace& dma, vfio_user::Interrupts& interrupts) {
  dma_ = &dma;
  interrupts_ = &interrupts;
}

void Controller::detached() {
  dma_ = nullptr;
  interrupts_ = nullptr;
}

// Values that no queue has are passed over.
void Controller::ring(std::uint64_t offset, std::uint32_t value) {
  const std::uint64_t number = (offset - kDoorbells) / 8;
  if (number > kIoQueues || (at(registers_, kStatus) & (kReady | kFatal)) != kReady) return;
  const auto queue = static_cast<std::uint16_t>(number);
  if (offset % 8 == 0) {
    Submissions& submissions = submissions_[queue];
    if (!submissions.exists || value >= submissions.entries) return;
    submissions.tail = value;
    return run(queue);
  }
  Completions& completions = completions_[queue];
  if (!completions.exists || value >= completions.entries) return;
  const bool was_full = completions.is_full();
  completions.head = value;
  if (!was_full) return;
  for (std::uint16_t i = 0; i <= kIoQueues; ++i) {
    if (submissions_[i].exists && submissions_[i].completions == queue) run(i);
  }
}

// A queue whose answers have no room waits for its driver. A command may delete the queue.
void Controller::run(std::uint16_t queue) {
  if (is_held_) return;
  Submissions& submissions = submissions_[queue];
  for (std::uint32_t left = submissions.entries; left != 0; --left) {
    if (!submissions.exists || submissions.head == submissions.tail) return;
    if (completions_[submissions.completions].is_full()) return;
    Command command;
    const std::uint64_t from = submissions.base + std::uint64_t{submissions.head} * sizeof(Command);
    if (!dma_->read(from, std::as_writable_bytes(std::span(&command, 1)))) {
      at(registers_, kStatus) |= kFatal;
      return;
    }
    submissions.head = (submissions.head + 1) % submissions.entries;
    if (!complete(submissions, queue, command.id, execute(queue, command))) return;
  }
}

bool Controller::complete(Submissions& queue, std::uint16_t number, std::uint16_t id,
                          Outcome outcome) {
  if (outcome.later) return true;
  Completions& completions = completions_[queue.completions];
  const Completion entry{
      .result = outcome.result,
      .reserved = 0,
      .head = static_cast<std::uint16_t>(queue.head),
      .queue = number,
      .id = id,
      .status = static_cast<std::uint16_t>(static_cast<unsigned>(outcome.status) << 1 |
                                           (completions.phase ? 1u : 0u))};
  const std::uint64_t to = completions.base + std::uint64_t{completions.tail} * sizeof(Completion);
  if (!dma_->write(to, bytes_of(entry))) {
    at(registers_, kStatus) |= kFatal;
    return false;
  }
  completions.tail = (completions.tail + 1) % completions.entries;
  if (completions.tail == 0) completions.phase = !completions.phase;
  if (completions.interrupts) interrupt(completions);
  return true;
}

void Controller::interrupt(const Completions& queue) {
  if (interrupts_->is_enabled(kMsixIndex, queue.vector)) {
    interrupts_->trigger(kMsixIndex, queue.vector);
  } else {
    raise_pin();
  }
}

// The pin is high while answers wait for a driver that has not masked them. Whoever hears it masks
// it, and unmasks it when the driver was told: if it is still high then, it is told again.
void Controller::raise_pin() {
  if (is_held_ || interrupts_ == nullptr || !interrupts_->is_enabled(kIntxIndex, 0)) return;
  if (interrupts_->is_masked(kIntxIndex, 0) || (config_[5] & kPinOff) != std::byte{0}) return;
  const bool high = std::ranges::any_of(completions_, [this](const Completions& queue) {
    const bool masked = queue.vector < 32 && (masked_ >> queue.vector & 1) != 0;
    return queue.exists && queue.interrupts && queue.head != queue.tail && !masked;
  });
  if (high) interrupts_->trigger(kIntxIndex, 0);
}

void Controller::unmasked(std::uint32_t index, std::uint32_t /*number*/) {
  if (index == kIntxIndex) raise_pin();
}

Controller::Outcome Controller::execute(std::uint16_t queue, const Command& command) {
  // Neither fused commands nor lists of scattered data.
  if ((command.flags & 0xc3) != 0) return {.status = Status::kBadField};
  return queue == 0 ? admin(command) : io(command);
}

}  // namespace vmm::nvme
