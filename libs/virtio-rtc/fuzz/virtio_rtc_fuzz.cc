// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

#include "device_fuzz.h"
#include "vmm/virtio_rtc/rtc.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input input(data, size);
  std::vector<std::unique_ptr<vmm::virtio_rtc::Clock>> clocks;
  clocks.push_back(vmm::virtio_rtc::host_utc());
  clocks.push_back(vmm::virtio_rtc::host_monotonic());
  fuzz_device(*vmm::virtio_rtc::Rtc::create(std::move(clocks)), input);
  return 0;
}
