// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/acpi_tables/resources.h"

#include <utility>

namespace vmm::acpi_tables {
namespace {

constexpr std::uint8_t kBytePrefix = 0x0a;
constexpr std::uint8_t kWordPrefix = 0x0b;
constexpr std::uint8_t kDwordPrefix = 0x0c;
constexpr std::uint8_t kMemory = 0;
constexpr std::uint8_t kIo = 1;
constexpr std::uint8_t kBus = 2;
constexpr std::uint8_t kEntireRange = 3;

std::uint8_t flags_of(const InterruptRules& rules) {
  return static_cast<std::uint8_t>((rules.consumer ? 1 : 0) | (rules.edge ? 2 : 0) |
                                   (rules.active_low ? 4 : 0) | (rules.shared ? 8 : 0) |
                                   (rules.wake ? 16 : 0));
}

std::uint8_t memory_flags(Caching caching, bool writable) {
  return static_cast<std::uint8_t>(static_cast<unsigned>(caching) << 1 | (writable ? 1u : 0u));
}

}  // namespace

Resources::Resources(TableBuffer& out, Block block)
    : out_(&out), block_(std::move(block)), size_at_(out.size()) {
  out.put(kBytePrefix, std::uint8_t{0});  // the size, patched by close()
}

void Resources::close() {
  if (block_.is_closed()) return;
  out_->put(std::uint8_t{0x79}, std::uint8_t{0});  // end tag; 0: no checksum
  if (!out_->failed()) {
    const std::size_t size = out_->size() - size_at_ - 2;
    if (size <= 0xff) {
      out_->patch(size_at_ + 1, static_cast<std::uint8_t>(size));
    } else if (size <= 0xffff) {
      out_->resize_gap(size_at_, 2, 3);
      out_->patch(size_at_, kWordPrefix);
      out_->patch(size_at_ + 1, static_cast<std::uint16_t>(size));
    } else {
      out_->resize_gap(size_at_, 2, 5);
      out_->patch(size_at_, kDwordPrefix);
      out_->patch(size_at_ + 1, static_cast<std::uint32_t>(size));
    }
  }
  block_.close();
}

void Resources::memory32_fixed(bool writable, std::uint32_t base, std::uint32_t length) {
  if (length != 0 && base > 0xffff'ffff - (length - 1)) return out_->fail(AcpiError::kBadRange);
  out_->put(std::uint8_t{0x86}, std::uint16_t{9}, static_cast<std::uint8_t>(writable), base,
            length);
}

void Resources::io(std::uint16_t first_base, std::uint16_t last_base, std::uint8_t alignment,
                   std::uint8_t length) {
  const unsigned last = 0u + last_base + (length == 0 ? 0u : length - 1u);
  if (first_base > last_base || last > 0xffff) return out_->fail(AcpiError::kBadRange);
  constexpr std::uint8_t kDecode16 = 1;
  out_->put(std::uint8_t{0x47}, kDecode16, first_base, last_base, alignment, length);
}

std::uint16_t Resources::irq_mask(std::initializer_list<std::uint8_t> numbers) {
  unsigned mask = 0;
  for (const std::uint8_t number : numbers) {
    if (number > 15) out_->fail(AcpiError::kBadInterrupt);
    mask |= 1u << (number & 15);
  }
  if (mask == 0) out_->fail(AcpiError::kBadInterrupt);
  return static_cast<std::uint16_t>(mask);
}

void Resources::irq(std::initializer_list<std::uint8_t> numbers, const InterruptRules& rules) {
  const auto flags = static_cast<std::uint8_t>((rules.edge ? 1 : 0) | (rules.active_low ? 8 : 0) |
                                               (rules.shared ? 16 : 0) | (rules.wake ? 32 : 0));
  out_->put(std::uint8_t{0x23}, irq_mask(numbers), flags);
}

void Resources::irq_no_flags(std::initializer_list<std::uint8_t> numbers) {
  out_->put(std::uint8_t{0x22}, irq_mask(numbers));
}

void Resources::interrupt(const InterruptRules& rules, std::span<const std::uint32_t> numbers) {
  if (numbers.empty() || numbers.size() > 255) return out_->fail(AcpiError::kBadInterrupt);
  out_->put(std::uint8_t{0x89}, static_cast<std::uint16_t>(2 + 4 * numbers.size()), flags_of(rules),
            static_cast<std::uint8_t>(numbers.size()));
  for (const std::uint32_t number : numbers) out_->put(number);
}

void Resources::register_at(const GenericAddress& address) {
  out_->put(std::uint8_t{0x82}, std::uint16_t{12});
  put(*out_, address);
}

template <class T>
void Resources::window(std::uint8_t kind, std::uint8_t flags, const AddressWindow<T>& window) {
  constexpr std::uint8_t kTag = sizeof(T) == 2 ? 0x88 : sizeof(T) == 4 ? 0x87 : 0x8a;
  constexpr std::uint8_t kFixedBounds = 0x0c;
  const T length = static_cast<T>(window.last - window.first + 1);
  // The length of the whole range wraps to 0: no descriptor can hold it.
  if (window.first > window.last || length == 0) return out_->fail(AcpiError::kBadRange);
  out_->put(kTag, static_cast<std::uint16_t>(3 + 5 * sizeof(T)), kind, kFixedBounds, flags, T{0},
            window.first, window.last, window.translation, length);
}

void Resources::bus_numbers(AddressWindow<std::uint16_t> range) { window(kBus, 0, range); }
void Resources::io_window(AddressWindow<std::uint16_t> range) { window(kIo, kEntireRange, range); }
void Resources::io_window32(AddressWindow<std::uint32_t> range) {
  window(kIo, kEntireRange, range);
}
void Resources::io_window64(AddressWindow<std::uint64_t> range) {
  window(kIo, kEntireRange, range);
}
void Resources::memory_window32(Caching caching, bool writable,
                                AddressWindow<std::uint32_t> range) {
  window(kMemory, memory_flags(caching, writable), range);
}
void Resources::memory_window64(Caching caching, bool writable,
                                AddressWindow<std::uint64_t> range) {
  window(kMemory, memory_flags(caching, writable), range);
}

}  // namespace vmm::acpi_tables
