// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// A driver that shows signs of life, and a timeout that is over at once: the watchdog expires at
// most once for each of them, and neither without one nor while the VM stands still.

#include "device_fuzz.h"
#include "vmm/virtio_watchdog/watchdog.h"

namespace {

class Watch final : public DriverWatch {
 public:
  void started(std::uint64_t) override {
    is_known_ = true;
    signs_ = 0;
  }
  void lost() override { is_known_ = false; }
  std::uint64_t sent(std::uint16_t, const vmm::virtio_device::testing::Request& request) override {
    if (Exchange{.request = request, .answer = {}}.room() != 0) ++signs_;
    return 0;
  }
  void answered(const Exchange& exchange) override {
    const bool is_sign = exchange.room() != 0;
    exchange.require_written(is_sign ? 1 : 0);
    if (is_sign) require(exchange.answer.bytes[0] == std::byte{1});
  }

  void expired() {
    require(!is_paused);
    if (is_known_) require(signs_-- != 0);
  }

  bool is_paused = false;

 private:
  bool is_known_ = false;
  std::uint64_t signs_ = 0;  // that were sent and have not expired
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input input(data, size);
  Watch watch;
  const auto device = *vmm::virtio_watchdog::Watchdog::create(
      {.timeout = std::chrono::nanoseconds(1), .on_expiry = [&watch] { watch.expired(); }});
  const auto host_event = [&](Input& script) {
    watch.is_paused = (script.byte() & 1) != 0;
    return watch.is_paused ? device->pause() : device->resume();
  };
  fuzz_device(device, input, host_event, &watch);
  return 0;
}
