// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

// A virtio device on a PCI segment, and a driver that knows nothing but configuration space and the
// buses. For tests and fuzzers.

#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "vmm/base/endian.h"
#include "vmm/event_manager/event_loop.h"
#include "vmm/event_manager/testing/run_until_idle.h"
#include "vmm/pci/config_access.h"
#include "vmm/pci/segment.h"
#include "vmm/virtio_device/testing/echo_device.h"
#include "vmm/virtio_pci/layout.h"
#include "vmm/virtio_pci/pci_transport.h"
#include "vmm/virtio_queue/driver/driver.h"
#include "vmm/vm_device/bus.h"
#include "vmm/vm_device/testing/platform.h"
#include "vmm/vm_device/testing/recorders.h"

namespace vmm::virtio_pci {

using virtio_device::testing::EchoDevice;

struct RigSetting {
  bool msix = true;
  bool below_4g = false;
  bool bus_master = true;  ///< whether the driver asks for it
  std::uint64_t queue_features = virtio_device::TransportCore::kQueueFeatures;
  std::byte* ram = nullptr;  ///< kRamBytes, if it is the caller's own
};

/// What the driver reads of a vendor capability.
struct Capability {
  std::uint8_t at = 0;
  std::uint8_t length = 0;
  std::uint8_t bar = 0;
  std::uint8_t id = 0;
  std::uint32_t offset = 0;
  std::uint32_t bytes = 0;
};

class PciRig {
 public:
  static constexpr std::uint8_t kOk = 0xf;  ///< the status of a running device
  static constexpr std::uint16_t kQueueSize = 8;
  static constexpr std::uint64_t kRamBytes = 0x4'0000;
  static constexpr std::uint64_t kRequest = 0x2'0000;  ///< RAM for readable buffers
  static constexpr std::uint64_t kAnswer = 0x3'0000;   ///< RAM for writable buffers
  static constexpr AddressRange kLow{.base = GuestAddress(0xc000'0000), .size = 0x1000'0000};
  static constexpr AddressRange kHigh{.base = GuestAddress(0x10'0000'0000), .size = 0x10'0000'0000};

  explicit PciRig(std::shared_ptr<virtio_device::VirtioDevice> device,
                  const RigSetting& setting = {})
      : memory(make_memory(setting.ram)),
        segment(*pci::Segment::create({.number = 0,
                                       .buses = {.mmio = mmio},
                                       .windows = {.memory32 = kLow, .memory64 = kHigh},
                                       .intx = &intx})),
        ecam(segment),
        transport(*PciTransport::create({.device = std::move(device),
                                         .memory = memory,
                                         .workers = workers,
                                         .doorbells = doorbells,
                                         .vectors = setting.msix ? &msi : nullptr,
                                         .queue_features = setting.queue_features,
                                         .below_4g = setting.below_4g})),
        bus_master(setting.bus_master) {
    (void)segment->add(transport, {.slot = std::uint8_t{1}});
  }

  // ---- Configuration space ----

  template <std::unsigned_integral T>
  T config(std::uint64_t offset) {
    std::array<std::byte, sizeof(T)> data{};
    ecam.read(kPage + offset, data);
    return load_le<T>(data.data());
  }
  template <std::unsigned_integral T>
  void set_config(std::uint64_t offset, T value) {
    std::array<std::byte, sizeof(T)> data{};
    store_le(data.data(), value);
    ecam.write(kPage + offset, data);
  }
  void enable() {
    const int master = bus_master ? pci::kCommandBusMaster : 0;
    set_config(pci::kCommand, static_cast<std::uint16_t>(pci::kCommandMemory | master));
  }
  std::uint64_t bar(std::uint8_t index = kRegistersBar) {
    const auto at = static_cast<std::uint16_t>(pci::kBar0 + 4 * index);
    const auto low = config<std::uint32_t>(at);
    const std::uint64_t high = (low & 4) != 0 ? config<std::uint32_t>(at + 4u) : 0;
    return high << 32 | (low & ~std::uint32_t{15});
  }
  void set_bar(std::uint64_t address, std::uint8_t index = kRegistersBar) {
    const auto at = static_cast<std::uint16_t>(pci::kBar0 + 4 * index);
    set_config(at, static_cast<std::uint32_t>(address));
    set_config(at + 4u, static_cast<std::uint32_t>(address >> 32));
  }
  /// The offset of the first capability `id` behind `after`; 0: none.
  std::uint8_t find_capability(std::uint8_t id, std::uint8_t after = 0) {
    auto at = config<std::uint8_t>(after == 0 ? pci::kCapabilities : after + 1u);
    for (int i = 0; at != 0 && i < 48; ++i) {
      if (config<std::uint8_t>(at) == id) return at;
      at = config<std::uint8_t>(at + 1u);
    }
    return 0;
  }
  /// The capability of a kind, as 4.1.4 tells a driver to look for it.
  std::optional<Capability> capability(CapabilityKind kind) {
    for (std::uint8_t at = find_capability(pci::kCapabilityVendor); at != 0;
         at = find_capability(pci::kCapabilityVendor, at)) {
      if (config<std::uint8_t>(at + 3u) != static_cast<std::uint8_t>(kind)) continue;
      return Capability{.at = at,
                        .length = config<std::uint8_t>(at + 2u),
                        .bar = config<std::uint8_t>(at + 4u),
                        .id = config<std::uint8_t>(at + 5u),
                        .offset = config<std::uint32_t>(at + 8u),
                        .bytes = config<std::uint32_t>(at + 12u)};
    }
    return std::nullopt;
  }

  // ---- Registers ----

  /// Of BAR 0; all ones where nothing answers.
  template <std::unsigned_integral T>
  T read(std::uint64_t offset) {
    std::array<std::byte, sizeof(T)> data{};
    (void)caller.read(GuestAddress(bar() + offset), data);
    return load_le<T>(data.data());
  }
  template <std::unsigned_integral T>
  void write(std::uint64_t offset, T value) {
    std::array<std::byte, sizeof(T)> data{};
    store_le(data.data(), value);
    (void)caller.write(GuestAddress(bar() + offset), data);
  }
  template <std::unsigned_integral T>
  T get(Common reg) {
    return read<T>(kCommonPart.offset + static_cast<std::uint64_t>(reg));
  }
  template <std::unsigned_integral T>
  void set(Common reg, T value) {
    write<T>(kCommonPart.offset + static_cast<std::uint64_t>(reg), value);
  }
  std::uint8_t status() { return get<std::uint8_t>(Common::kDeviceStatus); }
  void set_status(std::uint8_t value) { set<std::uint8_t>(Common::kDeviceStatus, value); }
  std::uint8_t isr() { return read<std::uint8_t>(kIsrPart.offset); }
  /// A kick that no doorbell takes.
  void kick(std::uint16_t queue) {
    write<std::uint16_t>(kNotifyPart.offset + queue * kNotifyMultiplier, queue);
  }

  // ---- MSI-X ----

  void set_msix(std::uint16_t control) {
    set_config<std::uint16_t>(find_capability(pci::kCapabilityMsix) + 2u, control);
  }
  void set_vector(std::uint16_t vector, std::uint32_t data, bool masked = false) {
    const std::uint64_t at = kTablePart.offset + vector * pci::Msix::kEntryBytes;
    write<std::uint32_t>(at, 0xfee0'0000);
    write<std::uint32_t>(at + 4, 0);
    write<std::uint32_t>(at + 8, data);
    write<std::uint32_t>(at + 12, masked ? 1 : 0);
  }
  std::uint32_t pending() { return read<std::uint32_t>(kPendingPart.offset); }
  /// How often the message `data` was sent.
  std::size_t sent(std::uint32_t data) const {
    std::size_t count = 0;
    for (const auto& message : msi.sent()) count += message.data == data ? 1 : 0;
    return count;
  }

  // ---- A driver ----

  static virtio_queue::RingAddresses rings(std::uint16_t queue) {
    const std::uint64_t base = 0x1000 + 0x3000 * std::uint64_t{queue};
    return {.descriptors = GuestAddress(base),
            .driver = GuestAddress(base + 0x1000),
            .device = GuestAddress(base + 0x2000)};
  }
  void set_address(Common low, GuestAddress address) {
    const std::uint64_t at = kCommonPart.offset + static_cast<std::uint64_t>(low);
    write<std::uint32_t>(at, static_cast<std::uint32_t>(address.raw()));
    write<std::uint32_t>(at + 4, static_cast<std::uint32_t>(address.raw() >> 32));
  }
  /// Up to FEATURES_OK.
  void negotiate(std::uint64_t features) {
    set_status(0);
    set_status(1);
    set_status(3);
    for (const std::uint32_t word : {0u, 1u}) {
      set<std::uint32_t>(Common::kDriverFeatureSelect, word);
      set<std::uint32_t>(Common::kDriverFeature, static_cast<std::uint32_t>(features >> 32 * word));
    }
    set_status(0xb);
  }
  void set_up_queue(std::uint16_t queue) {
    set<std::uint16_t>(Common::kQueueSelect, queue);
    set<std::uint16_t>(Common::kQueueSize, kQueueSize);
    set_address(Common::kQueueDescLow, rings(queue).descriptors);
    set_address(Common::kQueueDriverLow, rings(queue).driver);
    set_address(Common::kQueueDeviceLow, rings(queue).device);
    set<std::uint16_t>(Common::kQueueEnable, 1);
  }
  /// Everything up to DRIVER_OK, with vector i + 1 for queue i and vector 0 for the configuration,
  /// whose messages are 100 more.
  bool start(std::uint64_t features = virtio_device::kFeatureVersion1, bool use_msix = true) {
    enable();
    const auto queues = get<std::uint16_t>(Common::kNumQueues);
    const bool packed = (features & virtio_queue::kFeaturePacked) != 0;
    drivers.clear();
    for (std::uint16_t queue = 0; queue < queues; ++queue) {
      drivers.push_back(*virtio_queue::driver::Driver::create(
          {.rings = rings(queue), .size = kQueueSize, .packed = packed}, memory.view()));
    }
    negotiate(features);
    if (use_msix) {
      set_msix(pci::Msix::kEnable);
      for (std::uint16_t vector = 0; vector <= queues; ++vector) set_vector(vector, 100u + vector);
      set<std::uint16_t>(Common::kConfigMsixVector, 0);
    }
    for (std::uint16_t queue = 0; queue < queues; ++queue) {
      set_up_queue(queue);
      if (use_msix) {
        set<std::uint16_t>(Common::kQueueMsixVector, static_cast<std::uint16_t>(queue + 1));
      }
    }
    set_status(kOk);
    return status() == kOk;
  }
  /// Sends 8 bytes and says whether they came back.
  bool echo(std::uint16_t queue) {
    const std::array<virtio_queue::driver::Buffer, 2> request{
        {{.address = GuestAddress(kRequest), .length = 8},
         {.address = GuestAddress(kAnswer), .length = 8, .device_writable = true}}};
    (void)memory.view().write(GuestAddress(kRequest), Le64(++sequence));
    if (!drivers[queue].add(request)) return false;
    if (drivers[queue].publish()) kick(queue);
    run();
    const auto used = drivers[queue].reap();
    return used && used->has_value() && (*used)->written == 8 &&
           memory.view().read<Le64>(GuestAddress(kAnswer))->get() == sequence;
  }
  void run() { (void)event_manager::testing::run_until_idle(loop, 8); }

  vm_memory::GuestMemory memory;
  event_manager::EventLoop loop = *event_manager::EventLoop::create();
  virtio_device::InlineWorkers workers{loop};
  vm_device::testing::FakeMsiSource msi;
  vm_device::testing::FakeDoorbells doorbells;
  vm_device::testing::FakeLine line;
  pci::IntxLines intx{{&line}};
  vm_device::MmioBus mmio;
  vm_device::MmioCaller caller{mmio};
  std::shared_ptr<pci::Segment> segment;
  pci::Ecam ecam;
  std::shared_ptr<PciTransport> transport;
  std::vector<virtio_queue::driver::Driver> drivers;
  std::uint64_t sequence = 0;
  bool bus_master;

 private:
  static constexpr std::uint64_t kPage = 8 * pci::kConfigBytes;  // of slot 1

  static vm_memory::GuestMemory make_memory(std::byte* external) {
    const vm_memory::RegionConfig ram{.base = GuestAddress(0),
                                      .bytes = kRamBytes,
                                      .backing = external != nullptr
                                                     ? vm_memory::Backing::kExternal
                                                     : vm_memory::Backing::kAnonymous,
                                      .external = external};
    return *vm_memory::GuestMemory::create({&ram, 1});
  }
};

}  // namespace vmm::virtio_pci
