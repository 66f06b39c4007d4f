// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/vfio/kernel.h"

#include <fcntl.h>
#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <system_error>

#include "vmm/sys_util/file_io.h"

namespace vmm::vfio {

Result<void> Kernel::read(int fd, std::span<std::byte> bytes, std::uint64_t offset) {
  return sys_util::pread_exact(fd, bytes, offset);
}

Result<void> Kernel::write(int fd, std::span<const std::byte> bytes, std::uint64_t offset) {
  return sys_util::pwrite_all(fd, bytes, offset);
}

Result<sys_util::Mapping> Kernel::map(int fd, std::size_t bytes, int protection,
                                      std::uint64_t offset) {
  return sys_util::Mapping::create(
      bytes, {.protection = protection, .flags = MAP_SHARED, .fd = fd, .offset = offset});
}

namespace {

class HostKernel final : public Kernel {
 public:
  Result<UniqueFd> open(const std::string& path) override {
    UniqueFd fd(::open(path.c_str(), O_RDWR | O_CLOEXEC));
    if (!fd) return fail(Error::from_errno("open a VFIO device"));
    return fd;
  }

  Result<int> ioctl(int fd, sys_util::IoctlRequest request, std::uintptr_t argument) override {
    for (;;) {
      auto answer = sys_util::ioctl(fd, request, argument);
      if (answer || !answer.error().is_os(EINTR)) return answer;
    }
  }

  Result<std::string> resolve(const std::string& path) override {
    const std::unique_ptr<char, decltype(&std::free)> real(::realpath(path.c_str(), nullptr),
                                                           &std::free);
    if (real == nullptr) return fail(Error::from_errno("find a VFIO device in sysfs"));
    return std::string(real.get());
  }

  Result<std::vector<std::string>> list(const std::string& folder) override {
    std::vector<std::string> names;
    std::error_code error;
    for (std::filesystem::directory_iterator entry(folder, error), end; !error && entry != end;
         entry.increment(error)) {
      names.push_back(entry->path().filename().string());
    }
    if (error) return fail(Error::os(error.value(), "look for a VFIO device in sysfs"));
    std::ranges::sort(names);
    return names;
  }
};

}  // namespace

Kernel& host_kernel() {
  static HostKernel kernel;
  return kernel;
}

}  // namespace vmm::vfio
