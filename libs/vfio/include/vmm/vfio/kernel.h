// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "vmm/base/result.h"
#include "vmm/base/unique_fd.h"
#include "vmm/sys_util/ioctl.h"
#include "vmm/sys_util/mapping.h"

namespace vmm::vfio {

/// What this library asks of the operating system. testing::ScriptedKernel is another one, for
/// tests; a device that another process serves (vfio-user) is behind one of its own.
///
/// Threads: any, as far as the descriptors allow it.
class Kernel {
 public:
  virtual ~Kernel() = default;

  /// Opens a device for reading and writing. Errors: those of open(2).
  virtual Result<UniqueFd> open(const std::string& path) = 0;
  /// Errors: those of ioctl(2) but EINTR.
  virtual Result<int> ioctl(int fd, sys_util::IoctlRequest request, std::uintptr_t argument) = 0;
  /// Where a link leads, with all links on the way followed. Errors: those of realpath(3).
  virtual Result<std::string> resolve(const std::string& path) = 0;
  /// The names in a folder, sorted. Errors: those of opendir(3).
  virtual Result<std::vector<std::string>> list(const std::string& folder) = 0;

  /// @{
  /// Reads and writes bytes of a device's regions, of which each has its place in the descriptor.
  /// Errors: ENODATA when the device gives fewer; those of pread(2) and pwrite(2).
  virtual Result<void> read(int fd, std::span<std::byte> bytes, std::uint64_t offset);
  virtual Result<void> write(int fd, std::span<const std::byte> bytes, std::uint64_t offset);
  /// @}
  /// Maps bytes of a region; `protection` is PROT_*. Errors: those of mmap(2).
  virtual Result<sys_util::Mapping> map(int fd, std::size_t bytes, int protection,
                                        std::uint64_t offset);

  /// @{
  /// The same with a structure, which the request reads or fills in.
  Result<int> ioctl(int fd, sys_util::IoctlRequest request, void* argument) {
    return ioctl(fd, request, reinterpret_cast<std::uintptr_t>(argument));
  }
  Result<int> ioctl(int fd, sys_util::IoctlRequest request, const void* argument) {
    return ioctl(fd, request, reinterpret_cast<std::uintptr_t>(argument));
  }
  /// @}

 protected:
  Kernel() = default;
  /// @{
  /// For derived classes alone.
  Kernel(const Kernel&) = default;
  Kernel& operator=(const Kernel&) = default;
  /// @}
};

/// The host's own.
Kernel& host_kernel();

}  // namespace vmm::vfio
