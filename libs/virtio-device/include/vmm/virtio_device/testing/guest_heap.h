// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

// Guest RAM for tests of devices, and who uses which part of it.

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string_view>
#include <vector>

#include "vmm/base/guest_address.h"
#include "vmm/vm_memory/guest_memory.h"

namespace vmm::virtio_device::testing {

using Bytes = std::vector<std::byte>;  ///< of a test's own, not of the guest

/// The bytes of a structure of guest memory.
template <vm_memory::GuestValue T>
[[nodiscard]] Bytes bytes_of(const T& value) {
  const auto bytes = std::as_bytes(std::span(&value, 1));
  return {bytes.begin(), bytes.end()};
}
/// The characters, without a zero behind.
[[nodiscard]] inline Bytes bytes_of(std::string_view text) {
  const auto bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
}

/// One region of RAM, with holes below and above it, of which parts are given out and taken back.
class GuestHeap {
 public:
  static constexpr std::uint64_t kBase = 0x1'0000;  ///< the guest-physical address where RAM begins

  /// `shared`: in a memfd, for other processes. `external`: the RAM, if it is the caller's own;
  /// page-aligned, and there as long as this object.
  explicit GuestHeap(std::uint64_t bytes, bool dirty_tracking = false, bool shared = false,
                     std::byte* external = nullptr)
      : end_(kBase + bytes), memory_(make(bytes, dirty_tracking, shared, external)) {}

  /// For who only reads the map.
  [[nodiscard]] const vm_memory::GuestMemory& memory() const { return memory_; }
  /// To be replaced by what a driver does to an IOMMU, say.
  [[nodiscard]] vm_memory::GuestMemory& memory() { return memory_; }
  /// All of the RAM; valid until memory() is changed.
  [[nodiscard]] vm_memory::MemoryView view() const { return memory_.view(); }
  /// The first address above RAM.
  [[nodiscard]] GuestAddress end() const { return GuestAddress(end_); }

  /// RAM of at least `bytes` bytes, aligned to 64, or to a page when it is one or more. When there
  /// is none left, an address outside of RAM.
  [[nodiscard]] GuestAddress take(std::uint64_t bytes) {
    const std::uint64_t size = rounded(bytes);
    std::vector<std::uint64_t>& free = free_[size];
    if (!free.empty()) {
      const std::uint64_t at = free.back();
      free.pop_back();
      return GuestAddress(at);
    }
    if (size >= kPage) next_ = (next_ + kPage - 1) & ~(kPage - 1);
    if (next_ > end_ || size > end_ - next_) {
      ran_out_ = true;
      return end();
    }
    const std::uint64_t at = next_;
    next_ += size;
    return GuestAddress(at);
  }
  /// Whether take() ever had none left.
  [[nodiscard]] bool ran_out() const { return ran_out_; }
  /// Takes back what take(bytes) gave.
  void give_back(GuestAddress at, std::uint64_t bytes) {
    if (at != end()) free_[rounded(bytes)].push_back(at.raw());
  }
  /// take() and a copy of `bytes` there.
  [[nodiscard]] GuestAddress put(std::span<const std::byte> bytes) {
    const GuestAddress at = take(bytes.size());
    (void)view().write_bytes(at, bytes);
    return at;
  }
  /// What is there now; shorter where RAM ends.
  [[nodiscard]] Bytes read(GuestAddress at, std::size_t bytes) const {
    Bytes data(bytes);
    const auto got = view().read_some(at, data);
    data.resize(got ? *got : 0);
    return data;
  }

 private:
  static constexpr std::uint64_t kPage = 4096;
  static constexpr std::uint64_t kLine = 64;

  static vm_memory::GuestMemory make(std::uint64_t bytes, bool dirty_tracking, bool shared,
                                     std::byte* external) {
    const auto backing = shared                ? vm_memory::Backing::kMemfd
                         : external != nullptr ? vm_memory::Backing::kExternal
                                               : vm_memory::Backing::kAnonymous;
    const vm_memory::RegionConfig ram{.base = GuestAddress(kBase),
                                      .bytes = bytes,
                                      .backing = backing,
                                      .external = external,
                                      .dirty_tracking = dirty_tracking};
    return *vm_memory::GuestMemory::create({&ram, 1});
  }
  static std::uint64_t rounded(std::uint64_t bytes) {
    return bytes == 0 ? kLine : (bytes + kLine - 1) & ~(kLine - 1);
  }

  std::uint64_t end_;
  std::uint64_t next_ = kBase;
  bool ran_out_ = false;
  std::map<std::uint64_t, std::vector<std::uint64_t>> free_;  // by size
  vm_memory::GuestMemory memory_;
};

}  // namespace vmm::virtio_device::testing
