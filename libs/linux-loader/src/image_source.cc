// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/linux_loader/image_source.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

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

Result<void> ImageSource::read_file(std::uint64_t offset, std::span<std::byte> to) const {
  for (std::uint64_t at = start_ + offset; !to.empty();) {
    const ssize_t n = ::pread(fd_, to.data(), to.size(), static_cast<off_t>(at));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail(Error::from_errno("read"));
    if (n == 0) return fail(LoadError::kTruncated);  // it shrank
    at += static_cast<std::uint64_t>(n);
    to = to.subspan(static_cast<std::size_t>(n));
  }
  return {};
}

Result<void> ImageSource::load_file(std::uint64_t offset, std::uint64_t bytes,
                                    vm_memory::MemoryView memory, GuestAddress at) const {
  const auto read = memory.read_from_file(fd_, start_ + offset, at, bytes);
  if (read) return {};
  if (!memory.check_range(at, bytes)) return fail(LoadError::kOutsideRam);
  if (read.error().is_os(ENODATA)) return fail(LoadError::kTruncated);
  return fail(read.error());
}

Result<OpenedImage> open_image(const std::string& path) {
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
  if (!fd) return fail(Error::from_errno("open"));
  VMM_TRY(const ImageSource source, ImageSource::from_fd(fd.get()));
  return OpenedImage{std::move(fd), source};
}

}  // namespace vmm::linux_loader
