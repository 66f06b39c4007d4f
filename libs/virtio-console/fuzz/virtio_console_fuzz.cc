// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

#include "device_fuzz.h"
#include "vmm/virtio_console/console.h"

namespace {

/// Takes as much as the script lets it.
class Output final : public vmm::virtio_console::ConsoleOutput {
 public:
  std::size_t write(std::span<const std::byte> bytes) override {
    const std::size_t taken = std::min(bytes.size(), room);
    room -= taken;
    return taken;
  }
  [[nodiscard]] int room_fd() const override { return waits ? event.fd() : -1; }

  std::size_t room = 100;
  bool waits = true;
  vmm::sys_util::EventFd event = *vmm::sys_util::EventFd::create();  // always writable
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input input(data, size);
  Output output;
  output.waits = (input.byte() & 1) == 0;
  const auto device = *vmm::virtio_console::Console::create(
      {.output = &output, .capacity = 64, .size = {.columns = 80, .rows = 25}});
  fuzz_device(device, input, [&](Input& script) {
    switch (script.byte() % 4) {
      case 0:
        output.room += script.byte();
        return;
      case 1:
        return device->resize({.columns = script.byte(), .rows = script.byte()});
      default:
        (void)device->space();
        (void)device->enqueue(script.bytes(script.byte() % 80u));
    }
  });
  return 0;
}
