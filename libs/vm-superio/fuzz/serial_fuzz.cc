// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// Any sequence of guest accesses, host input and restores: the FIFO is bounded, the interrupt line
// is what the registers say, every byte that the guest sent is written once.

#include "fuzz_input.h"
#include "vmm/vm_device/testing/recorders.h"
#include "vmm/vm_superio/serial.h"
#include "vmm/vm_superio/testing/fakes.h"

namespace {

using namespace vmm::vm_superio;

/// Counts bytes, and takes only some of them now and then.
class CountingSink final : public ByteSink {
 public:
  std::size_t write(std::span<const std::byte> bytes) override {
    require(!bytes.empty() && bytes.size() <= OutputBuffer::kSize);
    const std::size_t taken = stingy ? bytes.size() / 2 : bytes.size();
    total += taken;
    return taken;
  }
  std::uint64_t total = 0;
  bool stingy = false;
};

bool leaves_the_chip(const SerialState& state) {
  return (state.lcr & 0x80) == 0 && (state.mcr & 0x10) == 0;
}

void check(Serial& uart, const vmm::vm_device::testing::FakeLine& irq) {
  const SerialState state = uart.state();
  require(state.input_size <= SerialState::kFifoSize);
  require(uart.space() <= SerialState::kFifoSize);
  const unsigned pending = (state.input_size != 0 ? 1u : 0u) | state.thre_pending * 2u |
                           state.overrun * 4u | (state.msr_delta != 0 ? 8u : 0u);
  require(irq.level() == ((pending & state.ier) != 0));
}

void write_byte(Serial& uart, std::uint64_t offset, std::byte value) {
  uart.write(offset, std::span(&value, 1));
}

/// A write, and how many bytes of it leave the chip.
std::uint64_t write(Serial& uart, std::uint64_t offset, std::span<const std::byte> data) {
  std::uint64_t sent = 0;
  for (const std::byte value : data) {
    if (offset == 0 && leaves_the_chip(uart.state())) ++sent;
    write_byte(uart, offset++, value);
  }
  return sent;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input in(data, size);
  vmm::vm_device::testing::FakeLine irq;
  CountingSink sink;
  testing::CountingListener listener;
  Serial uart(irq, sink, &listener);
  std::uint64_t sent = 0;
  while (!in.empty()) {
    const std::uint8_t op = in.byte();
    switch (op & 7) {
      case 0:
      case 1: {  // a guest's access of any width
        std::vector<std::byte> bytes(1 + (op >> 5), std::byte{0});
        uart.read(in.byte() & 15, bytes);
        break;
      }
      case 2:
      case 3: {
        const std::uint8_t offset = in.byte() & 15;
        sent += write(uart, offset, in.bytes(1 + (op >> 5)));
        break;
      }
      case 4: {  // input
        const std::size_t space = uart.space();
        const auto bytes = in.bytes(in.byte());
        require(uart.enqueue(bytes) == std::min(space, bytes.size()));
        break;
      }
      case 5:
        sink.stingy = (op & 8) != 0;
        uart.flush();
        break;
      case 6: {  // a snapshot changes nothing
        const SerialState state = uart.state();
        require(uart.restore(state).has_value());
        require(uart.state() == state);
        break;
      }
      default: {  // anybody's state
        const SerialState before = uart.state();
        if (!uart.restore(in.take<SerialState>()).has_value()) require(uart.state() == before);
        break;
      }
    }
    check(uart, irq);
  }
  uart.flush();
  require(sink.total + uart.lost_bytes() == sent);
  return 0;
}
