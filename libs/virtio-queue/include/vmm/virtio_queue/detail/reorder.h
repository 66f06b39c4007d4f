// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstdint>
#include <vector>

namespace vmm::virtio_queue::detail {

/// VIRTIO_F_IN_ORDER (2.7.9, 2.8.8): buffers are given back in the order in which they came,
/// however the device finished them. A ring of at most as many entries as the queue has.
class Reorder {
 public:
  struct Entry {
    std::uint16_t token = 0;
    std::uint32_t weight = 0;
    std::uint32_t written = 0;
    bool done = false;
  };

  Reorder() = default;
  /// Tokens are below `size`, but for those that are done already.
  explicit Reorder(std::uint32_t size) : entries_(size), places_(size) {}

  [[nodiscard]] bool is_full() const { return count_ == entries_.size(); }
  /// Precondition: not full.
  void push(std::uint16_t token, std::uint32_t weight, bool done) {
    const std::uint32_t at = behind(count_++);
    entries_[at] = {.token = token, .weight = weight, .written = 0, .done = done};
    if (!done) places_[token] = at;
  }
  void clear() { first_ = count_ = 0; }
  void pop_last() { count_ -= count_ != 0 ? 1 : 0; }
  /// Precondition: the token was pushed, and is not done.
  void finish(std::uint16_t token, std::uint32_t written) {
    Entry& entry = entries_[places_[token]];
    entry.written = written;
    entry.done = true;
  }
  /// Takes the first entry when it is done.
  [[nodiscard]] bool take(Entry* out) {
    if (count_ == 0 || !entries_[first_].done) return false;
    *out = entries_[first_];
    first_ = behind(1);
    --count_;
    return true;
  }

 private:
  [[nodiscard]] std::uint32_t behind(std::uint32_t n) const {
    const std::uint32_t at = first_ + n;
    const auto size = static_cast<std::uint32_t>(entries_.size());
    return at < size ? at : at - size;
  }

  std::vector<Entry> entries_;
  std::vector<std::uint32_t> places_;  // of the entry of each token in flight
  std::uint32_t first_ = 0;
  std::uint32_t count_ = 0;
};

}  // namespace vmm::virtio_queue::detail
