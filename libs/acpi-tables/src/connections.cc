// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// Connections to pins and buses: ACPI 6.5, 6.4.3.8.

#include <algorithm>
#include <cstddef>

#include "vmm/acpi_tables/resources.h"

namespace vmm::acpi_tables {
namespace {

constexpr std::size_t kHeaderBytes = 3;  // tag and length, which does not count them
constexpr std::size_t kGpioBytes = 23;   // in front of the pins
constexpr std::uint8_t kGpioTag = 0x8c;
constexpr std::uint8_t kSerialTag = 0x8e;
constexpr std::uint8_t kConsumer = 2;  // of a serial bus; the device is not the controller
constexpr std::uint8_t kShared = 4;
constexpr std::size_t kSerialBytes = 12;  // in front of what each bus has of its own

}  // namespace

bool Resources::is_path(std::string_view controller) {
  const bool good = !controller.empty() &&
                    std::ranges::all_of(controller, [](char c) { return c > 0x20 && c < 0x7f; });
  if (!good) out_->fail(AcpiError::kBadString);
  return good;
}

void Resources::put_path(std::string_view controller) {
  out_->bytes(std::as_bytes(std::span(controller)));
  out_->put(std::uint8_t{0});
}

void Resources::gpio(const GpioPins& pins, std::uint8_t kind, std::uint16_t flags,
                     std::uint16_t drive) {
  if (pins.pins.empty()) return out_->fail(AcpiError::kBadRange);
  if (!is_path(pins.controller)) return;
  const std::size_t path_at = kGpioBytes + 2 * pins.pins.size();
  const std::size_t end = path_at + pins.controller.size() + 1;
  if (end > 0xffff) return out_->fail(AcpiError::kTooManyElements);
  constexpr std::uint8_t kRevision = 1;
  constexpr std::uint16_t kGpioConsumer = 1;
  const auto all_flags = static_cast<std::uint16_t>(flags | (pins.shared ? 8u : 0u));
  out_->put(kGpioTag, static_cast<std::uint16_t>(end - kHeaderBytes), kRevision, kind,
            kGpioConsumer, all_flags, static_cast<std::uint8_t>(pins.pull), drive, pins.debounce,
            static_cast<std::uint16_t>(kGpioBytes), std::uint8_t{0},
            static_cast<std::uint16_t>(path_at), static_cast<std::uint16_t>(end),
            std::uint16_t{0});  // no data of the vendor, behind the path
  for (const std::uint16_t pin : pins.pins) out_->put(pin);
  put_path(pins.controller);
}

void Resources::gpio_interrupt(const GpioPins& pins, const GpioInterruptRules& rules) {
  if (pins.pins.size() != 1) return out_->fail(AcpiError::kBadRange);
  const unsigned flags =
      (rules.edge ? 1u : 0u) | static_cast<unsigned>(rules.active) << 1 | (rules.wake ? 16u : 0u);
  gpio(pins, 0, static_cast<std::uint16_t>(flags), 0);
}

void Resources::gpio_io(const GpioPins& pins, const GpioIoRules& rules) {
  gpio(pins, 1, static_cast<std::uint16_t>(rules.use), rules.drive);
}

void Resources::i2c(const I2cDevice& device) {
  if (device.address > (device.ten_bits ? 0x3ff : 0x7f)) return out_->fail(AcpiError::kBadRange);
  if (!is_path(device.controller)) return;
  constexpr std::uint16_t kOwnBytes = 6;
  const std::size_t end = kSerialBytes + kOwnBytes + device.controller.size() + 1;
  if (end > 0xffff) return out_->fail(AcpiError::kTooManyElements);
  const auto general = static_cast<std::uint8_t>(kConsumer | (device.shared ? kShared : 0));
  out_->put(kSerialTag, static_cast<std::uint16_t>(end - kHeaderBytes), std::uint8_t{2},
            std::uint8_t{0}, std::uint8_t{1}, general,
            static_cast<std::uint16_t>(device.ten_bits ? 1 : 0), std::uint8_t{1}, kOwnBytes,
            device.hertz, device.address);
  put_path(device.controller);
}

void Resources::spi(const SpiDevice& device) {
  if (!is_path(device.controller)) return;
  constexpr std::uint16_t kOwnBytes = 9;
  const std::size_t end = kSerialBytes + kOwnBytes + device.controller.size() + 1;
  if (end > 0xffff) return out_->fail(AcpiError::kTooManyElements);
  const auto general = static_cast<std::uint8_t>(kConsumer | (device.shared ? kShared : 0));
  const unsigned own = (device.three_wires ? 1u : 0u) | (device.select_high ? 2u : 0u);
  out_->put(kSerialTag, static_cast<std::uint16_t>(end - kHeaderBytes), std::uint8_t{2},
            std::uint8_t{0}, std::uint8_t{2}, general, static_cast<std::uint16_t>(own),
            std::uint8_t{1}, kOwnBytes, device.hertz, device.data_bits,
            static_cast<std::uint8_t>(device.second_phase ? 1 : 0),
            static_cast<std::uint8_t>(device.clock_high ? 1 : 0), device.select);
  put_path(device.controller);
}

}  // namespace vmm::acpi_tables
