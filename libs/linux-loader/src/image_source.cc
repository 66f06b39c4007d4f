// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/linux_loader/image_source.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "ram.h"
#include "vmm/base/checked.h"

namespace vmm::linux_loader {

ImageSource ImageSource::from_bytes(std::span<const std::byte> bytes) {
  return {bytes.data(), -1, bytes.size()};
}

Result<ImageSource> ImageSource::from_fd(int fd) {
  struct stat info{};
  if (::fstat(fd, &info) != 0) return fail(Error::from_errno("fstat"));
  if (!S_ISREG(info.st_mode)) return fail(LoadError::kNotAFile);
  return ImageSource(nullptr, fd, static_cast<std::uint64_t>(info.st_size));
}

Result<ImageSource> ImageSource::part(std::uint64_t offset, std::uint64_t bytes) const {
  if (!fits(offset, bytes, size_)) return fail(LoadError::kTruncated);
  ImageSource part = *this;
  part.size_ = bytes;
  if (fd_ >= 0) {
    part.start_ += offset;
  } else {
    part.data_ += offset;
  }
  return part;
}

Result<std::span<const std::byte>> ImageSource::peek(std::uint64_t offset,
                                                     std::span<std::byte> scratch) const {
  if (!fits<std::uint64_t>(offset, scratch.size(), size_)) return fail(LoadError::kTruncated);
  if (fd_ < 0) return std::span(data_ + offset, scratch.size());
  for (std::size_t done = 0; done < scratch.size();) {
    const ssize_t n = ::pread(fd_, scratch.data() + done, scratch.size() - done,
                              static_cast<off_t>(start_ + offset + done));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail(Error::from_errno("read"));
    if (n == 0) return fail(LoadError::kTruncated);  // it shrank
    done += static_cast<std::size_t>(n);
  }
  return std::span<const std::byte>(scratch);
}

Result<void> ImageSource::load(std::uint64_t offset, std::uint64_t bytes,
                               vm_memory::MemoryView memory, GuestAddress at) const {
  if (!fits(offset, bytes, size_)) return fail(LoadError::kTruncated);
  if (fd_ < 0) {
    if (!memory.write_bytes(at, {data_ + offset, bytes})) return fail(LoadError::kOutsideRam);
    return {};
  }
  VMM_TRY_DO(require_ram(memory, at, bytes));
  const auto read = memory.read_from_file(fd_, start_ + offset, at, bytes);
  if (read) return {};
  if (read.error().is_os(ENODATA)) return fail(LoadError::kTruncated);
  return fail(read.error());
}

}  // namespace vmm::linux_loader
