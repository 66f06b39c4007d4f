// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "word_table.h"

#include <algorithm>
#include <span>

#include "file_parts.h"
#include "qcow2_format.h"
#include "vmm/sys_util/file_io.h"

namespace vmm::block {
namespace {

constexpr std::size_t kWordsPerSector = 64;
constexpr std::size_t kChunkWords = 8192;

}  // namespace

Result<WordTable> WordTable::load(int fd, std::uint64_t offset, std::size_t words) {
  WordTable table;
  table.offset_ = offset;
  // As far as the file goes: nobody gets memory for a table that is not there.
  std::vector<std::byte> chunk;
  while (table.words_.size() < words) {
    const std::size_t count = std::min(words - table.words_.size(), kChunkWords);
    chunk.resize(count * qcow2::kWord);
    VMM_TRY_DO(read_all(fd, chunk, offset + table.bytes()));
    for (std::size_t i = 0; i < count; ++i) {
      table.words_.push_back(qcow2::load_be<std::uint64_t>(&chunk[i * qcow2::kWord]));
    }
  }
  return table;
}

void WordTable::set(std::size_t index, std::uint64_t word) {
  words_[index] = word;
  dirty_.insert(index / kWordsPerSector);
}

Result<void> WordTable::write_words(int fd, std::size_t first, std::size_t count) const {
  std::vector<std::byte> bytes(count * qcow2::kWord);
  for (std::size_t i = 0; i < count; ++i) {
    qcow2::store_be(&bytes[i * qcow2::kWord], words_[first + i]);
  }
  return sys_util::pwrite_all(fd, bytes, offset_ + first * qcow2::kWord);
}

Result<void> WordTable::write_dirty(int fd) {
  while (!dirty_.empty()) {
    const std::size_t first = *dirty_.begin() * kWordsPerSector;
    VMM_TRY_DO(write_words(fd, first, std::min(kWordsPerSector, words_.size() - first)));
    dirty_.erase(dirty_.begin());
  }
  return {};
}

Result<void> WordTable::move_to(int fd, std::uint64_t offset) {
  offset_ = offset;
  for (std::size_t first = 0; first < words_.size(); first += kChunkWords) {
    VMM_TRY_DO(write_words(fd, first, std::min(kChunkWords, words_.size() - first)));
  }
  dirty_.clear();
  return {};
}

}  // namespace vmm::block
