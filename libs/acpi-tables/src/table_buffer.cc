// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/acpi_tables/table_buffer.h"

#include <algorithm>
#include <utility>

namespace vmm::acpi_tables {

TableBuffer::TableBuffer(TableBuffer&& other) noexcept
    : begin_(std::exchange(other.begin_, nullptr)),
      at_(std::exchange(other.at_, nullptr)),
      end_(std::exchange(other.end_, nullptr)),
      limit_(other.limit_),
      owned_(std::move(other.owned_)),
      open_(std::exchange(other.open_, 0)),
      failed_(std::exchange(other.failed_, false)),
      error_(other.error_) {}

TableBuffer& TableBuffer::operator=(TableBuffer&& other) noexcept {
  if (this != &other) {
    begin_ = std::exchange(other.begin_, nullptr);
    at_ = std::exchange(other.at_, nullptr);
    end_ = std::exchange(other.end_, nullptr);
    limit_ = other.limit_;
    owned_ = std::move(other.owned_);
    open_ = std::exchange(other.open_, 0);
    failed_ = std::exchange(other.failed_, false);
    error_ = other.error_;
  }
  return *this;
}

Result<std::span<const std::byte>, AcpiError> TableBuffer::finish() const {
  if (failed_) return vmm::fail(error_);
  if (open_ != 0) return vmm::fail(AcpiError::kUnbalanced);
  return std::span<const std::byte>(begin_, size());
}

void TableBuffer::clear() {
  at_ = begin_;
  open_ = 0;
  failed_ = false;
}

void TableBuffer::fail(AcpiError error) {
  if (failed_) return;
  failed_ = true;
  error_ = error;
}

void TableBuffer::resize_gap(std::size_t offset, std::size_t old_count, std::size_t new_count) {
  if (failed_ || offset > size() || old_count > size() - offset) return;
  const std::size_t tail = size() - offset - old_count;
  if (new_count > old_count && reserve(new_count - old_count) == nullptr) return;
  std::memmove(begin_ + offset + new_count, begin_ + offset + old_count, tail);
  if (new_count < old_count) at_ -= old_count - new_count;
}

bool TableBuffer::grow(std::size_t count) {
  const std::size_t used = size();
  if (failed_ || used > limit_ || count > limit_ - used) {
    fail(AcpiError::kTooLarge);
    return false;
  }
  const std::size_t capacity =
      std::min(limit_, std::max({used + count, 2 * used, std::size_t{4096}}));
  std::unique_ptr<std::byte[]> bigger = std::make_unique_for_overwrite<std::byte[]>(capacity);
  if (used != 0) std::memcpy(bigger.get(), begin_, used);
  owned_ = std::move(bigger);
  begin_ = owned_.get();
  at_ = begin_ + used;
  end_ = begin_ + capacity;
  return true;
}

}  // namespace vmm::acpi_tables
