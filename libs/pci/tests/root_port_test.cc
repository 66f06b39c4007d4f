// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/pci/root_port.h"

#include <array>
#include <atomic>
#include <catch2/catch.hpp>
#include <thread>
#include <vector>

#include "board.h"
#include "vmm/base/endian.h"
#include "vmm/vm_device/testing/platform.h"

namespace vmm::pci {
namespace {

using Moment = RootPort::Moment;
using vm_device::MsiMessage;

constexpr std::uint16_t kExpress = 0x40;  // where the capabilities are
constexpr std::uint16_t kMsi = 0x7c;
constexpr std::uint16_t kControl = kExpress + kSlotControl;
constexpr std::uint16_t kSlot = kExpress + kSlotStatus;
constexpr std::uint16_t kLink = kExpress + kLinkStatus;
// What Linux enables of a slot with a button.
constexpr std::uint16_t kListens = kButtonEnable | kHotplugInterrupt | kLinkEnable;
constexpr std::uint8_t kBus = 3;
constexpr std::uint64_t kBarAt = 0xc010'0000;
constexpr std::uint64_t kMessageAt = 0xfee0'0000;

struct Ejections final : EjectListener {
  void ejected(FunctionAddress slot) override { slots.push_back(slot); }
  std::vector<FunctionAddress> slots;
};

/// A port in slot 4 and a guest that uses it.
struct Port {
  explicit Port(bool by_message = true) {
    std::unique_ptr<vm_device::MsiVectors> vector;
    if (by_message) vector = *source.create_vectors(1);
    port = *RootPort::create({.vector = std::move(vector), .listener = ejections});
    address = *board.segment->add(port, {.slot = std::uint8_t{4}});
  }

  template <std::unsigned_integral T>
  T read(ConfigAddress at, std::uint16_t offset) {
    std::array<std::byte, sizeof(T)> data{};
    board.segment->read_config(at, offset, data);
    return load_le<T>(data.data());
  }
  template <std::unsigned_integral T>
  void write(ConfigAddress at, std::uint16_t offset, T value) {
    std::array<std::byte, sizeof(T)> data{};
    store_le(data.data(), value);
    board.segment->write_config(at, offset, data);
  }
  std::uint16_t read(std::uint16_t offset) { return read<std::uint16_t>(own(), offset); }
  void write(std::uint16_t offset, std::uint16_t value) { write(own(), offset, value); }
  [[nodiscard]] ConfigAddress own() const { return {.bus = 0, .devfn = address.devfn()}; }
  [[nodiscard]] static ConfigAddress behind() { return {.bus = kBus, .devfn = 0}; }

  /// Numbers the bus and opens a window of 2 MiB from kBarAt on.
  void enumerate() {
    write(own(), kPrimaryBus, std::uint32_t{kBus << 16 | kBus << 8});
    write(kMemoryBase, kBarAt >> 16);
    write(kMemoryLimit, (kBarAt >> 16) + 0x10);
    write(kCommand, kCommandMemory);
  }
  void listen() {
    write(own(), kMsi + 4, static_cast<std::uint32_t>(kMessageAt));
    write(kMsi + 12, 0x21);
    write(kMsi + 2, 1);
    write(kControl, kListens | kIndicatorOff | kPowerOff);
  }
  /// The events of the slot, which are cleared.
  std::uint16_t events() {
    const auto status = read(kSlot);
    write(kSlot, status);
    return static_cast<std::uint16_t>(status & ~kSlotPresent);
  }
  void power(bool on) {
    write(kControl, kListens | (on ? kIndicatorOn : kIndicatorOff | kPowerOff));
  }
  std::shared_ptr<TestFunction> insert(Moment moment = Moment::kLater) {
    auto function = std::make_shared<TestFunction>(std::vector{kBar32, kBar64});
    REQUIRE(port->insert(function, moment));
    return function;
  }
  void place_bar() {
    write(behind(), kBar0, static_cast<std::uint32_t>(kBarAt));
    write(behind(), kCommand, kCommandMemory);
  }

