// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstddef>
#include <span>
#include <utility>
#include <vector>

#include "vmm/base/result.h"
#include "vmm/base/unique_fd.h"

namespace vmm::vhost_user_backend {

/// The userfaultfd of a back end whose memory arrives while it runs: whoever touches a page that is
/// not there yet waits until the front end, which has the same descriptor, has put it there. Its
/// end is the end of all waiting, whoever else has the descriptor.
class Postcopy {
 public:
  Postcopy(Postcopy&&) = default;
  ~Postcopy();

  /// Errors: those of userfaultfd(2); ENOTSUP where shared memory cannot be watched.
  static Result<Postcopy> open();

  /// Pages of this range that are missing are asked for from now on. Errors: those of
  /// UFFDIO_REGISTER.
  Result<void> watch(std::span<std::byte> range);
  [[nodiscard]] int fd() const { return fd_.get(); }

 private:
  explicit Postcopy(UniqueFd fd) : fd_(std::move(fd)) {}

  UniqueFd fd_;
  std::vector<std::span<std::byte>> watched_;
};

}  // namespace vmm::vhost_user_backend
