// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

#include "device_fuzz.h"
#include "vmm/virtio_rng/rng.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input input(data, size);
  fuzz_device(*vmm::virtio_rng::Rng::open("/dev/zero"), input);
  return 0;
}
