// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "vmm/virtio_queue/stream.h"

namespace vmm::virtio_balloon {

/// Consecutive pages of 4096 bytes.
struct PageRun {
  std::uint64_t first = 0;  ///< page number
  std::uint64_t count = 0;

  friend bool operator==(const PageRun&, const PageRun&) = default;
};

/// The pages that a request of 5.5.6 names, in any order and as often as the driver likes.
class PageList {
 public:
  /// Pages of one request; those beyond are left with the guest.
  static constexpr std::size_t kMaxPages = 4096;

  void read(virtio_queue::Reader reader);

  /// Calls `visit(PageRun)` for all of them, ascending, each page once.
  template <class Visit>
  void for_each_run(Visit&& visit) const {
    for (std::size_t at = 0; at < count_;) {
      PageRun run{.first = pages_[at], .count = 0};
      for (; at < count_ && pages_[at] <= run.first + run.count; ++at) {
        if (pages_[at] == run.first + run.count) ++run.count;
      }
      visit(run);
    }
  }

 private:
  std::array<std::uint32_t, kMaxPages> pages_;
  std::size_t count_ = 0;
};

}  // namespace vmm::virtio_balloon