  Ejections ejections;
  vm_device::testing::FakeMsiSource source;  // outlives the port, which the board holds too
  Board board;
  std::shared_ptr<RootPort> port;
  FunctionAddress address;
};

TEST_CASE("a root port is a bridge with a slot for devices that come", "[pci][root-port]") {
  Port port;
  CHECK(port.read<std::uint32_t>(port.own(), kVendorId) == 0x000c'1b36);
  CHECK(port.read<std::uint8_t>(port.own(), kHeaderType) == kHeaderBridge);
  CHECK(port.read<std::uint32_t>(port.own(), kRevision) >> 8 == 0x06'04'00);
  CHECK(port.read<std::uint8_t>(port.own(), kCapabilities) == kExpress);
  CHECK(port.read<std::uint8_t>(port.own(), kExpress) == kCapabilityExpress);
  CHECK(port.read<std::uint8_t>(port.own(), kExpress + 1) == kMsi);
  CHECK(port.read(kExpress + kExpressFlags) == 0x142);
  CHECK(port.read<std::uint8_t>(port.own(), kMsi) == kCapabilityMsi);
  const auto slot = port.read<std::uint32_t>(port.own(), kExpress + kSlotCapabilities);
  CHECK(slot >> kSlotNumberShift == 4);
  CHECK((slot & 0x7ffff) ==
        (kSlotButton | kSlotPowerControl | kSlotPowerIndicator | kSlotHotplug | kSlotNoCompletion));
  CHECK(port.read(kControl) == (kIndicatorOff | kPowerOff));
  CHECK(port.read(kSlot) == 0);
  CHECK(port.read(kMemoryBase) > port.read(kMemoryLimit));  // windows are closed
  CHECK(port.read<std::uint32_t>(Port::behind(), kVendorId) == 0xffff'ffff);
}

TEST_CASE("a device comes, is given power and found, and goes when it is given back",
          "[pci][root-port]") {
  Port port;
  port.enumerate();
  port.listen();
  REQUIRE_FALSE(port.port->ask());  // there is nothing
  const auto function = port.insert();
  CHECK(function->attached == port.address);
  CHECK(port.read(kSlot) == (kSlotPresent | kEventPresence | kEventButton));
  REQUIRE(port.source.sent().size() == 1);
  CHECK(port.source.sent()[0] ==
        MsiMessage{.address = kMessageAt, .data = 0x21, .device_id = 0x100 + (4 << 3)});
  CHECK(port.events() == (kEventPresence | kEventButton));
  CHECK(port.read<std::uint16_t>(Port::behind(), kVendorId) == 0xffff);  // no power yet

  port.power(true);
  CHECK((port.read(kLink) & kLinkActive) != 0);
  CHECK(port.events() == kEventLink);
  CHECK(port.source.sent().size() == 2);
  CHECK(port.read<std::uint16_t>(Port::behind(), kVendorId) == 0x1234);
  CHECK(port.read<std::uint16_t>({.bus = kBus, .devfn = 1}, kVendorId) == 0xffff);
  CHECK(port.read<std::uint16_t>({.bus = kBus, .devfn = 8}, kVendorId) == 0xffff);
  CHECK(port.read<std::uint16_t>({.bus = kBus + 1, .devfn = 0}, kVendorId) == 0xffff);
  CHECK(port.read<std::uint32_t>(Port::behind(), kBar0) == 0);  // addresses are the guest's
  port.place_bar();
  CHECK(port.board.memory_at(kBarAt) == 0xb0);

  REQUIRE(port.port->ask());
  CHECK(port.read(kSlot) == (kSlotPresent | kEventButton));
  CHECK(port.source.sent().size() == 3);
  CHECK(port.events() == kEventButton);
  port.write(kControl, kListens | kIndicatorBlinks);
  CHECK(port.ejections.slots.empty());
  port.power(false);
  REQUIRE(port.ejections.slots.size() == 1);
  CHECK(port.ejections.slots[0] == port.address);
  CHECK_FALSE(port.board.memory_at(kBarAt));
  CHECK(port.events() == kEventLink);

  REQUIRE(port.port->remove());
  CHECK_FALSE(port.port->remove());
  CHECK(port.read(kSlot) == kEventPresence);
  CHECK((port.read(kLink) & kLinkActive) == 0);
  CHECK(port.board.mmio.size() == 0);
  port.power(true);
  port.power(false);  // once only
  CHECK(port.ejections.slots.size() == 1);
  CHECK(port.insert() != nullptr);
}

TEST_CASE("a device that is there from the start has power, and nothing is told",
          "[pci][root-port]") {
  Port port;
  const auto function = port.insert(Moment::kFromStart);
  CHECK(port.read(kControl) == kIndicatorOn);
  CHECK(port.read(kSlot) == kSlotPresent);
  CHECK((port.read(kLink) & kLinkActive) != 0);
  CHECK(port.source.sent().empty());
  CHECK(port.port->bus() == 0);
  port.enumerate();
  CHECK(port.port->bus() == kBus);
  CHECK(port.read<std::uint16_t>(Port::behind(), kVendorId) == 0x1234);
  CHECK(port.port->occupied());
  CHECK(port.port->insert(std::make_shared<TestFunction>(), Moment::kLater).error().code() ==
        static_cast<std::int32_t>(PciError::kSlotTaken));
}

TEST_CASE("what is behind a port decodes inside its windows, with power", "[pci][root-port]") {
  Port port;
  port.insert(Moment::kFromStart);
  port.enumerate();
  port.place_bar();
  CHECK(port.board.memory_at(kBarAt) == 0xb0);

  SECTION("the port forwards nothing without its enable bit") {
    port.write(kCommand, 0);
    CHECK_FALSE(port.board.memory_at(kBarAt));
    port.write(kCommand, kCommandMemory);
    CHECK(port.board.memory_at(kBarAt) == 0xb0);
  }
  SECTION("nor what lies outside") {
    port.write(Port::behind(), kBar0, static_cast<std::uint32_t>(kBarAt + 0x20'0000));
    CHECK_FALSE(port.board.memory_at(kBarAt + 0x20'0000));
    port.write(kMemoryLimit, (kBarAt >> 16) + 0x20);
    CHECK(port.board.memory_at(kBarAt + 0x20'0000) == 0xb0);
    port.write(kMemoryBase, 0xfff0);  // above the limit: closed
    CHECK_FALSE(port.board.memory_at(kBarAt + 0x20'0000));
  }
  SECTION("nor without power, whatever the guest was asked") {
    port.power(false);
    CHECK_FALSE(port.board.memory_at(kBarAt));
    CHECK(port.read<std::uint16_t>(Port::behind(), kVendorId) == 0xffff);
    CHECK(port.ejections.slots.empty());
    port.power(true);
    CHECK(port.board.memory_at(kBarAt) == 0xb0);
  }
  SECTION("and only in the segment's windows, however wide its own are") {
    port.write(kMemoryBase, 0);
    port.write(kMemoryLimit, 0xfff0);
    port.write(port.own(), kPrefetchableLimitUpper, ~std::uint32_t{0});
    port.write(kPrefetchableBase, 0);
    port.write(kPrefetchableLimit, 0xfff0);
    port.write(Port::behind(), kBar0, std::uint32_t{0x4000'0000});
    CHECK_FALSE(port.board.memory_at(0x4000'0000));
    port.write(Port::behind(), kBar0, static_cast<std::uint32_t>(kLow.base.raw()));
    CHECK(port.board.memory_at(kLow.base.raw()) == 0xb0);
  }
  SECTION("wide BARs in the prefetchable window") {
    constexpr std::uint64_t kAt = 0x12'0000'0000;
    const auto wide = static_cast<std::uint16_t>(kBar0 + 8);
    port.write(Port::behind(), wide, std::uint32_t{0});
    port.write(Port::behind(), wide + 4, std::uint32_t{0x12});
    CHECK_FALSE(port.board.memory_at(kAt));
    port.write(port.own(), kPrefetchableBaseUpper, std::uint32_t{0x12});
    port.write(port.own(), kPrefetchableLimitUpper, std::uint32_t{0x12});
    port.write(port.own(), kPrefetchableBase, std::uint32_t{0});
    CHECK((port.read(kPrefetchableBase) & 0xf) == 1);
    CHECK(port.board.memory_at(kAt) == 0xb2);
  }
  SECTION("two ports do not share a range") {
    const auto other = port.board.add({kBar32});
    port.board.set_bar(*other, kBar32, kBarAt + 0x1000);
    port.board.command(*other, kCommandMemory);
    port.write(Port::behind(), kBar0, static_cast<std::uint32_t>(kBarAt + 0x1000));
    CHECK_FALSE(port.board.memory_at(kBarAt));  // it waits
    (void)port.board.segment->remove(other->attached.slot);
    CHECK(port.board.memory_at(kBarAt + 0x1000) == 0xb0);
  }
}

TEST_CASE("messages from behind a port name the bus as the guest numbers it", "[pci][root-port]") {
  Port port;
  const auto function = port.insert(Moment::kFromStart);
  port.enumerate();
  // The test function has kept what its id was when it was attached.
  CHECK(function->device_id == 0x100);
  struct Keeper final : Function {
    Result<void> attach(const Attachment& attachment) override {
      id = attachment.msi_device_id;
      return {};
    }
    void detach() override {}
    void read_config(std::uint16_t, std::span<std::byte>) override {}
    void write_config(std::uint16_t, std::span<const std::byte>) override {}
    void retry_bars() override {}
    MsiDeviceId id;
  };
  REQUIRE(port.port->remove());
  const auto keeper = std::make_shared<Keeper>();
  REQUIRE(port.port->insert(keeper, Moment::kLater));
  CHECK(keeper->id.now() == 0x100 + (kBus << 8));
  port.write(port.own(), kSecondaryBus, std::uint8_t{7});
  CHECK(keeper->id.now() == 0x100 + (7 << 8));
}

TEST_CASE("pins from behind a port are those of its slot", "[pci][root-port]") {
  Port port(false);
  const auto function = port.insert();
  port.events();
  function->endpoint.set_intx(true);
  CHECK(port.board.lines[4].level());
  // The port's own is another input of the same line.
  port.write(kControl, kListens);
  CHECK(port.events() == kEventLink);
  CHECK(port.board.lines[4].level());
  CHECK((port.read(kStatus) & kStatusInterrupt) == 0);
  REQUIRE(port.port->ask());
  CHECK((port.read(kStatus) & kStatusInterrupt) != 0);
  REQUIRE(port.port->remove());
  CHECK(port.events() == kEventPresence + kEventLink);
  CHECK_FALSE(port.board.lines[4].level());
}

TEST_CASE("without messages a port has its pin", "[pci][root-port]") {
  Port port(false);
  port.write(kControl, kListens | kPowerOff);
  port.insert();
  CHECK(port.board.lines[4].level());
  port.write(kCommand, kCommandIntxDisable);
  CHECK_FALSE(port.board.lines[4].level());
  port.write(kCommand, 0);
  CHECK(port.board.lines[4].level());
  port.write(kControl, kPowerOff);  // nobody listens
  CHECK_FALSE(port.board.lines[4].level());
  port.write(kControl, kListens | kPowerOff);
  port.events();
  CHECK_FALSE(port.board.lines[4].level());
  port.write(kControl, kPresenceEnable | kHotplugInterrupt | kPowerOff);
  REQUIRE(port.port->remove());
  CHECK(port.board.lines[4].level());
}

TEST_CASE("an impatient user does not take a request back", "[pci][root-port]") {
  Port port;
  port.enumerate();
  port.listen();
  port.insert();
  port.events();
  port.power(true);
  port.events();
  REQUIRE(port.port->ask());
  REQUIRE(port.port->ask());
  CHECK(port.events() == kEventButton);
  REQUIRE(port.port->ask());  // the guest has seen it, and not yet begun
  CHECK(port.events() == 0);
  port.write(kControl, kListens | kIndicatorBlinks);
  REQUIRE(port.port->ask());
  CHECK(port.events() == 0);
  port.write(kControl, kListens | kIndicatorOn);  // the guest has given up
  REQUIRE(port.port->ask());
  CHECK(port.events() == kEventButton);
  port.power(false);
  CHECK(port.ejections.slots.size() == 1);
}

TEST_CASE("a device that is asked for while it gets power is asked for after that",
          "[pci][root-port]") {
  Port port;
  port.enumerate();
  port.listen();
  port.insert();
  port.events();
  port.write(kControl, kListens | kIndicatorBlinks);
  port.events();
  REQUIRE(port.port->ask());
  REQUIRE(port.port->ask());
  CHECK(port.events() == 0);  // it would cancel
  const std::size_t sent = port.source.sent().size();
  port.write(kControl, kListens | kIndicatorOn);
  CHECK(port.read(kSlot) == (kSlotPresent | kEventButton));
  CHECK(port.source.sent().size() == sent + 1);
  CHECK(port.events() == kEventButton);
  port.write(kControl, kListens | kIndicatorBlinks);
  port.write(kControl, kListens | kIndicatorOn);  // the guest has given up: that is its answer
  CHECK(port.events() == 0);
  port.power(false);
  CHECK(port.ejections.slots.size() == 1);
}

TEST_CASE("a driver that starts late finds the device, and is asked again", "[pci][root-port]") {
  Port port;
  port.insert(Moment::kFromStart);
  REQUIRE(port.port->ask());  // nobody listens
  CHECK(port.source.sent().empty());
  CHECK(port.events() == kEventButton);  // what a driver does first
  port.write(kControl, kListens | kIndicatorOn);
  REQUIRE(port.port->ask());
  CHECK(port.read(kSlot) == (kSlotPresent | kEventButton));
}

TEST_CASE("a slot without power is given back at once", "[pci][root-port]") {
  Port port;
  port.insert();
  REQUIRE(port.port->ask());
  CHECK(port.ejections.slots.size() == 1);
  REQUIRE(port.port->ask());
  CHECK(port.ejections.slots.size() == 2);
  CHECK((port.read(kSlot) & kSlotPresent) != 0);  // until it is taken
}

TEST_CASE("a message is sent when there begins to be an event", "[pci][root-port]") {
  Port port;
  port.insert();
  CHECK(port.source.sent().empty());
  port.listen();  // what waited is told
  CHECK(port.source.sent().size() == 1);
  port.write(kControl, kListens | kPowerOff);
  CHECK(port.source.sent().size() == 1);
  port.write(kMsi + 2, 0);
  port.write(kMsi + 2, 1);
  CHECK(port.source.sent().size() == 2);
  port.write(kSlot, kEventButton);
  CHECK(port.source.sent().size() == 2);
  port.power(true);
  CHECK(port.source.sent().size() == 3);
}

TEST_CASE("what a guest cannot change of a port stays", "[pci][root-port][hostile]") {
  Port port;
  port.insert(Moment::kFromStart);
  std::vector<std::uint8_t> before;
  for (std::uint16_t at = 0; at < kConfigBytes; ++at) {
    before.push_back(port.read<std::uint8_t>(port.own(), at));
  }
  for (const std::uint8_t value : {std::uint8_t{0xff}, std::uint8_t{0}}) {
    for (std::uint16_t at = 0; at < kConfigBytes; ++at) port.write(port.own(), at, value);
  }
  CHECK(port.ejections.slots.empty());
  CHECK((port.read(kSlot) & kSlotPresent) != 0);
  for (const std::uint16_t at : {kVendorId, kDeviceId, kHeaderType, kCapabilities}) {
    CHECK(port.read<std::uint8_t>(port.own(), at) == before[at]);
  }
  for (std::uint16_t at = kBar0; at < kPrimaryBus; ++at) {
    CHECK(port.read<std::uint8_t>(port.own(), at) == 0);
  }
  for (std::uint16_t at = 0; at < 4; ++at) {
    const auto register_at = static_cast<std::uint16_t>(kExpress + kSlotCapabilities + at);
    CHECK(port.read<std::uint8_t>(port.own(), register_at) == before[register_at]);
  }
  CHECK(port.read<std::uint8_t>(port.own(), 0x1c) == 0);  // no window of ports
}

TEST_CASE("bus 0 is the root bus whatever a port calls its own", "[pci][root-port][hostile]") {
  Port port;
  port.insert(Moment::kFromStart);
  CHECK(port.read<std::uint16_t>({.bus = 0, .devfn = 0}, kVendorId) == 0xffff);
  Ecam ecam(port.board.segment);
  port.enumerate();
  std::array<std::byte, 2> data{};
  ecam.read(kBus * Segment::kEcamBytes, data);
  CHECK(load_le<std::uint16_t>(data.data()) == 0x1234);
  ecam.read(256 * Segment::kEcamBytes + kBus * Segment::kEcamBytes, data);
  CHECK(load_le<std::uint16_t>(data.data()) == 0xffff);
}

TEST_CASE("a port that leaves takes its device along", "[pci][root-port]") {
  Port port;
  port.insert(Moment::kFromStart);
  port.enumerate();
  port.place_bar();
  REQUIRE(port.board.segment->remove(4));
  CHECK(port.board.mmio.size() == 0);
  CHECK_FALSE(port.port->occupied());
  CHECK(port.port->insert(std::make_shared<TestFunction>(), Moment::kLater).error().code() ==
        static_cast<std::int32_t>(PciError::kNoDevice));
}

// The guest gives back on a vCPU, another thread takes the device away and puts the next one there,
// while a third touches whatever answers.
TEST_CASE("devices come and go at a port while others use them", "[pci][root-port][threads]") {
  struct Gone final : EjectListener {
    void ejected(FunctionAddress) override { waiting.store(true); }
    std::atomic<bool> waiting{false};
  };
  Gone gone;
  Board board;
  const auto port = *RootPort::create({.vector = nullptr, .listener = gone});
  const auto address = *board.segment->add(port, {.slot = std::uint8_t{4}});
  std::atomic<bool> end{false};
  const auto write = [&](ConfigAddress at, std::uint16_t offset, std::uint16_t value) {
    std::array<std::byte, 2> data{};
    store_le(data.data(), value);
    board.segment->write_config(at, offset, data);
  };
  const ConfigAddress own{.bus = 0, .devfn = address.devfn()};
  const ConfigAddress behind{.bus = kBus, .devfn = 0};
  write(own, kPrimaryBus, kBus << 8);
  write(own, kMemoryBase, kBarAt >> 16);
  write(own, kMemoryLimit, kBarAt >> 16);
  write(own, kCommand, kCommandMemory);
  std::thread guest([&] {
    while (!end.load()) {
      write(own, kControl, kIndicatorOn);
      write(behind, kBar0 + 2, kBarAt >> 16);
      write(behind, kCommand, kCommandMemory);
      write(own, kControl, kPowerOff);
    }
  });
  std::thread other([&] {
    vm_device::MmioCaller caller(board.mmio);
    std::array<std::byte, 1> data{};
    while (!end.load()) (void)caller.read(GuestAddress(kBarAt), data);
  });
  for (int round = 0; round < 100; ++round) {
    const auto function = std::make_shared<TestFunction>(std::vector{kBar32});
    REQUIRE(port->insert(function, Moment::kLater));
    REQUIRE(port->ask());
    while (!gone.waiting.exchange(false)) std::this_thread::yield();
    REQUIRE(port->remove());
  }
  end.store(true);
  guest.join();
  other.join();
  CHECK(board.mmio.size() == 0);
}

}  // namespace
}  // namespace vmm::pci
