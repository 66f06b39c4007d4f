// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// What is accepted is within its types, and comes out again as it went in.

#include <cstdint>
#include <cstdlib>
#include <span>

#include "vmm/vhost/iotlb_message.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace vmm::vhost;
  const auto message = decode(std::as_bytes(std::span(data, size)));
  if (!message) return 0;
  if (message->kind < IotlbKind::kMiss || message->kind > IotlbKind::kBatchEnd) std::abort();
  if (message->access > vmm::vm_memory::Access::kReadWrite) std::abort();
  const auto again = encode(*message, IotlbVersion::kV2);
  if (!again) return 0;
  const auto back = decode(*again);
  if (!back || *back != *message) std::abort();
  return 0;
}
