// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstdint>
#include <vector>

namespace vmm::virtio_queue::detail {

/// VIRTIO_F_IN_ORDER (2.6.1): buffers are given back in the order in which they came, however the
/// device finished them. A ring of at most as many entries as the queue has.
class Reorder {
 public:
  struct Entry {
    std::uint16_t token = 0;
    std::uint16_t descriptors = 0;
    std::uint32_t written = 0;
    bool done = false;
  };

  Reorder() = default;
  explicit Reorder(std::uint32_t size) : entries_(size) {}

  void push(std::uint16_t token, std::uint16_t descriptors, bool done) {
    if (count_ == entries_.size()) return;  // queues never let in more
    entries_[(first_ + count_++) % entries_.size()] = {token, descriptors, 0, done};
  }
  void clear() { first_ = count_ = 0; }
  void pop_last() { count_ -= count_ != 0 ? 1 : 0; }
  void finish(std::uint16_t token, std::uint32_t written) {
    for (std::uint32_t i = 0; i < count_; ++i) {
      Entry& entry = entries_[(first_ + i) % entries_.size()];
      if (entry.token != token || entry.done) continue;
      entry.written = written;
      entry.done = true;
      return;
    }
  }
  /// Takes the first entry when it is done.
  [[nodiscard]] bool take(Entry* out) {
    if (count_ == 0 || !entries_[first_].done) return false;
    *out = entries_[first_];
    first_ = (first_ + 1) % static_cast<std::uint32_t>(entries_.size());
    --count_;
    return true;
  }

 private:
  std::vector<Entry> entries_;
  std::uint32_t first_ = 0;
  std::uint32_t count_ = 0;
};

}  // namespace vmm::virtio_queue::detail
