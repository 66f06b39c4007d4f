// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

#include "device_fuzz.h"
#include "vmm/virtio_watchdog/watchdog.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input input(data, size);
  const auto device = *vmm::virtio_watchdog::Watchdog::create(
      {.timeout = std::chrono::nanoseconds(1), .on_expiry = [] {}});
  fuzz_device(device, input, [&](Input& script) {
    if ((script.byte() & 1) != 0) return device->pause();
    device->resume();
  });
  return 0;
}
