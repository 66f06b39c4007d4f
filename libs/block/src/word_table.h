// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstddef>
#include <cstdint>
#include <set>
#include <vector>

#include "vmm/base/result.h"

namespace vmm::block {

/// A table of big-endian 64-bit words in a file that is in memory as a whole.
///
/// Threads: one at a time.
class WordTable {
 public:
  WordTable() = default;
  /// Errors: EIO when the file ends before; those of pread(2).
  static Result<WordTable> load(int fd, std::uint64_t offset, std::size_t words);

  [[nodiscard]] std::size_t size() const { return words_.size(); }
  [[nodiscard]] std::uint64_t offset() const { return offset_; }
  [[nodiscard]] std::uint64_t bytes() const { return words_.size() * sizeof(std::uint64_t); }
  [[nodiscard]] std::uint64_t operator[](std::size_t index) const { return words_[index]; }
  void set(std::size_t index, std::uint64_t word);
  /// Makes room for further words, zeros, which are not in the file before move_to().
  void grow(std::size_t words) { words_.resize(words); }

  [[nodiscard]] bool is_dirty() const { return !dirty_.empty(); }
  /// Writes what was set since.
  Result<void> write_dirty(int fd);
  /// Writes all of it to another place, where it is from then on.
  Result<void> move_to(int fd, std::uint64_t offset);

 private:
  Result<void> write_words(int fd, std::size_t first, std::size_t count) const;

  std::uint64_t offset_ = 0;
  std::vector<std::uint64_t> words_;
  std::set<std::size_t> dirty_;  // sectors
};

}  // namespace vmm::block
