// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "postcopy.h"

#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>

#ifndef USERFAULTFD_IOC_NEW
#define USERFAULTFD_IOC_NEW _IO(0xAA, 0x00)  // Linux 6.1
#endif

namespace vmm::vhost_user_backend {
namespace {

uffdio_range range_of(std::span<std::byte> range) {
  return {.start = reinterpret_cast<std::uintptr_t>(range.data()), .len = range.size()};
}

constexpr int kFlags = O_CLOEXEC | O_NONBLOCK;

/// By the system call where that is allowed, else by the device, whose rights can be given away.
Result<UniqueFd> make_userfaultfd() {
  UniqueFd fd(static_cast<int>(::syscall(SYS_userfaultfd, kFlags)));
  if (fd) return fd;
  const Error error = Error::from_errno("userfaultfd");
  const UniqueFd device(::open("/dev/userfaultfd", O_RDWR | O_CLOEXEC));
  if (device) fd.reset(::ioctl(device.get(), USERFAULTFD_IOC_NEW, kFlags));
  if (!fd) return fail(error);
  return fd;
}

}  // namespace

Result<Postcopy> Postcopy::open() {
  VMM_TRY(UniqueFd fd, make_userfaultfd());
  uffdio_api api{};
  api.api = UFFD_API;
  if (::ioctl(fd.get(), UFFDIO_API, &api) != 0) return fail(Error::from_errno("UFFDIO_API"));
  constexpr std::uint64_t kNeeded = UFFD_FEATURE_MISSING_SHMEM | UFFD_FEATURE_MISSING_HUGETLBFS;
  if ((api.features & kNeeded) != kNeeded) return fail(Error::os(ENOTSUP, "userfaultfd"));
  return Postcopy(std::move(fd));
}

Postcopy::~Postcopy() {
  for (const std::span<std::byte> range : watched_) {
    uffdio_range ask = range_of(range);
    (void)::ioctl(fd_.get(), UFFDIO_UNREGISTER, &ask);
  }
}

Result<void> Postcopy::watch(std::span<std::byte> range) {
  uffdio_register ask{};
  ask.range = range_of(range);
  ask.mode = UFFDIO_REGISTER_MODE_MISSING;
  if (::ioctl(fd_.get(), UFFDIO_REGISTER, &ask) != 0) {
    return fail(Error::from_errno("UFFDIO_REGISTER"));
  }
  watched_.push_back(range);
  return {};
}

}  // namespace vmm::vhost_user_backend
