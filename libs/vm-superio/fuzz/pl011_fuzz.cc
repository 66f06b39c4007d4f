// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// Any sequence of guest accesses, host input and restores: the FIFO is bounded and the interrupt
// line is what the registers say.

#include <array>

#include "fuzz_input.h"
#include "vmm/vm_device/testing/recorders.h"
#include "vmm/vm_superio/pl011.h"
#include "vmm/vm_superio/testing/fakes.h"

namespace {

using namespace vmm::vm_superio;

std::uint32_t read_register(Pl011& uart, std::uint64_t offset) {
  std::array<std::byte, 4> data{};
  uart.read(offset, data);
  std::uint32_t value = 0;
  std::memcpy(&value, data.data(), sizeof(value));
  return value;
}

void check(Pl011& uart, const vmm::vm_device::testing::FakeLine& irq) {
  const Pl011State state = uart.state();
  require(state.input_size <= Pl011State::kFifoSize);
  require(uart.space() <= Pl011State::kFifoSize);
  const std::uint32_t raw = read_register(uart, 0x3c);
  require(((raw & 0x50) != 0) == (state.input_size != 0));
  require(read_register(uart, 0x40) == (raw & state.imsc));
  require(irq.level() == ((raw & state.imsc) != 0));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input in(data, size);
  vmm::vm_device::testing::FakeLine irq;
  testing::StringSink sink;
  testing::CountingListener listener;
  Pl011 uart(irq, sink, &listener);
  while (!in.empty()) {
    const std::uint8_t op = in.byte();
    // Mostly the registers, sometimes anywhere in the page.
    const std::uint64_t offset =
        (op & 8) != 0 ? in.take<std::uint16_t>() & 0xfff : in.byte() & 0x7f;
    switch (op & 7) {
      case 0:
      case 1: {
        std::vector<std::byte> bytes(1 + (op >> 4), std::byte{0});
        uart.read(offset, bytes);
        break;
      }
      case 2:
      case 3:
        uart.write(offset, in.bytes(1 + (op >> 4)));
        break;
      case 4: {
        const std::size_t space = uart.space();
        const auto bytes = in.bytes(offset);
        require(uart.enqueue(bytes) == std::min(space, bytes.size()));
        break;
      }
      case 5:
        uart.flush();
        break;
      case 6: {
        const Pl011State state = uart.state();
        require(uart.restore(state).has_value());
        require(uart.state() == state);
        break;
      }
      default: {
        const Pl011State before = uart.state();
        if (!uart.restore(in.take<Pl011State>()).has_value()) require(uart.state() == before);
        break;
      }
    }
    check(uart, irq);
  }
  return 0;
}
