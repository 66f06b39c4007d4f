// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "vmm/base/mutex.h"
#include "vmm/vfio/kernel.h"
#include "vmm/vfio_user/client.h"

namespace vmm::vfio_user {

/// Called with the eventfd by which the first interrupt of a kind is to be unmasked from now on;
/// -1: by none, before the last one is closed. Somebody has to wait on it and then call
/// Client::unmask_irq(): the kernel does that for devices of its own. It waits for the server, so
/// it is not for a thread that the server may need for an answer (Client::serve()).
using UnmaskHook =
    std::function<Result<void>(const std::shared_ptr<Client>& client, std::uint32_t index, int fd)>;

/// A VFIO device whose kernel is a vfio-user server: with it, vfio::Device is a device of another
/// process, and what uses devices need not know.
///
/// Not to be had, ENOTTY or ENOTSUP: ioeventfds that the client chooses (see Client::io_events()),
/// resets of a bus, descriptors that unmask without an UnmaskHook, and state behind descriptors:
/// set_migration_state() gives none, Client::read_migration() and write_migration() are instead.
///
/// A file that the server gives for a region is mapped only as far as it reaches. A server that
/// truncates it later ends this process with SIGBUS.
///
/// Threads: as vfio::Device.
class RemoteKernel final : public vfio::Kernel {
 public:
  /// `hook` is called for descriptors that unmask; nullptr: they are refused.
  explicit RemoteKernel(std::shared_ptr<Client> client, UnmaskHook hook = nullptr)
      : client_(std::move(client)), unmask_hook_(std::move(hook)) {}

  /// ENOTSUP: there are no paths.
  Result<UniqueFd> open(const std::string& path) override;
  Result<std::string> resolve(const std::string& path) override;
  Result<std::vector<std::string>> list(const std::string& folder) override;

  /// Requests of VFIO devices. Errors: ENOTTY for others; those of Client.
  Result<int> ioctl(int fd, sys_util::IoctlRequest request, std::uintptr_t argument) override;
  Result<void> read(int fd, std::span<std::byte> bytes, std::uint64_t offset) override;
  Result<void> write(int fd, std::span<const std::byte> bytes, std::uint64_t offset) override;
  Result<sys_util::Mapping> map(int fd, std::size_t bytes, int protection,
                                std::uint64_t offset) override;
  using vfio::Kernel::ioctl;

 private:
  struct Region {
    std::vector<std::byte> info;  // as the caller shall see it
    UniqueFd file;
    std::uint64_t file_offset = 0;
  };

  Result<void> get_info(std::uintptr_t argument);
  Result<void> get_region_info(std::uintptr_t argument);
  Result<void> get_irq_info(std::uintptr_t argument);
  Result<void> set_irqs(std::uintptr_t argument);
  Result<void> set_irq_fds(const IrqAction& action, std::span<const std::int32_t> fds);
  Result<void> set_unmask_fd(const IrqAction& action, std::int32_t fd);
  void forget_unmask_fd(std::uint32_t index);
  Result<void> feature(std::uintptr_t argument);
  Result<void> start_log(std::uint32_t flags, std::uintptr_t data);
  Result<void> report_log(std::uint32_t flags, std::uintptr_t data);
  Result<Region*> region(std::uint32_t index) VMM_REQUIRES(lock_);

  std::shared_ptr<Client> client_;
  const UnmaskHook unmask_hook_;
  Mutex lock_;
  std::set<std::uint32_t> unmasked_by_fd_ VMM_GUARDED_BY(lock_);   // kinds of interrupts
  std::map<std::uint32_t, Region> regions_ VMM_GUARDED_BY(lock_);  // those that were asked for
};

}  // namespace vmm::vfio_user
