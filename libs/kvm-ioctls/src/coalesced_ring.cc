// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/kvm_ioctls/coalesced_ring.h"

#include <cerrno>
#include <cstring>

#include "uapi_extra.h"
#include "vmm/kvm_ioctls/error.h"

namespace vmm::kvm_ioctls {

namespace {

// The kernel's structure has its entries as a flexible array.
constexpr std::size_t kHeader = sizeof(kvm_coalesced_mmio_ring);
static_assert(kHeader == 8);
static_assert(offsetof(kvm_coalesced_mmio_ring, last) == 4);

}  // namespace

std::size_t CoalescedRing::slots() const {
  if (page_.size() < kHeader) return 0;
  return (page_.size() - kHeader) / sizeof(kvm_coalesced_mmio);
}

Result<std::optional<CoalescedWrite>> CoalescedRing::next() {
  if (page_.data() == nullptr) return fail(Error::os(EIO, "the coalesced ring is not mapped"));
  auto* first_word = reinterpret_cast<std::uint32_t*>(page_.data());
  const std::uint32_t first = *first_word;  // ours: KVM only reads it
  // Acquire: the entry is read after the index that publishes it; KVM's partner is the write
  // barrier between an entry and `last`.
  const std::uint32_t last = __atomic_load_n(first_word + 1, __ATOMIC_ACQUIRE);
  const std::size_t count = slots();
  if (first >= count || last >= count) return fail(KvmError::kBadRing);
  if (first == last) return std::optional<CoalescedWrite>();

  kvm_coalesced_mmio entry;
  std::memcpy(&entry, page_.data() + kHeader + first * sizeof(entry), sizeof(entry));
  if (entry.len > sizeof(entry.data)) return fail(KvmError::kBadRing);
  CoalescedWrite write{
      .address = entry.phys_addr, .pio = entry.pio == 1, .bytes = entry.len, .data = {}};
  std::memcpy(write.data.data(), entry.data, sizeof(entry.data));
  // Release: KVM reuses the entry only after it was copied.
  const std::uint32_t next = first + 1 == count ? 0 : first + 1;
  __atomic_store_n(first_word, next, __ATOMIC_RELEASE);
  return std::optional<CoalescedWrite>(write);
}

}  // namespace vmm::kvm_ioctls
