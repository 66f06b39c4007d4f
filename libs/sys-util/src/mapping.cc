// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/sys_util/mapping.h"

#include <sys/mman.h>

#include <cerrno>
#include <cstdint>
#include <limits>
#include <optional>
#include <utility>

#include "vmm/base/checked.h"
#include "vmm/sys_util/page_size.h"

namespace vmm::sys_util {
namespace {

bool is_place(const Mapping::Options& options) {
  return is_power_of_two(options.alignment) && options.phase < options.alignment &&
         options.phase % page_size() == 0;
}

/// How far it is from `at` up to the next address where `options` want the mapping.
std::size_t bytes_to_phase(const std::byte* at, const Mapping::Options& options) {
  return (options.phase - reinterpret_cast<std::uintptr_t>(at)) & (options.alignment - 1);
}

}  // namespace

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
  const bool anywhere = options.alignment == 0;
  if ((options.flags & MAP_FIXED) != 0 || options.offset > kMaxOffset ||
      (anywhere ? options.phase != 0 : !is_place(options))) {
    return fail(Error::os(EINVAL, "mmap"));
  }
  {
    // Newer kernels align what is large by themselves, so try first.
    VMM_TRY(Mapping mapping, map(nullptr, bytes, options));
    if (anywhere || bytes_to_phase(mapping.data(), options) == 0) return mapping;
  }
  return map_aligned(bytes, options);
}

/// mmap(2), at an address that is ours already or anywhere.
Result<Mapping> Mapping::map(void* at, std::size_t bytes, const Options& options) {
  const int flags = options.flags | (at != nullptr ? MAP_FIXED : 0);
  void* const data =
      ::mmap(at, bytes, options.protection, flags, options.fd, static_cast<off_t>(options.offset));
  if (data == MAP_FAILED) return fail(Error::from_errno("mmap"));
  return Mapping(static_cast<std::byte*>(data), bytes);
}

/// Takes room for the range wherever the alignment puts it, maps there, and gives back the rest.
Result<Mapping> Mapping::map_aligned(std::size_t bytes, const Options& options) {
  const std::optional<std::size_t> pages = align_up(bytes, page_size());
  const std::optional<std::size_t> all =
      pages ? checked_add(*pages, options.alignment) : std::nullopt;
  if (!all) return fail(Error::os(ENOMEM, "mmap"));
  VMM_TRY(Mapping room,
          map(nullptr, *all,
              {.protection = PROT_NONE, .flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE}));
  const std::size_t before = bytes_to_phase(room.data(), options);
  VMM_TRY(Mapping mapping, map(room.data() + before, bytes, options));
  // From here on the room's middle is the mapping's.
  std::byte* const start = std::exchange(room.data_, nullptr);
  const std::size_t after = options.alignment - before;
  if (before != 0) ::munmap(start, before);
  if (after != 0) ::munmap(start + before + *pages, after);
  return mapping;
}

}  // namespace vmm::sys_util
