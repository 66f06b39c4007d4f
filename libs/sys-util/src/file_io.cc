// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/sys_util/file_io.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <limits>

namespace vmm::sys_util {
namespace {

/// Repeats `step(done)`, which answers like read(2), until `size` bytes are done or it answers 0.
template <class Step>
Result<std::size_t> repeat(std::size_t size, const char* what, Step step) {
  std::size_t done = 0;
  while (done < size) {
    const ssize_t moved = step(done);
    if (moved == 0) break;
    if (moved > 0) {
      done += static_cast<std::size_t>(moved);
    } else if (errno != EINTR) {
      return fail(Error::from_errno(what));
    }
  }
  return done;
}

/// Whether every byte from `offset` on has an offset that off_t can hold.
bool addressable(std::uint64_t offset, std::size_t size) {
  constexpr auto kMax = static_cast<std::uint64_t>(std::numeric_limits<off_t>::max());
  return offset <= kMax && size <= kMax - offset;
}

}  // namespace

Result<std::size_t> read_full(int fd, std::span<std::byte> bytes) {
  return repeat(bytes.size(), "read", [&](std::size_t done) {
    return ::read(fd, bytes.data() + done, bytes.size() - done);
  });
}

Result<std::size_t> pread_full(int fd, std::span<std::byte> bytes, std::uint64_t offset,
                               const char* what) {
  if (!addressable(offset, bytes.size())) return fail(Error::os(EINVAL, what));
  return repeat(bytes.size(), what, [&](std::size_t at) {
    return ::pread(fd, bytes.data() + at, bytes.size() - at, static_cast<off_t>(offset + at));
  });
}

Result<void> pread_exact(int fd, std::span<std::byte> bytes, std::uint64_t offset,
                         const char* what) {
  VMM_TRY(const std::size_t done, pread_full(fd, bytes, offset, what));
  if (done != bytes.size()) return fail(Error::os(ENODATA, what));
  return {};
}

Result<void> write_all(int fd, std::span<const std::byte> bytes) {
  VMM_TRY(const std::size_t done, repeat(bytes.size(), "write", [&](std::size_t at) {
            return ::write(fd, bytes.data() + at, bytes.size() - at);
          }));
  if (done != bytes.size()) return fail(Error::os(EIO, "write"));  // a write of 0 bytes
  return {};
}

Result<void> pwrite_all(int fd, std::span<const std::byte> bytes, std::uint64_t offset) {
  if (!addressable(offset, bytes.size())) return fail(Error::os(EINVAL, "pwrite"));
  VMM_TRY(const std::size_t done, repeat(bytes.size(), "pwrite", [&](std::size_t at) {
            return ::pwrite(fd, bytes.data() + at, bytes.size() - at,
                            static_cast<off_t>(offset + at));
          }));
  if (done != bytes.size()) return fail(Error::os(EIO, "pwrite"));
  return {};
}

Result<std::vector<std::byte>> read_to_end(int fd, std::size_t limit) {
  constexpr std::size_t kStep = 64 * 1024;
  std::vector<std::byte> bytes;
  for (;;) {
    // One byte more than the limit tells a file of exactly that size from a larger one.
    const std::size_t before = bytes.size();
    const std::size_t step = std::min(std::max(kStep, before), limit - before);
    bytes.resize(before + step + (step == limit - before ? 1 : 0));
    VMM_TRY(const std::size_t got, read_full(fd, std::span(bytes).subspan(before)));
    const bool full = before + got == bytes.size();
    bytes.resize(before + got);
    if (bytes.size() > limit) return fail(Error::os(EFBIG, "read"));
    if (!full) return bytes;
  }
}

}  // namespace vmm::sys_util
