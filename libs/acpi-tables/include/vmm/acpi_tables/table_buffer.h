// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>

#include "vmm/acpi_tables/error.h"
#include "vmm/base/endian.h"
#include "vmm/base/result.h"

namespace vmm::acpi_tables {

/// The one buffer that tables and AML are written into, front to back; lengths and checksums are
/// patched when a table or block closes.
///
/// The first error sticks: later writes may be dropped, and finish() reports it. So a table is
/// written without a check a line. Not thread-safe. Move-only.
class TableBuffer {
 public:
  /// Bytes that a growing buffer may reach.
  static constexpr std::size_t kDefaultLimit = std::size_t{16} << 20;

  /// Grows by itself, up to `limit` bytes.
  explicit TableBuffer(std::size_t limit = kDefaultLimit) : limit_(limit) {}
  /// Writes into `storage`, which must outlive this object, and never allocates.
  explicit TableBuffer(std::span<std::byte> storage)
      : begin_(storage.data()), at_(begin_), end_(begin_ + storage.size()), limit_(0) {}
  /// @{
  /// Takes over content, error and open blocks; `other` is empty and cannot grow any more or, if it
  /// grew by itself, starts anew.
  TableBuffer(TableBuffer&& other) noexcept;
  TableBuffer& operator=(TableBuffer&& other) noexcept;
  /// @}
  ~TableBuffer() = default;

  /// Bytes written so far: also the offset of the next one.
  [[nodiscard]] std::size_t size() const { return static_cast<std::size_t>(at_ - begin_); }
  /// What was written. Errors: the first one met; kUnbalanced when a table or block is open.
  /// The span is valid until the next write.
  [[nodiscard]] Result<std::span<const std::byte>, AcpiError> finish() const;
  /// Drops the content and the error, and keeps the storage.
  void clear();

  /// Records `error` unless there is one already.
  void fail(AcpiError error);
  /// Whether an error was met.
  [[nodiscard]] bool failed() const { return failed_; }

  /// Appends each value in little-endian order, as wide as its type.
  template <std::unsigned_integral... T>
  void put(T... values) {
    std::byte* to = reserve((sizeof(T) + ...));
    if (to == nullptr) [[unlikely]]
      return;
    (
        [&to](auto value) {
          const Le<decltype(value)> wire(value);
          std::memcpy(to, &wire, sizeof wire);
          to += sizeof wire;
        }(values),
        ...);
  }
  /// Appends bytes as they are.
  void bytes(std::span<const std::byte> from) {
    std::byte* to = reserve(from.size());
    if (to != nullptr && !from.empty()) std::memcpy(to, from.data(), from.size());
  }
  /// Appends zeros.
  void zeros(std::size_t count) {
    std::byte* to = reserve(count);
    if (to != nullptr) std::memset(to, 0, count);
  }
  /// Appends zeros until size() is a multiple of `power_of_two`.
  void align(std::size_t power_of_two) { zeros((0 - size()) & (power_of_two - 1)); }

  /// Overwrites bytes that were written before; nothing when they were not.
  template <std::unsigned_integral T>
  void patch(std::size_t offset, T value) {
    if (offset > size() || sizeof(T) > size() - offset) [[unlikely]]
      return;
    const Le<T> wire(value);
    std::memcpy(begin_ + offset, &wire, sizeof wire);
  }
  /// The same for a run of bytes.
  void patch_bytes(std::size_t offset, std::span<const std::byte> from) {
    if (offset > size() || from.size() > size() - offset || from.empty()) [[unlikely]]
      return;
    std::memcpy(begin_ + offset, from.data(), from.size());
  }
  /// Makes `old_count` bytes at `offset` into `new_count` (their content is unspecified) and moves
  /// what follows.
  void resize_gap(std::size_t offset, std::size_t old_count, std::size_t new_count);
  /// The bytes from `offset` on; none when that is behind the end.
  [[nodiscard]] std::span<const std::byte> from(std::size_t offset) const {
    if (offset > size()) [[unlikely]]
      return {};
    return {begin_ + offset, size() - offset};
  }

  /// For tables and blocks: opens one, and answers its level, which close_block() must be given.
  [[nodiscard]] std::uint32_t open_block() { return ++open_; }
  /// Closes the block of that level. Errors: kUnbalanced unless it is the innermost.
  void close_block(std::uint32_t level) {
    if (level != open_--) [[unlikely]]
      fail(AcpiError::kUnbalanced);
  }

 private:
  [[nodiscard]] std::byte* reserve(std::size_t count) {
    if (count > static_cast<std::size_t>(end_ - at_)) [[unlikely]] {
      if (!grow(count)) return nullptr;
    }
    std::byte* to = at_;
    at_ += count;
    return to;
  }
  bool grow(std::size_t count);

  std::byte* begin_ = nullptr;
  std::byte* at_ = nullptr;
  std::byte* end_ = nullptr;
  std::size_t limit_;  // 0: the storage is borrowed
  std::unique_ptr<std::byte[]> owned_;
  std::uint32_t open_ = 0;
  bool failed_ = false;
  AcpiError error_ = AcpiError::kTooLarge;
};

}  // namespace vmm::acpi_tables
