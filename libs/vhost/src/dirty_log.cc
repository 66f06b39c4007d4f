// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/vhost/dirty_log.h"

#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <bit>

#include "uapi.h"
#include "vmm/base/guest_address.h"

namespace vmm::vhost {
namespace {

static_assert(DirtyLog::kPageBytes == VHOST_PAGE_SIZE);
static_assert(std::endian::native == std::endian::little, "bits of a word are those of its bytes");

constexpr std::uint64_t kPagesPerWord = 64;

std::uint64_t word_of(GuestAddress address) {
  return address.raw() / DirtyLog::kPageBytes / kPagesPerWord;
}

}  // namespace

Result<DirtyLog> DirtyLog::create(vm_memory::MemoryView memory) {
  if (memory.regions().empty()) return fail(VhostError::kNoRegions);
  const std::uint64_t words = word_of(memory.last_address()) + 1;
  VMM_TRY(auto mapping,
          sys_util::Mapping::create(words * sizeof(std::uint64_t),
                                    {.protection = PROT_READ | PROT_WRITE,
                                     .flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE}));
  return DirtyLog(std::move(mapping));
}

std::uint64_t DirtyLog::collect(vm_memory::MemoryView memory) const {
  const std::uint64_t words = mapping_.size() / sizeof(std::uint64_t);
  std::uint64_t pages = 0;
  std::uint64_t next = 0;  // a word that two regions share is looked at once
  for (const vm_memory::RegionSpan& region : memory.regions()) {
    if (region.host.empty()) continue;
    const std::uint64_t last = word_of(GuestAddress(region.base.raw() + (region.host.size() - 1)));
    for (std::uint64_t word = std::max(next, word_of(region.base)); word <= last && word < words;
         ++word) {
      pages += collect_word(word, memory);
    }
    next = last + 1;
  }
  return pages;
}

std::uint64_t DirtyLog::collect_word(std::uint64_t word, vm_memory::MemoryView memory) const {
  const std::atomic_ref<std::uint64_t> bits(
      reinterpret_cast<std::uint64_t*>(mapping_.data())[word]);
  if (bits.load(std::memory_order_relaxed) == 0) return 0;
  std::uint64_t pages = 0;
  for (std::uint64_t left = bits.exchange(0, std::memory_order_acquire); left != 0;
       left &= left - 1) {
    const std::uint64_t page = word * kPagesPerWord + static_cast<unsigned>(std::countr_zero(left));
    const GuestAddress address(page * kPageBytes);
    if (!memory.contains(address)) continue;
    memory.mark_dirty(address, kPageBytes);
    ++pages;
  }
  return pages;
}

}  // namespace vmm::vhost
