// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/vhost_user/dirty_log.h"

#include <sys/mman.h>

#include <array>
#include <bit>
#include <utility>

#include "file_range.h"

namespace vmm::vhost_user {
namespace {

constexpr std::size_t kWordsAtOnce = 1024;  // of the bitmap of a region

}  // namespace

static_assert(kLogPageBytes == vm_memory::DirtyBitmap::kDefaultPageBytes);

Result<DirtyLog> DirtyLog::map(const LogArea& area, const UniqueFd& fd) {
  VMM_TRY(auto mapped, as_message_error(sys_util::map_file(fd.get(), area.mmap_offset, area.bytes,
                                                           PROT_READ | PROT_WRITE)));
  return DirtyLog(std::move(mapped), area.bytes);
}

bool DirtyLog::covers(const vm_memory::RegionMap& memory) const {
  if (memory.regions().empty()) return true;
  return covers(memory.regions().back()->last_address());
}

bool DirtyLog::covers(GuestAddress address) const {
  return address.raw() / kLogPageBytes / 8 < bytes_;
}

void DirtyLog::mark_page(std::uint64_t page) const {
  if (page / 8 >= bytes_) return;
  auto* const byte =
      reinterpret_cast<unsigned char*>(mapped_.data + static_cast<std::size_t>(page / 8));
  __atomic_fetch_or(byte, static_cast<unsigned char>(1u << (page % 8)), __ATOMIC_RELEASE);
}

void DirtyLog::mark(std::uint64_t address, std::uint64_t bytes) const {
  if (bytes == 0) return;
  const std::uint64_t first = address / kLogPageBytes;
  const std::uint64_t pages = (address % kLogPageBytes + bytes - 1) / kLogPageBytes + 1;
  for (std::uint64_t page = first; page - first < pages && page / 8 < bytes_; ++page) {
    mark_page(page);
  }
}

void DirtyLog::collect(const vm_memory::RegionMap& memory) const {
  for (const auto& region : memory.regions()) {
    if (region->dirty() == nullptr) continue;
    const std::uint64_t first = region->base().raw() / kLogPageBytes;
    std::array<std::uint64_t, kWordsAtOnce> words;
    for (std::size_t at = 0; at < region->dirty()->word_count(); at += words.size()) {
      if (region->dirty()->get_and_reset(words, at) != 0) mark_words(first + 64 * at, words);
    }
  }
}

void DirtyLog::mark_words(std::uint64_t first, std::span<const std::uint64_t> words) const {
  for (std::size_t i = 0; i < words.size(); ++i) {
    for (std::uint64_t word = words[i]; word != 0; word &= word - 1) {
      mark_page(first + 64 * i + static_cast<unsigned>(std::countr_zero(word)));
    }
  }
}

}  // namespace vmm::vhost_user
