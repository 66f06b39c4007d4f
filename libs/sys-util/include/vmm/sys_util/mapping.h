// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "vmm/base/result.h"

namespace vmm::sys_util {

/// A mapping in our address space, unmapped once by its owner; see mmap(2).
class Mapping {
 public:
  /// What mmap(2) is told, but for the address.
  struct Options {
    int protection;            ///< PROT_*
    int flags;                 ///< MAP_*; MAP_FIXED is refused
    int fd = -1;               ///< borrowed for the call; -1 for anonymous memory
    std::uint64_t offset = 0;  ///< into the file, a multiple of the page size
    /// Where in our address space: at `phase` modulo `alignment`, a power of two. 0: anywhere.
    std::size_t alignment = 0;
    std::size_t phase = 0;  ///< a multiple of the page size, below the alignment
  };

  Mapping() = default;
  ///@{
  /// The other one is empty afterwards; what was mapped here before is unmapped.
  Mapping(Mapping&& other) noexcept;
  Mapping& operator=(Mapping&& other) noexcept;
  ///@}
  ~Mapping();

  /// Errors: EINVAL for a size of 0, MAP_FIXED, a misaligned offset or phase and an alignment that
  /// is none; the errno of mmap(2).
  static Result<Mapping> create(std::size_t bytes, const Options& options);

  ///@{
  /// The mapped bytes; nullptr and 0 when empty. Valid as long as this object owns them.
  [[nodiscard]] std::byte* data() const { return data_; }
  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] std::span<std::byte> bytes() const { return {data_, size_}; }
  ///@}

 private:
  Mapping(std::byte* data, std::size_t size) : data_(data), size_(size) {}
  static Result<Mapping> map(void* at, std::size_t bytes, const Options& options);
  static Result<Mapping> map_aligned(std::size_t bytes, const Options& options);

  std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace vmm::sys_util
