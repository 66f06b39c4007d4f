// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "vmm/base/result.h"
#include "vmm/base/unique_fd.h"
#include "vmm/vfio_user/device.h"
#include "vmm/vfio_user/protocol.h"

namespace vmm::vfio_user {

/// The interrupts of a device, as its client has set them up.
///
/// Threads: that of the session.
class Interrupts {
 public:
  /// `device` outlives this.
  explicit Interrupts(Device& device);

  /// Signals the client's descriptor, if there is one. While the interrupt is masked that waits.
  /// One that masks itself is masked by it.
  void trigger(std::uint32_t index, std::uint32_t number);
  /// Whether somebody listens.
  [[nodiscard]] bool is_enabled(std::uint32_t index, std::uint32_t number) const;
  /// Whether it waits for being unmasked; false for interrupts that there are not.
  [[nodiscard]] bool is_masked(std::uint32_t index, std::uint32_t number) const;

  /// Does what kSetIrqs says. `data` is what follows its head.
  /// Errors: kBadFlags, kBadRange, kBadSize, kBadFdCount.
  Result<void> set(const IrqSet& set, std::span<const std::byte> data, std::span<UniqueFd> fds);

 private:
  struct Line {
    UniqueFd trigger;
    UniqueFd mask;    // signalled when it becomes masked
    UniqueFd unmask;  // the same for unmasked
    bool masked = false;
    bool pending = false;
  };
  struct Kind {
    vfio::IrqInfo info;
    std::vector<Line> lines;
  };

  Result<void> check(const IrqSet& set, std::size_t bytes, std::size_t fds) const;
  void set_fds(const IrqSet& set, std::span<UniqueFd> fds);
  void act(const IrqSet& set, std::uint32_t number);
  void unmask(std::uint32_t index, std::uint32_t number);
  void disable(Kind& kind);

  Device& device_;
  std::vector<Kind> kinds_;
};

}  // namespace vmm::vfio_user
