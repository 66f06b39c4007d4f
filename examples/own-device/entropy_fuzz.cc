// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// Requests of any shape, some of them in memory that is not there: the device answers each, writes
// where it may and says how much, and goes on.

#include <cstdlib>

#include "entropy.h"
#include "vmm/virtio_device/testing/device_rig.h"

using namespace vmm::virtio_device::testing;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  DeviceRig rig(std::make_shared<Entropy>(), {.packed = size % 2 != 0});
  if (!rig.start()) std::abort();
  for (std::size_t at = 0; at + 4 <= size && at < 400; at += 4) {
    const std::uint32_t readable = data[at];
    const std::uint32_t writable = data[at + 1] + 256u * data[at + 2];
    if (data[at + 3] % 8 == 0) {
      const Buffer nowhere{vmm::GuestAddress(std::uint64_t{writable} << 32), readable, true};
      (void)rig.send_raw(0, {&nowhere, 1});
      rig.run();
      (void)rig.receive(0);
      continue;
    }
    const auto answer = rig.exchange(0, {.readable = {Bytes(readable)}, .writable = {writable, 3}});
    if (!answer || answer->written != std::min(writable + 3, 256u)) std::abort();
    for (std::size_t i = answer->written; i < answer->bytes.size(); ++i) {
      if (answer->bytes[i] != DeviceRig::kUntouched) std::abort();
    }
  }
  if (!rig.running()) std::abort();
  return 0;
}
