// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "file_calls.h"

#include <linux/falloc.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace vmm::block {

FileCalls file_calls;

namespace {

void record(const void* data, std::size_t bytes, off64_t offset) {
  if (!file_calls.recording || bytes == 0) return;
  const auto* const from = static_cast<const std::byte*>(data);
  file_calls.changes.push_back({.offset = static_cast<std::uint64_t>(offset),
                                .bytes = bytes,
                                .data = std::vector<std::byte>(from, from + bytes)});
}

/// The first `most` bytes of a list.
std::vector<iovec> first_of(const iovec* list, int count, std::size_t most) {
  std::vector<iovec> out(list, list + count);
  for (iovec& part : out) {
    part.iov_len = std::min(part.iov_len, most);
    most -= part.iov_len;
  }
  return out;
}

}  // namespace
}  // namespace vmm::block

using vmm::block::file_calls;

extern "C" ssize_t pread64(int fd, void* data, size_t bytes, off64_t offset) {
  ++file_calls.reads;
  if (file_calls.before_read) file_calls.before_read(static_cast<std::uint64_t>(offset));
  return ::syscall(SYS_pread64, fd, data, bytes, offset);
}
extern "C" ssize_t pwrite64(int fd, const void* data, size_t bytes, off64_t offset) {
  vmm::block::record(data, bytes, offset);
  return ::syscall(SYS_pwrite64, fd, data, bytes, offset);
}
extern "C" ssize_t pwritev64(int fd, const iovec* list, int count, off64_t offset) {
  const std::vector<iovec> parts = vmm::block::first_of(list, count, file_calls.most_written);
  off64_t at = offset;
  for (const iovec& part : parts) {
    vmm::block::record(part.iov_base, part.iov_len, at);
    at += static_cast<off64_t>(part.iov_len);
  }
  return ::syscall(SYS_pwritev, fd, parts.data(), count, offset, 0);
}
extern "C" int fallocate64(int fd, int mode, off64_t offset, off64_t bytes) {
  const auto done = static_cast<int>(::syscall(SYS_fallocate, fd, mode, offset, bytes));
  if (file_calls.recording && done == 0 && mode != FALLOC_FL_KEEP_SIZE) {
    file_calls.changes.push_back(
        {.offset = static_cast<std::uint64_t>(offset), .bytes = static_cast<std::uint64_t>(bytes)});
  }
  return done;
}
extern "C" int fdatasync(int fd) {
  if (file_calls.failing_syncs != 0) {
    --file_calls.failing_syncs;
    errno = EIO;
    return -1;
  }
  if (file_calls.recording) file_calls.changes.push_back({.sync = true});
  return static_cast<int>(::syscall(SYS_fdatasync, fd));
}
