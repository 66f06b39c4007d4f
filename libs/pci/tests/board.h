// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

// A segment on two buses, and functions to put there.

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "vmm/base/endian.h"
#include "vmm/pci/config_access.h"
#include "vmm/pci/endpoint.h"
#include "vmm/pci/segment.h"
#include "vmm/vm_device/bus.h"
#include "vmm/vm_device/testing/recorders.h"

namespace vmm::pci {

/// Answers each read with 0xb0 plus the BAR's index, and remembers the last write.
class TestFunction final : public Function, public EndpointDevice {
 public:
  explicit TestFunction(const std::vector<Bar>& bars = {}, std::uint8_t pin = 1)
      : endpoint({.vendor = 0x1234, .device = 0x5678, .interrupt_pin = pin}, *this) {
    for (const Bar& bar : bars) {
      if (good) good = endpoint.add_bar(bar);
    }
  }

  Result<void> attach(const Attachment& attachment) override {
    attached = attachment.address;
    device_id = attachment.msi_device_id.now();
    VMM_TRY_DO(endpoint.attach(attachment));
    return {};
  }
  void detach() override { endpoint.detach(); }
  void read_config(std::uint16_t offset, std::span<std::byte> data) override {
    endpoint.read_config(offset, data);
  }
  void write_config(std::uint16_t offset, std::span<const std::byte> data) override {
    endpoint.write_config(offset, data);
  }
  void retry_bars() override { endpoint.retry_bars(); }

  void read_bar(std::uint8_t bar, std::uint64_t, std::span<std::byte> data) override {
    for (std::byte& byte : data) byte = static_cast<std::byte>(0xb0 | bar);
  }
  void write_bar(std::uint8_t bar, std::uint64_t offset, std::span<const std::byte> data) override {
    written = {bar, offset, {data.begin(), data.end()}};
  }
  void bar_moved(std::uint8_t bar, std::optional<GuestAddress> address) override {
    moves.emplace_back(bar, address ? std::optional(address->raw()) : std::nullopt);
  }
  void before_config_read(ConfigSpace&, std::uint16_t, std::size_t bytes) override {
    config_bytes_read += bytes;
  }
  void after_config_write(ConfigSpace& config, std::uint16_t offset, std::size_t) override {
    last_config_write = offset;
    if (clears_command) config.set(kCommand, std::uint16_t{0});
  }

  struct Written {
    std::uint8_t bar = 0;
    std::uint64_t offset = 0;
    std::vector<std::byte> data;
  };
  using Move = std::pair<std::uint8_t, std::optional<std::uint64_t>>;

  Result<void, PciError> good;  ///< what became of the BARs
  bool clears_command = false;  // as a reset does
  FunctionAddress attached;
  std::optional<std::uint32_t> device_id;
  Written written;
  std::vector<Move> moves;
  std::size_t config_bytes_read = 0;
  std::uint16_t last_config_write = 0;
  Endpoint endpoint;
};

inline constexpr AddressRange kLow{.base = GuestAddress(0xc000'0000), .size = 0x1000'0000};
inline constexpr AddressRange kHigh{.base = GuestAddress(0x10'0000'0000), .size = 0x10'0000'0000};
inline constexpr PortRange kPortWindow{.base = 0x1000, .size = 0xf000};
inline constexpr Windows kWindows{.memory32 = kLow, .memory64 = kHigh, .ports = kPortWindow};

inline constexpr Bar kBar32{.index = 0, .kind = BarKind::kMemory32, .size = 0x1000};
inline constexpr Bar kBar64{.index = 2, .kind = BarKind::kMemory64, .size = 0x1'0000};
inline constexpr Bar kBarIo{.index = 5, .kind = BarKind::kIo, .size = 0x20};

struct Board {
  explicit Board(std::uint16_t number = 0)
      : segment(*Segment::create({.number = number,
                                  .buses = {.mmio = mmio, .ports = &ports},
                                  .windows = kWindows,
                                  .intx = &intx,
                                  .msi_device_base = 0x100})) {}

  /// A function in the lowest free slot.
  std::shared_ptr<TestFunction> add(const std::vector<Bar>& bars = {}) {
    auto function = std::make_shared<TestFunction>(bars);
    (void)segment->add(function);
    return function;
  }

  template <std::unsigned_integral T>
  T config(const TestFunction& function, std::uint16_t offset) {
    std::array<std::byte, sizeof(T)> data{};
    segment->read_config(function.attached.devfn(), offset, data);
    return load_le<T>(data.data());
  }
  template <std::unsigned_integral T>
  void set_config(const TestFunction& function, std::uint16_t offset, T value) {
    std::array<std::byte, sizeof(T)> data{};
    store_le(data.data(), value);
    segment->write_config(function.attached.devfn(), offset, data);
  }
  void command(const TestFunction& function, std::uint16_t value) {
    set_config(function, kCommand, value);
  }
  void set_bar(const TestFunction& function, const Bar& bar, std::uint64_t address) {
    const auto at = static_cast<std::uint16_t>(kBar0 + 4 * bar.index);
    set_config(function, at, static_cast<std::uint32_t>(address));
    if (bar.kind != BarKind::kMemory64) return;
    set_config(function, static_cast<std::uint16_t>(at + 4),
               static_cast<std::uint32_t>(address >> 32));
  }
  /// What the guest reads there; nullopt when nothing answers.
  std::optional<std::uint8_t> memory_at(std::uint64_t address) {
    std::array<std::byte, 1> data{};
    if (!caller.read(GuestAddress(address), data)) return std::nullopt;
    return std::to_integer<std::uint8_t>(data[0]);
  }
  std::optional<std::uint8_t> port_at(std::uint16_t port) {
    std::array<std::byte, 1> data{};
    if (!port_caller.read(vm_device::PioAddress(port), data)) return std::nullopt;
    return std::to_integer<std::uint8_t>(data[0]);
  }

  vm_device::MmioBus mmio;
  vm_device::PioBus ports;
  vm_device::MmioCaller caller{mmio};
  vm_device::PioCaller port_caller{ports};
  std::array<vm_device::testing::FakeLine, 8> lines;
  IntxLines intx{
      {lines.data(), &lines[1], &lines[2], &lines[3], &lines[4], &lines[5], &lines[6], &lines[7]}};
  std::shared_ptr<Segment> segment;
};

inline constexpr std::uint16_t kMemoryOn = kCommandMemory;
inline constexpr std::uint16_t kAllOn = kCommandMemory | kCommandIo;

}  // namespace vmm::pci
