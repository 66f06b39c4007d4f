// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <vector>

#include "vmm/virtio_queue/inflight.h"
#include "vmm/virtio_queue/layout.h"

namespace vmm::virtio_queue::detail {

/// The inflight region of a queue that keeps one, and what is to be served again before anything
/// new is popped.
template <class Inflight>
struct Tracker {
  Inflight inflight;
  std::vector<Resubmit> again;         // the oldest is the last one
  std::vector<PackedDescriptor> list;  // packed: room for the one that is popped
};

}  // namespace vmm::virtio_queue::detail
