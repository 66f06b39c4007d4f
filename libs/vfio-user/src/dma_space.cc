// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/vfio_user/dma_space.h"

#include <sys/mman.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <utility>

#include "iova_map.h"
#include "vmm/sys_util/page_size.h"
#include "vmm/vm_memory/guest_slice.h"

namespace vmm::vfio_user {
namespace {

using vm_memory::GuestSlice;

template <class Entry>
std::uint64_t size_of(const Entry& entry) {
  return entry.bytes;
}

template <class Entry>
GuestSlice slice_of(const Entry& entry, std::uint64_t offset, std::size_t bytes) {
  return GuestSlice(std::span(entry.file.data + offset, bytes));
}

/// Calls move(iova, part of `bytes`, begin of all) for pieces that fit into a message.
template <class Byte, class Move>
Result<void> in_pieces(std::uint64_t iova, std::span<Byte> bytes, Move&& move,
                       std::optional<DmaSpace::Began>& began) {
  if (!began) began = std::chrono::steady_clock::now();
  while (!bytes.empty()) {
    const std::size_t part = std::min<std::size_t>(bytes.size(), kMaxData);
    VMM_TRY_DO(move(iova, bytes.first(part), *began));
    bytes = bytes.subspan(part);
    iova += part;
  }
  return {};
}

}  // namespace

Result<void> DmaSpace::add(const DmaMap& map, int fd) {
  if ((map.flags & ~(DmaMap::kRead | DmaMap::kWrite)) != 0 || map.flags == 0) {
    return fail(UserError::kBadFlags);
  }
  if (!is_range(map.iova, map.bytes)) return fail(UserError::kBadRange);
  if (entries_.size() >= kMaxDmaMaps) return fail(Error::os(ENOSPC, "VFIO_USER_DMA_MAP"));
  if (!is_free(entries_, map.iova, map.bytes, &size_of<Entry>)) {
    return fail(Error::os(EEXIST, "VFIO_USER_DMA_MAP"));
  }
  Entry entry{.bytes = map.bytes, .flags = map.flags, .file = {}};
  if (fd >= 0) {
    if ((map.iova | map.bytes | map.offset) % sys_util::page_size() != 0) {
      return fail(UserError::kBadRange);
    }
    const int protection = PROT_READ | ((map.flags & DmaMap::kWrite) != 0 ? PROT_WRITE : 0);
    VMM_TRY(entry.file, sys_util::map_file(fd, map.offset, map.bytes, protection));
  }
  entries_.emplace(map.iova, std::move(entry));
  return {};
}

Result<void> DmaSpace::remove(vfio::DmaSpan range) {
  const auto found = entries_.find(range.iova);
  if (found == entries_.end() || found->second.bytes != range.bytes) {
    return fail(Error::os(ENOENT, "VFIO_USER_DMA_UNMAP"));
  }
  entries_.erase(found);
  return {};
}

std::optional<vfio::DmaSpan> DmaSpace::first() const {
  if (entries_.empty()) return std::nullopt;
  const auto& [iova, entry] = *entries_.begin();
  return vfio::DmaSpan{.iova = iova, .bytes = entry.bytes};
}

Result<void> DmaSpace::read(std::uint64_t iova, std::span<std::byte> to) const {
  std::optional<Began> began;
  return for_each_part(entries_, iova, to.size(), &size_of<Entry>,
                       [&](const Entry& entry, std::uint64_t offset, std::size_t done,
                           std::size_t bytes) -> Result<void> {
                         if ((entry.flags & DmaMap::kRead) == 0) {
                           return fail(UserError::kNotMapped);
                         }
                         const auto part = to.subspan(done, bytes);
                         if (entry.file.data == nullptr) {
                           return in_pieces(iova + done, part, remote_.read, began);
                         }
                         slice_of(entry, offset, bytes).copy_to(part);
                         return {};
                       });
}

Result<void> DmaSpace::write(std::uint64_t iova, std::span<const std::byte> from) {
  std::optional<Began> began;
  return for_each_part(entries_, iova, from.size(), &size_of<Entry>,
                       [&](const Entry& entry, std::uint64_t offset, std::size_t done,
                           std::size_t bytes) -> Result<void> {
                         if ((entry.flags & DmaMap::kWrite) == 0) {
                           return fail(UserError::kNotWritable);
                         }
                         const auto part = from.subspan(done, bytes);
                         if (entry.file.data == nullptr) {
                           VMM_TRY_DO(in_pieces(iova + done, part, remote_.write, began));
                         } else {
                           slice_of(entry, offset, bytes).copy_from(part);
                         }
                         if (log_) log_->mark(iova + done, bytes);
                         return {};
                       });
}

void PageLog::mark(std::uint64_t iova, std::uint64_t bytes) {
  if (bytes == 0) return;
  const std::uint64_t last = (iova + (bytes - 1)) / kPageBytes;
  for (std::uint64_t page = iova / kPageBytes; page <= last && !all_; ++page) {
    const std::uint64_t base = page - page % kChunkPages;
    auto found = chunks_.find(base);
    if (found == chunks_.end()) {
      if (chunks_.size() >= kMaxChunks) {
        all_ = true;
        return;
      }
      found = chunks_.emplace(base, std::vector<std::uint64_t>(kChunkPages / 64)).first;
    }
    found->second[(page - base) / 64] |= std::uint64_t{1} << (page % 64);
  }
}

namespace {

/// Sets bits [first, last] of a bitmap.
void set_bits(std::span<std::uint64_t> bitmap, std::uint64_t first, std::uint64_t last) {
  for (std::uint64_t bit = first; bit <= last; ++bit) {
    bitmap[bit / 64] |= std::uint64_t{1} << (bit % 64);
  }
}

}  // namespace

void PageLog::take(vfio::DmaSpan range, std::uint64_t page_bytes, std::span<std::uint64_t> bitmap) {
  const std::uint64_t last = range.iova + (range.bytes - 1);
  if (all_) return set_bits(bitmap, 0, range.bytes / page_bytes - 1);
  const std::uint64_t first_page = range.iova / kPageBytes;
  auto chunk = chunks_.lower_bound(first_page - first_page % kChunkPages);
  for (; chunk != chunks_.end() && chunk->first <= last / kPageBytes; ++chunk) {
    for (std::size_t i = 0; i < chunk->second.size(); ++i) {
      for (std::uint64_t bits = chunk->second[i]; bits != 0; bits &= bits - 1) {
        const auto bit = static_cast<unsigned>(std::countr_zero(bits));
        const std::uint64_t page = (chunk->first + i * 64 + bit) * kPageBytes;
        const std::uint64_t from = std::max(page, range.iova);
        const std::uint64_t to = std::min(page + (kPageBytes - 1), last);
        if (from > to) continue;
        set_bits(bitmap, (from - range.iova) / page_bytes, (to - range.iova) / page_bytes);
        // A page that is only half in the range stays for the other half.
        if (from == page && to == page + (kPageBytes - 1)) {
          chunk->second[i] &= ~(std::uint64_t{1} << bit);
        }
      }
    }
  }
}

}  // namespace vmm::vfio_user
