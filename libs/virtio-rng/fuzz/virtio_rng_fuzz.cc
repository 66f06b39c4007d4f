// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// A driver that asks for bytes: each request is filled with what the source has, which is zeros
// without an end.

#include <algorithm>

#include "device_fuzz.h"
#include "vmm/virtio_rng/rng.h"

namespace {

class Watch final : public DriverWatch {
 public:
  void answered(const Exchange& exchange) override {
    const std::size_t bytes = exchange.room();
    require(bytes <= vmm::virtio_rng::Rng::kMaxRequestBytes);  // as the driver's requests are small
    exchange.require_written(bytes);
    require(
        std::ranges::all_of(exchange.answer.bytes, [](std::byte b) { return b == std::byte{0}; }));
  }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input input(data, size);
  Watch watch;
  fuzz_device(*vmm::virtio_rng::Rng::open("/dev/zero"), input, {}, &watch);
  return 0;
}
