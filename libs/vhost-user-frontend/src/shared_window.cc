// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/vhost_user_frontend/shared_window.h"

#include <sys/mman.h>
#include <sys/stat.h>

#include <cerrno>
#include <iterator>

#include "vmm/base/checked.h"
#include "vmm/sys_util/file_mapping.h"
#include "vmm/sys_util/page_size.h"
#include "vmm/vhost_user/message_error.h"

namespace vmm::vhost_user_frontend {
namespace {

using vhost_user::MessageError;
using vhost_user::ShmemArea;

constexpr int kFresh = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;

bool whole_pages(std::uint64_t number) { return number % sys_util::page_size() == 0; }

/// The drivers of other files would have a say in what a mapping does; and of huge pages the kernel
/// maps whole ones, which is more than what was checked.
bool is_mappable(const UniqueFd& file) {
  struct stat status{};
  return ::fstat(file.get(), &status) == 0 && S_ISREG(status.st_mode) &&
         !sys_util::has_huge_pages(file.get());
}

}  // namespace

Result<std::unique_ptr<SharedWindow>> SharedWindow::create(std::uint64_t bytes) {
  const auto size = checked_cast<std::size_t>(bytes);
  if (!size || bytes == 0 || !whole_pages(bytes)) {
    return fail(Error::os(EINVAL, "shared memory window: size"));
  }
  void* const at = ::mmap(nullptr, *size, PROT_READ | PROT_WRITE, kFresh, -1, 0);
  if (at == MAP_FAILED) return fail(Error::from_errno("mmap"));
  (void)::madvise(at, *size, MADV_DONTDUMP);
  return std::unique_ptr<SharedWindow>(new SharedWindow({static_cast<std::byte*>(at), *size}));
}

SharedWindow::~SharedWindow() { (void)::munmap(bytes_.data(), bytes_.size()); }

bool SharedWindow::is_free(std::uint64_t offset, std::uint64_t bytes) const {
  const auto next = mapped_.lower_bound(offset);
  if (next != mapped_.end() && next->first < offset + bytes) return false;
  if (next == mapped_.begin()) return true;
  const auto& [before, length] = *std::prev(next);
  return before + length <= offset;
}

// It is mapped elsewhere and then moved: what can go wrong with a file does so where no addresses
// of the window are without a mapping for a moment, which another thread's mapping might take.
Result<void> SharedWindow::map(const ShmemArea& area, const UniqueFd& file) {
  if (area.bytes == 0 || !whole_pages(area.offset) || !whole_pages(area.bytes) ||
      !whole_pages(area.fd_offset) ||
      !fits(area.offset, area.bytes, std::uint64_t{bytes_.size()})) {
    return fail(MessageError::kBadRange);
  }
  const auto file_offset = checked_cast<off_t>(area.fd_offset);
  if (!file_offset) return fail(MessageError::kBadRange);
  if (!is_mappable(file)) return fail(MessageError::kBadValue);
  const MutexLock lock(mutex_);
  if (!is_free(area.offset, area.bytes)) return fail(MessageError::kOverlap);
  if (mapped_.size() == kMostMappings) return fail(MessageError::kTooMany);
  const int writable = (area.flags & ShmemArea::kWritable) != 0 ? PROT_WRITE : 0;
  void* const elsewhere =
      ::mmap(nullptr, area.bytes, PROT_READ | writable, MAP_SHARED, file.get(), *file_offset);
  if (elsewhere == MAP_FAILED) return fail(Error::from_errno("mmap"));
  if (::mremap(elsewhere, area.bytes, area.bytes, MREMAP_MAYMOVE | MREMAP_FIXED,
               bytes_.data() + area.offset) == MAP_FAILED) {
    const Error error = Error::from_errno("mremap");
    (void)::munmap(elsewhere, area.bytes);
    // Who could not make it whole leaves it taken, for unmap().
    if (!vacate(area.offset, area.bytes)) mapped_.emplace(area.offset, area.bytes);
    return fail(error);
  }
  mapped_.emplace(area.offset, area.bytes);
  return {};
}

Result<void> SharedWindow::unmap(const ShmemArea& area) {
  const MutexLock lock(mutex_);
  const auto found = mapped_.find(area.offset);
  if (found == mapped_.end() || found->second != area.bytes) return fail(MessageError::kBadRange);
  VMM_TRY_DO(vacate(area.offset, area.bytes));
  mapped_.erase(found);
  return {};
}

void SharedWindow::clear() {
  const MutexLock lock(mutex_);
  if (vacate(0, bytes_.size())) mapped_.clear();
}

std::size_t SharedWindow::mappings() {
  const MutexLock lock(mutex_);
  return mapped_.size();
}

Result<void> SharedWindow::vacate(std::uint64_t offset, std::uint64_t bytes) {
  void* const at = bytes_.data() + offset;
  if (::mmap(at, bytes, PROT_READ | PROT_WRITE, kFresh | MAP_FIXED, -1, 0) == MAP_FAILED) {
    return fail(Error::from_errno("mmap"));
  }
  (void)::madvise(at, bytes, MADV_DONTDUMP);
  return {};
}

}  // namespace vmm::vhost_user_frontend
