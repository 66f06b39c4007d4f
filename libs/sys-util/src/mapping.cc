// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/sys_util/mapping.h"

#include <sys/mman.h>

#include <cerrno>
#include <limits>
#include <utility>

namespace vmm::sys_util {

Mapping::Mapping(Mapping&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

Mapping& Mapping::operator=(Mapping&& other) noexcept {
  Mapping old(std::move(other));
  std::swap(data_, old.data_);
  std::swap(size_, old.size_);
  return *this;
}

Mapping::~Mapping() {
  if (data_ != nullptr) ::munmap(data_, size_);
}

Result<Mapping> Mapping::create(std::size_t bytes, const Options& options) {
  constexpr auto kMaxOffset = static_cast<std::uint64_t>(std::numeric_limits<off_t>::max());
  if ((options.flags & MAP_FIXED) != 0 || options.offset > kMaxOffset) {
    return fail(Error::os(EINVAL, "mmap"));
  }
  void* at = ::mmap(nullptr, bytes, options.protection, options.flags, options.fd,
                    static_cast<off_t>(options.offset));
  if (at == MAP_FAILED) return fail(Error::from_errno("mmap"));
  return Mapping(static_cast<std::byte*>(at), bytes);
}

}  // namespace vmm::sys_util
