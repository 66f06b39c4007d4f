// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// A driver of a console with several ports, and the host's side of each: what device_fuzz.h
// promises, and that a port is open only while a device runs.

#include <array>

#include "device_fuzz.h"
#include "vmm/virtio_console/multiport.h"

namespace {

using namespace vmm::virtio_console;

constexpr std::size_t kPorts = 3;

/// Takes all, or nothing for a while.
class Output final : public ConsoleOutput {
 public:
  std::size_t write(std::span<const std::byte> bytes) override { return full ? 0 : bytes.size(); }
  [[nodiscard]] int room_fd() const override { return -1; }

  bool full = false;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input input(data, size);
  std::array<Output, kPorts> outputs;
  const auto device = *MultiportConsole::create(
      std::array{PortOptions{.output = &outputs[0], .console = true},
                 PortOptions{.output = &outputs[1], .name = "agent", .capacity = 16},
                 PortOptions{.output = &outputs[2], .connected = false}});
  std::array<bool, kPorts> open{};
  for (std::size_t port = 0; port < kPorts; ++port) {
    device->set_on_open(port, [&open, port](bool now) {
      require(open[port] != now);
      open[port] = now;
    });
  }
  fuzz_device(device, input, [&](Input& script) {
    const std::size_t what = script.byte();
    const std::size_t port = (what >> 2) % kPorts;
    require(device->is_open(port) == open[port]);
    if ((what & 3) == 0) device->set_connected(port, (what & 0x80) != 0);
    if ((what & 3) == 1) (void)device->input(port).enqueue(script.bytes(what >> 4));
    if ((what & 3) == 2) outputs[port].full = !outputs[port].full;
  });
  return 0;
}
