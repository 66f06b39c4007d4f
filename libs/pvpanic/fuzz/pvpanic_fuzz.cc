// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// Accesses to configuration space and the register, of any width and alignment: an event is told
// once, and only after its bit was written to the register.

#include <array>

#include "fuzz_input.h"
#include "vmm/base/endian.h"
#include "vmm/pci/config_access.h"
#include "vmm/pci/segment.h"
#include "vmm/pvpanic/pvpanic.h"

using namespace vmm;
using pvpanic::Event;
using pvpanic::Pvpanic;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input input(data, size);
  unsigned told = 0;
  unsigned written = 0;
  const auto device = Pvpanic::create([&](Event event) {
    const auto bit = static_cast<unsigned>(event);
    require((told & bit) == 0 && (written & bit) != 0);
    told |= bit;
  });
  require(device.has_value());
  vm_device::MmioBus mmio;
  constexpr GuestAddress kBase(0xc000'0000);
  const auto segment =
      *pci::Segment::create({.number = 0,
                             .buses = {.mmio = mmio},
                             .windows = {.memory32 = AddressRange{kBase, 0x10'0000}}});
  require(segment->add(*device, {.slot = std::uint8_t{0}}).has_value());
  vm_device::MmioCaller caller(mmio);
  for (int step = 0; step < 256 && !input.empty(); ++step) {
    const std::uint8_t kind = input.byte();
    std::array<std::byte, 8> bytes{};
    const auto access = std::span(bytes).first(1 + kind % 8);
    const std::uint16_t offset = input.take<std::uint16_t>() % 4096;
    std::ranges::copy(input.bytes(access.size()), access.begin());
    const GuestAddress at(kBase.raw() + (input.byte() & 1) * 4096u + offset);
    switch (kind >> 6) {
      case 0:
        segment->write_config(0, offset, access);
        break;
      case 1:
        segment->read_config(0, offset, access);
        break;
      case 2:
        if (offset == 0) written |= std::to_integer<unsigned>(access[0]);
        (void)caller.write(at, access);
        break;
      default:
        (void)caller.read(at, access);
    }
  }
  require(segment->remove(0).has_value());
  require(mmio.size() == 0);
  return 0;
}
