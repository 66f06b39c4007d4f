// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <algorithm>
#include <cstdint>
#include <utility>
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
  std::vector<Resubmit> taken = {};    // those of `again` that the device has

  /// The last one of `again` was popped, and the device has it or not.
  void pop_again(bool has_it) {
    if (has_it) taken.push_back(std::move(again.back()));
    again.pop_back();
  }
  /// Whether it was one of them; it is the next one again then.
  bool undo(std::uint16_t token) {
    const auto found = std::ranges::find(taken, token, &Resubmit::head);
    if (found == taken.end()) return false;
    again.push_back(std::move(*found));
    taken.erase(found);
    return true;
  }
  /// The device has given it back.
  void finish(std::uint16_t token) {
    std::erase_if(taken, [&](const Resubmit& one) { return one.head == token; });
  }
};

}  // namespace vmm::virtio_queue::detail
