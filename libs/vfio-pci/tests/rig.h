// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

// A scripted device of the host on a segment, and a driver that knows nothing but configuration
// space and the bus. For tests and the fuzzer.

#include <unistd.h>

#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "vmm/base/endian.h"
#include "vmm/pci/segment.h"
#include "vmm/vfio/address_space.h"
#include "vmm/vfio/testing/region_recorder.h"
#include "vmm/vfio/testing/scripted_kernel.h"
#include "vmm/vfio/testing/scripted_pci.h"
#include "vmm/vfio_pci/host_function.h"
#include "vmm/vm_device/bus.h"
#include "vmm/vm_device/testing/platform.h"
#include "vmm/vm_device/testing/recorders.h"

namespace vmm::vfio_pci {

inline constexpr std::uint64_t kPage = 4096;
inline const std::string kPath = "/sys/devices/pci0000:00/0000:00:06.0";

/// A configuration space in the making.
struct Registers {
  explicit Registers(std::size_t size = pci::kConfigBytes) : bytes(size) {
    put<std::uint16_t>(pci::kVendorId, 0x1b36);
    put<std::uint16_t>(pci::kDeviceId, 0x0010);
    put<std::uint32_t>(pci::kRevision, 0x0108'0202);
    put<std::uint16_t>(pci::kSubsystemVendorId, 0x1af4);
    put<std::uint16_t>(pci::kSubsystemId, 0x1100);
    put<std::uint8_t>(pci::kInterruptPin, 1);
    put<std::uint16_t>(pci::kStatus, pci::kStatusCapabilities);
  }
  template <std::unsigned_integral T>
  Registers& put(std::size_t at, T value) {
    store_le(bytes.data() + at, value);
    return *this;
  }
  template <std::unsigned_integral T>
  [[nodiscard]] T get(std::size_t at) const {
    return load_le<T>(bytes.data() + at);
  }
  Registers& list(std::uint8_t first) { return put<std::uint8_t>(pci::kCapabilities, first); }
  Registers& capability(std::uint8_t at, std::uint8_t id, std::uint8_t next,
                        std::uint16_t first = 0) {
    return put(at, id).put(at + 1u, next).put(at + 2u, first);
  }
  Registers& extended(std::uint16_t at, std::uint16_t id, std::uint16_t next) {
    return put<std::uint32_t>(at, std::uint32_t{id} | 1u << 16 | std::uint32_t{next} << 20);
  }

  std::vector<std::byte> bytes;
};

inline constexpr std::uint8_t kPowerAt = 0x40;
inline constexpr std::uint8_t kMsiAt = 0x50;
inline constexpr std::uint8_t kMsixAt = 0x70;
inline constexpr std::uint8_t kExpressAt = 0x80;
inline constexpr std::uint8_t kVpdAt = 0xbc;
inline constexpr std::uint8_t kVendorAt = 0xc8;
inline constexpr std::uint16_t kSerialAt = 0x140;
inline constexpr std::uint64_t kTableAt = 0x2000;
inline constexpr std::uint64_t kPendingAt = 0x3000;

/// A disk controller with everything: BAR 0 of 64 bits with the MSI-X table, BAR 2 with small
/// registers, BAR 4 of ports.
inline Registers usual_registers() {
  Registers config;
  config.put<std::uint32_t>(pci::kBar0, 0x4);
  config.put<std::uint32_t>(pci::kBar0 + 16, 0x1);
  config.list(kPowerAt);
  config.capability(kPowerAt, 0x01, kMsiAt, 0xfe03);
  config.capability(kMsiAt, 0x05, kMsixAt, 0x0184);  // 4 vectors, 64 bits, masks
  config.capability(kMsixAt, 0x11, kExpressAt, 7);   // 8 vectors
  config.put<std::uint32_t>(kMsixAt + 4, kTableAt);
  config.put<std::uint32_t>(kMsixAt + 8, kPendingAt);
  config.capability(kExpressAt, 0x10, kVpdAt, 0x0002);
  config.put<std::uint32_t>(kExpressAt + 4, 0x0000'8001);
  config.put<std::uint32_t>(kExpressAt + 0xc, 0x1234'5678);  // the link
  config.capability(kVpdAt, 0x03, kVendorAt);
  config.capability(kVendorAt, 0x09, 0, 0x10);
  config.extended(0x100, 0x0001, kSerialAt);  // AER
  config.extended(kSerialAt, 0x0003, 0x150);
  config.put<std::uint32_t>(kSerialAt + 4, 0xcafe'f00d);
  config.extended(0x150, 0x0010, 0);  // SR-IOV
  return config;
}

inline vfio::testing::ScriptedDevice usual_device() {
  auto device = vfio::testing::scripted_pci(kPath, 5, "vfio0");
  device.regions[2].bytes = 256;
  device.regions[4].bytes = 32;
  device.irqs[3].count = 1;
  device.irqs[4].count = 1;
  return device;
}

/// Remembers what is connected.
class FakePins final : public PinRouter {
 public:
  Result<std::shared_ptr<const void>> connect(const PinWiring& wiring) override {
    connected = wiring;
    return std::shared_ptr<const void>(&connected, [this](const void*) { connected.reset(); });
  }

  std::optional<PinWiring> connected;
};

struct Setting {
  vfio::testing::ScriptedDevice device = usual_device();
  Registers config = usual_registers();
  bool ports = false;
  std::uint8_t trapped_bars = 0;
  std::vector<std::shared_ptr<Quirk>> quirks = {};
  int wanted_fd = -1;
  int error_fd = -1;
  bool peers = false;  ///< other devices of the address space reach its memory
};

class Rig {
 public:
  explicit Rig(Setting setting = {}) : setting_(std::move(setting)) {
    kernel.add(setting_.device);
    space = *vfio::AddressSpace::open(kernel, {.interface = vfio::Interface::kGroups});
    auto device = *space->attach(kPath);
    (void)device->write(vfio::kConfigRegion, 0, setting_.config.bytes);
    made = HostFunction::create({.device = std::move(device),
                                 .mapper = &mapper,
                                 .vectors = &msi,
                                 .pins = &pins,
                                 .io_ports = setting_.ports,
                                 .trapped_bars = setting_.trapped_bars,
                                 .quirks = setting_.quirks,
                                 .peers = setting_.peers ? space : nullptr,
                                 .wanted_fd = setting_.wanted_fd,
                                 .error_fd = setting_.error_fd});
    if (made) plugged = segment->add(*made, {.slot = std::uint8_t{1}}).has_value();
  }
  ~Rig() { (void)segment->remove(1); }

  template <std::unsigned_integral T>
  T config(std::uint64_t offset) {
    std::array<std::byte, sizeof(T)> data{};
    segment->read_config(8, static_cast<std::uint16_t>(offset), data);
    return load_le<T>(data.data());
  }
  template <std::unsigned_integral T>
  void set_config(std::uint64_t offset, T value) {
    std::array<std::byte, sizeof(T)> data{};
    store_le(data.data(), value);
    segment->write_config(8, static_cast<std::uint16_t>(offset), data);
  }
  void enable() {
    set_config<std::uint16_t>(pci::kCommand, pci::kCommandMemory | pci::kCommandBusMaster);
  }
  std::uint64_t bar(std::uint8_t index) {
    const auto at = pci::kBar0 + 4u * index;
    const auto low = config<std::uint32_t>(at);
    const std::uint64_t high = (low & 4) != 0 ? config<std::uint32_t>(at + 4) : 0;
    return high << 32 | (low & ~std::uint32_t{15});
  }
  template <std::unsigned_integral T>
  T read(std::uint8_t index, std::uint64_t offset) {
    std::array<std::byte, sizeof(T)> data{};
    (void)caller.read(GuestAddress(bar(index) + offset), data);
    return load_le<T>(data.data());
  }
  template <std::unsigned_integral T>
  void write(std::uint8_t index, std::uint64_t offset, T value) {
    std::array<std::byte, sizeof(T)> data{};
    store_le(data.data(), value);
    (void)caller.write(GuestAddress(bar(index) + offset), data);
  }
  /// Of the device itself.
  template <std::unsigned_integral T>
  T of_device(std::uint32_t region, std::uint64_t offset) {
    const auto bytes = kernel.content(kPath, region, {.offset = offset, .bytes = sizeof(T)});
    return load_le<T>(bytes.data());
  }
  std::vector<std::uint8_t> capability_ids() {
    std::vector<std::uint8_t> ids;
    auto at = config<std::uint8_t>(pci::kCapabilities);
    while (at != 0 && ids.size() < 64) {
      ids.push_back(config<std::uint8_t>(at));
      at = config<std::uint8_t>(at + 1u);
    }
    return ids;
  }

  static constexpr AddressRange kLow{.base = GuestAddress(0xc000'0000), .size = 0x1000'0000};
  static constexpr AddressRange kHigh{.base = GuestAddress(0x10'0000'0000), .size = 0x10'0000'0000};

  vfio::testing::ScriptedKernel kernel;
  std::shared_ptr<vfio::AddressSpace> space;
  vfio::testing::RegionRecorder mapper;
  FakePins pins;
  vm_device::testing::FakeMsiSource msi;
  vm_device::MmioBus mmio;
  vm_device::PioBus ports;
  vm_device::MmioCaller caller{mmio};
  vm_device::PioCaller port_caller{ports};
  vm_device::testing::FakeLine line;
  pci::IntxLines intx{{&line}};
  std::shared_ptr<pci::Segment> segment =
      *pci::Segment::create({.number = 0,
                             .buses = {.mmio = mmio, .ports = &ports},
                             .windows = {.memory32 = kLow,
                                         .memory64 = kHigh,
                                         .ports = pci::PortRange{.base = 0x1000, .size = 0xf000}},
                             .intx = &intx});
  Result<std::shared_ptr<HostFunction>> made = fail(Error::os(EINVAL, "nothing yet"));
  bool plugged = false;

 private:
  Setting setting_;
};

}  // namespace vmm::vfio_pci
