// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// Any sequence of guest accesses, changes of lines and restores: the interrupt line is what the
// registers say, and they are what their lines are.

#include <array>

#include "fuzz_input.h"
#include "vmm/vm_device/testing/recorders.h"
#include "vmm/vm_superio/pl061.h"

namespace {

using namespace vmm::vm_superio;

std::uint32_t read_register(Pl061& gpio, std::uint64_t offset) {
  std::array<std::byte, 4> data{};
  gpio.read(offset, data);
  std::uint32_t value = 0;
  std::memcpy(&value, data.data(), sizeof(value));
  return value;
}

void check(Pl061& gpio, const vmm::vm_device::testing::FakeLine& irq) {
  const Pl061State state = gpio.state();
  require((state.latched & state.is) == 0);
  const std::uint32_t raw = read_register(gpio, 0x414);
  require((raw & state.latched) == state.latched);
  require((raw & ~(state.is & ~state.dir & 0xffu) & ~std::uint32_t{state.latched}) == 0);
  require(read_register(gpio, 0x418) == (raw & state.ie));
  require(irq.level() == ((raw & state.ie) != 0));
  const std::uint32_t data = read_register(gpio, 0x3fc);
  require((data & state.dir) == (state.output & state.dir));
  require((data & ~std::uint32_t{state.dir}) == (state.input & ~std::uint32_t{state.dir}));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input in(data, size);
  vmm::vm_device::testing::FakeLine irq;
  Pl061 gpio(irq);
  while (!in.empty()) {
    const std::uint8_t op = in.byte();
    const std::uint64_t offset = in.take<std::uint16_t>() & 0xfff;
    switch (op & 7) {
      case 0: {
        std::vector<std::byte> bytes(1 + (op >> 4), std::byte{0});
        gpio.read(offset, bytes);
        break;
      }
      case 1:
      case 2:
        gpio.write(offset, in.bytes(1 + (op >> 4)));
        break;
      case 3:
      case 4:
        gpio.set_input(static_cast<std::uint32_t>(offset & 15), (op & 8) != 0);
        break;
      case 5: {
        const Pl061State state = gpio.state();
        require(gpio.restore(state).has_value());
        require(gpio.state() == state);
        break;
      }
      default: {
        const Pl061State before = gpio.state();
        if (!gpio.restore(in.take<Pl061State>()).has_value()) require(gpio.state() == before);
        break;
      }
    }
    check(gpio, irq);
  }
  return 0;
}
