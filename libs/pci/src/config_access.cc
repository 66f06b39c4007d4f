// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/pci/config_access.h"

#include <algorithm>
#include <array>

#include "vmm/base/checked.h"
#include "vmm/base/endian.h"
#include "vmm/pci/registers.h"

namespace vmm::pci {
namespace {

constexpr std::uint32_t kEnable = 0x8000'0000;
constexpr std::uint32_t kWritable = 0x80ff'fffc;
constexpr std::uint64_t kData = 4;          // the port 0xcfc
constexpr std::uint64_t kResetControl = 1;  // the port 0xcf9
constexpr std::byte kResetNow{0x04};
constexpr std::byte kResetKind{0x0a};  // what the guest may read back

constexpr std::uint64_t kEcamEnd = 256 * Segment::kEcamBytes;  // of all buses

ConfigAddress function_of(std::uint64_t ecam_offset) {
  return {.bus = static_cast<std::uint8_t>(ecam_offset / Segment::kEcamBytes),
          .devfn = static_cast<std::uint8_t>(ecam_offset / kConfigBytes)};
}

/// The register that an access at `port` ports from 0xcfc reaches.
std::uint16_t register_of(std::uint32_t address, std::uint64_t port) {
  return static_cast<std::uint16_t>((address & 0xfc) + port);
}

ConfigAddress function_of(std::uint32_t address) {
  return {.bus = static_cast<std::uint8_t>(address >> 16),
          .devfn = static_cast<std::uint8_t>(address >> 8)};
}

}  // namespace

void Ecam::read(std::uint64_t offset, std::span<std::byte> data) {
  const std::shared_ptr<Segment> segment = segment_.lock();
  if (segment == nullptr || offset >= kEcamEnd) {
    std::ranges::fill(data, std::byte{0xff});
    return;
  }
  segment->read_config(function_of(offset), static_cast<std::uint16_t>(offset % kConfigBytes),
                       data);
}

void Ecam::write(std::uint64_t offset, std::span<const std::byte> data) {
  const std::shared_ptr<Segment> segment = segment_.lock();
  if (segment == nullptr || offset >= kEcamEnd) return;
  segment->write_config(function_of(offset), static_cast<std::uint16_t>(offset % kConfigBytes),
                        data);
}

std::uint32_t ConfigPorts::address() {
  const MutexLock lock(mutex_);
  return address_;
}

void ConfigPorts::read(std::uint64_t offset, std::span<std::byte> data) {
  std::ranges::fill(data, std::byte{0xff});
  if (offset == kResetControl && data.size() == 1) {
    const MutexLock lock(mutex_);
    data[0] = reset_control_;
    return;
  }
  const std::uint32_t address = this->address();
  if (fits(offset, data.size(), kData)) {
    std::array<std::byte, sizeof(address)> bytes{};
    store_le(bytes.data(), address);
    std::copy_n(bytes.begin() + static_cast<std::ptrdiff_t>(offset), data.size(), data.begin());
    return;
  }
  const std::shared_ptr<Segment> segment = segment_.lock();
  if (offset < kData || !fits(offset, data.size(), kSize) || segment == nullptr) return;
  if ((address & kEnable) == 0) return;
  segment->read_config(function_of(address), register_of(address, offset - kData), data);
}

void ConfigPorts::write_reset_control(std::byte value) {
  {
    const MutexLock lock(mutex_);
    reset_control_ = value & kResetKind;
  }
  if (reset_ != nullptr && (value & kResetNow) != std::byte{0}) reset_->trigger();
}

void ConfigPorts::write(std::uint64_t offset, std::span<const std::byte> data) {
  if (offset == 0 && data.size() == sizeof(std::uint32_t)) {
    const MutexLock lock(mutex_);
    address_ = load_le<std::uint32_t>(data.data()) & kWritable;
    return;
  }
  if (offset == kResetControl && data.size() == 1) {
    return write_reset_control(data[0]);
  }
  const std::shared_ptr<Segment> segment = segment_.lock();
  if (offset < kData || !fits(offset, data.size(), kSize) || segment == nullptr) return;
  const std::uint32_t address = this->address();
  if ((address & kEnable) == 0) return;
  segment->write_config(function_of(address), register_of(address, offset - kData), data);
}

}  // namespace vmm::pci
