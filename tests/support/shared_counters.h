// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>

#include "vmm/base/unique_fd.h"
#include "vmm/sys_util/file_io.h"

extern "C" {
[[gnu::weak]] void __gcov_exit();  // NOLINT: of coverage builds
extern char __data_start;          // NOLINT: the linker's
extern char _end;                  // NOLINT
}

namespace vmm {

/// In coverage builds, has the lines count that children of this process run: they end by filters,
/// or may no longer write files. From then on children share this program's variables, and so the
/// counters. Precondition: this process has one thread.
inline void share_counters() {
  static bool shared = false;
  if (shared || __gcov_exit == nullptr) return;
  shared = true;
  const auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
  const auto up = [page](const char& at) {
    return (reinterpret_cast<std::uintptr_t>(&at) + page - 1) / page * page;
  };
  auto* const begin = reinterpret_cast<std::byte*>(up(__data_start));
  const std::size_t bytes = up(_end) - up(__data_start);
  const UniqueFd file(::memfd_create("variables", MFD_CLOEXEC));
  if (!sys_util::pwrite_all(file.get(), {begin, bytes}, 0)) return;
  (void)::mmap(begin, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, file.get(), 0);
}

}  // namespace vmm
