// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "block_map.h"

#include <algorithm>

namespace vmm::virtio_mem {
namespace {

auto at(auto& bits, std::uint64_t block) {
  return bits.begin() + static_cast<std::ptrdiff_t>(block);
}

}  // namespace

std::uint64_t BlockMap::count(const Run& run) const {
  const auto found = std::count(at(plugged_, run.first), at(plugged_, run.first + run.count), true);
  return static_cast<std::uint64_t>(found);
}

void BlockMap::set(const Run& run, bool plugged) {
  std::fill(at(plugged_, run.first), at(plugged_, run.first + run.count), plugged);
}

void BlockMap::clear() { std::fill(plugged_.begin(), plugged_.end(), false); }

}  // namespace vmm::virtio_mem
