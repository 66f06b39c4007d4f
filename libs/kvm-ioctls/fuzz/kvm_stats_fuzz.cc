// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// Any bytes as a statistics file: refused, or a layout that keeps its limits.

#include <cstdint>
#include <cstdlib>

#include "vmm/kvm_ioctls/stats.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace vmm::kvm_ioctls;
  const auto schema = parse_stats(std::as_bytes(std::span(data, size)));
  if (!schema) return 0;
  constexpr std::uint64_t kMaxData = 1u << 20;
  if (schema->data_bytes > kMaxData || schema->descriptors.size() > 4096) std::abort();
  if (schema->id.size() > size) std::abort();
  for (const StatsDescriptor& d : schema->descriptors) {
    if (d.name.size() > size || d.offset % 8 != 0) std::abort();
    if (d.offset + std::uint64_t{d.values} * 8 > schema->data_bytes) std::abort();
  }
  return 0;
}
