// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// A driver that flushes, and a host that sometimes cannot: a request that was answered with "done"
// was flushed after it came, and one that was a flush and failed was tried.

#include "device_fuzz.h"
#include "vmm/virtio_pmem/pmem.h"

namespace {

struct Host {
  bool fails = false;
  std::uint32_t done = 0;
  std::uint32_t failed = 0;
};

/// Fails when the script says so.
class FickleFlusher final : public vmm::virtio_pmem::Flusher {
 public:
  explicit FickleFlusher(Host& host) : host_(host) {}
  vmm::Result<void> flush() override {
    if (!host_.fails) {
      ++host_.done;
      return {};
    }
    ++host_.failed;
    return vmm::fail(vmm::Error::os(EIO, "flush"));
  }

 private:
  Host& host_;
};

class Watch final : public DriverWatch {
 public:
  explicit Watch(const Host& host) : host_(host) {}

  std::uint64_t sent(std::uint16_t, const vmm::virtio_device::testing::Request&) override {
    return std::uint64_t{host_.done} << 32 | host_.failed;
  }
  void answered(const Exchange& exchange) override {
    if (exchange.room() < 4) return exchange.require_written(0);
    exchange.require_written(4);
    const auto result = exchange.answer.at<vmm::Le32>(0).get();
    require(result == vmm::virtio_pmem::Pmem::kDone || result == vmm::virtio_pmem::Pmem::kFailed);
    const auto request = exchange.sent();
    constexpr std::byte kZero{0};
    const bool is_flush = request.size() >= 4 && request[0] == kZero && request[1] == kZero &&
                          request[2] == kZero && request[3] == kZero;
    if (result == vmm::virtio_pmem::Pmem::kDone) {
      require(is_flush && host_.done > exchange.mark >> 32);
    } else if (is_flush) {
      require(host_.failed > (exchange.mark & 0xffff'ffff));
    }
  }

 private:
  const Host& host_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input input(data, size);
  Host host;
  const auto pmem = *vmm::virtio_pmem::Pmem::create(std::make_unique<FickleFlusher>(host));
  Watch watch(host);
  const auto host_event = [&](Input& script) { host.fails = (script.byte() & 1) != 0; };
  fuzz_device(pmem, input, host_event, &watch);
  return 0;
}
