// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstdint>
#include <optional>

#include "vmm/base/guest_address.h"
#include "vmm/base/result.h"

namespace vmm::vm_device {

/// A guest's write that rings an eventfd instead of reaching the bus (KVM: ioeventfd).
struct Doorbell {
  GuestAddress address;     ///< guest-physical
  std::uint32_t bytes = 0;  ///< of the write: 1, 2, 4, 8; 0: any, and `value` is not used
  std::optional<std::uint64_t> value;  ///< only writes of this value
  int fd = -1;                         ///< borrowed until the doorbell is removed

  friend bool operator==(const Doorbell&, const Doorbell&) = default;
};

/// Installs doorbells; the VMM implements it. A write that no doorbell takes reaches the bus, so
/// devices work without any.
///
/// Threads: any. Implementations must not call back into the device.
class Doorbells {
 public:
  virtual ~Doorbells() = default;
  Doorbells(const Doorbells&) = delete;
  Doorbells& operator=(const Doorbells&) = delete;

  /// From now on writes that match ring. Errors: the operating system's, among them EEXIST for one
  /// that is there already; the writes reach the bus then.
  virtual Result<void> add(const Doorbell& doorbell) = 0;
  /// Removes one that was added; nothing happens for others.
  virtual void remove(const Doorbell& doorbell) = 0;

 protected:
  Doorbells() = default;
};

/// For hosts without doorbells: each add() is refused with ENOSYS.
class NoDoorbells final : public Doorbells {
 public:
  /// Errors: ENOSYS, always.
  Result<void> add(const Doorbell& doorbell) override;
  void remove(const Doorbell& doorbell) override;
};

}  // namespace vmm::vm_device
