// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "formats.h"

namespace vmm::linux_loader {

/// Address space of a fixed size that takes memory only where it was written.
class Scratch {
 public:
  /// Errors: the errno of mmap(2).
  static Result<Scratch> create(std::size_t bytes);
  Scratch(Scratch&& other) noexcept;
  Scratch& operator=(Scratch&&) = delete;
  ~Scratch();

  [[nodiscard]] std::span<std::byte> bytes() const { return {data_, size_}; }

 private:
  Scratch(std::byte* data, std::size_t size) : data_(data), size_(size) {}

  std::byte* data_;
  std::size_t size_;
};

/// Decompresses the first stream of `source` into `out` and answers how many bytes it took.
///
/// What follows the stream (a signature, padding) is ignored. Time and memory are bounded by the
/// sizes of both. Errors: kTooLarge when `out` is too small, kCorrupt, kTruncated,
/// kUnsupportedCompression when `content` is neither kGzip nor kZstd; errno values.
Result<std::size_t> decompress(const ImageSource& source, Content content,
                               std::span<std::byte> out);

}  // namespace vmm::linux_loader
