// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <unordered_map>
#include <vector>

#include "vmm/base/result.h"

namespace vmm::block {

/// Parts of a file of one size, kept in memory, written back when asked for.
///
/// Threads: one at a time.
class SliceCache {
 public:
  /// At most `limit` slices (at least 8) of `slice_bytes`, a power of two; memory is taken as they
  /// come.
  SliceCache(int fd, std::size_t slice_bytes, std::size_t limit);

  [[nodiscard]] std::size_t slice_bytes() const { return slice_bytes_; }
  /// The slice at `offset`, a multiple of slice_bytes(): valid until the next get(). Precondition:
  /// not is_crowded() since the last seven of them. Errors: EIO beyond the end of the file; those
  /// of pread(2).
  Result<std::byte*> get(std::uint64_t offset);
  /// After a change of what the last get() returned.
  void mark_dirty() { set_dirty(slots_[last_]); }
  /// Forgets slices in a part of the file that is used for something else from now on.
  void drop(std::uint64_t offset, std::uint64_t bytes);

  [[nodiscard]] bool is_dirty() const { return dirty_ != 0; }
  /// So many are dirty that they have to be written soon.
  [[nodiscard]] bool is_crowded() const { return dirty_ + 8 > limit_; }
  /// Writes what is dirty. After an error, what was not written stays dirty.
  Result<void> write_dirty();

 private:
  struct Slot {
    std::uint64_t offset = kNowhere;
    bool dirty = false;
    bool used = false;  // since the clock's hand came by
    std::unique_ptr<std::byte[]> bytes;
  };
  static constexpr std::uint64_t kNowhere = ~std::uint64_t{0};

  void set_dirty(Slot& slot) {
    if (!slot.dirty) ++dirty_;
    slot.dirty = true;
  }
  [[nodiscard]] std::uint32_t free_slot();

  int fd_;
  std::size_t slice_bytes_;
  std::size_t limit_;
  std::size_t dirty_ = 0;
  std::uint32_t last_ = 0;
  std::uint32_t hand_ = 0;
  std::vector<Slot> slots_;
  std::unordered_map<std::uint64_t, std::uint32_t> index_;
};

}  // namespace vmm::block
