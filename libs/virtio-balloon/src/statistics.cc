// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/virtio_balloon/statistics.h"

#include "vmm/base/endian.h"

namespace vmm::virtio_balloon {

Statistics Statistics::parse(virtio_queue::Reader reader,
                             std::chrono::steady_clock::time_point now) {
  Statistics statistics;
  statistics.time_ = now;
  for (std::size_t entry = 0; entry < kMaxEntries; ++entry) {
    const auto tag = reader.read_obj<Le16>();
    if (!tag) break;
    const auto value = reader.read_obj<Le64>();
    if (!value) break;
    if (tag->get() < kCount) statistics.values_[tag->get()] = value->get();
  }
  return statistics;
}

}  // namespace vmm::virtio_balloon
