// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/pci/hotplug.h"

#include <array>
#include <atomic>
#include <catch2/catch.hpp>
#include <thread>
#include <vector>

#include "board.h"
#include "vmm/base/endian.h"

namespace vmm::pci {
namespace {

struct Ejections final : EjectListener {
  void ejected(FunctionAddress slot) override { slots.push_back(slot); }
  std::vector<FunctionAddress> slots;
};

struct Registers {
  explicit Registers(std::uint16_t segments = 3) : device(segments, ejections) {}
  std::uint32_t read(std::uint64_t offset) {
    std::array<std::byte, 4> data{};
    device.read(offset, data);
    return load_le<std::uint32_t>(data.data());
  }
  void write(std::uint64_t offset, std::uint32_t value) {
    std::array<std::byte, 4> data{};
    store_le(data.data(), value);
    device.write(offset, data);
  }
  void select(std::uint32_t segment) { write(HotplugRegisters::kSegmentSelect, segment); }
  std::uint32_t up() { return read(HotplugRegisters::kUp); }
  std::uint32_t down() { return read(HotplugRegisters::kDown); }
  void eject(std::uint32_t slots) { write(HotplugRegisters::kEject, slots); }

  Ejections ejections;
  HotplugRegisters device;
};

constexpr FunctionAddress at(std::uint16_t segment, std::uint8_t slot) {
  return {.segment = segment, .slot = slot, .function = 0};
}

TEST_CASE("a guest finds the slots that were filled, once, in their segment", "[pci][hotplug]") {
  Registers registers;
  REQUIRE(registers.device.plugged(at(0, 6)));
  REQUIRE(registers.device.plugged(at(2, 31)));
  REQUIRE(registers.device.plugged(at(2, 0)));
  CHECK(registers.down() == 0);
  CHECK(registers.up() == 1u << 6);
  CHECK(registers.up() == 0);
  registers.select(1);
  CHECK(registers.up() == 0);
  registers.select(2);
  CHECK(registers.read(HotplugRegisters::kSegmentSelect) == 2);
  CHECK(registers.up() == 0x8000'0001);
}

TEST_CASE("a slot that the guest was asked for is ejected once", "[pci][hotplug]") {
  Registers registers;
  REQUIRE(registers.device.ask_for(at(1, 5)));
  registers.eject(1u << 5);  // in another segment
  CHECK(registers.ejections.slots.empty());
  registers.select(1);
  CHECK(registers.down() == 1u << 5);
  CHECK(registers.down() == 0);
  REQUIRE(registers.device.ask_for(at(1, 5)));  // the user is impatient
  CHECK(registers.down() == 1u << 5);
  registers.eject(1u << 5);
  registers.eject(1u << 5);
  REQUIRE(registers.ejections.slots.size() == 1);
  CHECK(registers.ejections.slots[0] == at(1, 5));
}

TEST_CASE("nobody ejects what was not asked for", "[pci][hotplug][hostile]") {
  Registers registers;
  REQUIRE(registers.device.plugged(at(0, 3)));
  registers.eject(0xffff'ffff);
  CHECK(registers.ejections.slots.empty());
  CHECK(registers.up() == 1u << 3);

  REQUIRE(registers.device.ask_for(at(0, 1)));
  REQUIRE(registers.device.ask_for(at(0, 2)));
  registers.device.forget(at(0, 1));            // it has gone otherwise
  REQUIRE(registers.device.plugged(at(0, 2)));  // the next device of the slot
  CHECK(registers.down() == 0);
  registers.eject(0xffff'ffff);
  CHECK(registers.ejections.slots.empty());

  for (std::uint8_t slot = 0; slot < 32; ++slot) REQUIRE(registers.device.ask_for(at(0, slot)));
  registers.eject(0xffff'fffe);
  CHECK(registers.ejections.slots.size() == 31);
}

TEST_CASE("accesses that make no sense read as zeros and change nothing",
          "[pci][hotplug][hostile]") {
  Registers registers;
  REQUIRE(registers.device.plugged(at(0, 0)));
  REQUIRE(registers.device.ask_for(at(0, 0)));
  REQUIRE(registers.device.plugged(at(0, 1)));
  registers.select(3);  // there are 0 to 2
  registers.select(0xffff'ffff);
  registers.select(0x1'0000);
  CHECK(registers.read(HotplugRegisters::kSegmentSelect) == 0);
  const std::array<std::byte, 8> ones{std::byte{1}, std::byte{1}, std::byte{1}, std::byte{1},
                                      std::byte{1}, std::byte{1}, std::byte{1}, std::byte{1}};
  for (std::uint64_t offset = 0; offset < HotplugRegisters::kSize; ++offset) {
    for (std::size_t bytes = 1; bytes <= 8; ++bytes) {
      if (bytes == 4 && offset % 4 == 0) continue;
      CAPTURE(offset, bytes);
      std::array<std::byte, 8> data = ones;
      const auto part = std::span(data).first(bytes);
      registers.device.read(offset, part);
      for (const std::byte byte : part) CHECK(byte == std::byte{0});
      registers.device.write(offset, std::span(ones).first(bytes));
    }
  }
  registers.write(HotplugRegisters::kUp, 0);
  registers.write(HotplugRegisters::kDown, 0);
  CHECK(registers.read(HotplugRegisters::kEject) == 0);
  CHECK(registers.read(1000) == 0);
  CHECK(registers.ejections.slots.empty());
  CHECK(registers.up() == 3);
  CHECK(registers.down() == 1);

  CHECK(registers.device.plugged(at(3, 0)).error() == PciError::kBadSlot);
  CHECK(registers.device.plugged(at(0, 32)).error() == PciError::kBadSlot);
  CHECK(registers.device.ask_for(at(3, 0)).error() == PciError::kBadSlot);
  CHECK(registers.device.ask_for(at(0, 255)).error() == PciError::kBadSlot);
  registers.device.forget(at(3, 0));
  registers.device.forget(at(0, 32));
}

// What a machine does: the guest ejects on a vCPU, another thread takes the device away and puts
// the next one there, while a third touches whatever answers.
class Machine final : public EjectListener {
 public:
  void ejected(FunctionAddress slot) override { ejected_slot.store(slot.slot); }

  Board board;
  HotplugRegisters registers{1, *this};
  std::atomic<int> ejected_slot{-1};
};

TEST_CASE("devices come and go while others use them", "[pci][hotplug][threads]") {
  constexpr int kRounds = 200;
  Machine machine;
  const auto stays = machine.board.add({kBar32});
  std::atomic<bool> stop{false};
  std::atomic<int> bad{0};
  const auto touch = [&] {  // a vCPU that knows nothing of it
    vm_device::MmioCaller caller(machine.board.mmio);
    std::array<std::byte, 4> data{};
    while (!stop) {
      for (std::uint8_t slot = 0; slot < 4; ++slot) {
        const auto devfn = static_cast<std::uint8_t>(slot << 3);
        machine.board.segment->read_config(devfn, kVendorId, data);
        const auto vendor = load_le<std::uint16_t>(data.data());
        if (vendor != 0x1234 && vendor != 0xffff) ++bad;
        store_le(data.data(), std::uint32_t{kAllOn});
        if (slot != 0) machine.board.segment->write_config(devfn, kCommand, data);
      }
      for (std::uint64_t at = 0xc000'0000; at < 0xc000'4000; at += 0x1000) {
        (void)caller.read(GuestAddress(at), data);
        if (data[0] != std::byte{0xb0} && data[0] != std::byte{0xff}) ++bad;
      }
    }
  };
  const auto eject = [&] {  // the guest's method
    std::array<std::byte, 4> data{};
    while (!stop) {
      machine.registers.read(HotplugRegisters::kDown, data);
      if (load_le<std::uint32_t>(data.data()) == 0) continue;
      machine.registers.write(HotplugRegisters::kEject, data);
    }
  };
  std::jthread first(touch);
  std::jthread second(touch);
  std::jthread guest(eject);
  for (int round = 0; round < kRounds; ++round) {
    const auto device = machine.board.add({kBar32, kBar64, kBarIo});
    const FunctionAddress slot = device->attached;
    REQUIRE(slot.slot == 1);
    REQUIRE(machine.registers.plugged(slot));
    device->endpoint.set_intx(true);
    machine.ejected_slot.store(-1);
    REQUIRE(machine.registers.ask_for(slot));
    while (machine.ejected_slot.load() != slot.slot) std::this_thread::yield();
    REQUIRE(machine.board.segment->remove(slot.slot));
    CHECK_FALSE(device->endpoint.decoded_at(0));
  }
  stop = true;
  first.join();
  second.join();
  guest.join();
  CHECK(bad == 0);
  CHECK(machine.board.segment->occupied() == 1);
  CHECK(machine.board.mmio.size() == 0);
  CHECK(machine.board.ports.size() == 0);
  for (const auto& line : machine.board.lines) CHECK_FALSE(line.level());
}

}  // namespace
}  // namespace vmm::pci
