// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstdint>
#include <memory>

#include "vmm/base/result.h"

// What passing a device's interrupt pin through needs of the VMM; with KVM: irqfds with resample
// descriptors.

namespace vmm::vfio_pci {

/// Where a function's interrupt pin is asserted by a program.
class PinSink {
 public:
  /// Any thread.
  virtual void set_pin(bool asserted) = 0;

 protected:
  ~PinSink() = default;
};

/// A function's interrupt pin and the descriptors that stand for it.
struct PinWiring {
  std::uint8_t slot = 0;  ///< of the function in its segment, 0 to 31
  std::uint8_t pin = 0;   ///< 0: INTA to 3: INTD
  int trigger = -1;       ///< an eventfd: the device wants attention, and is masked until...
  int unmask = -1;        ///< ... this one is signalled
  /// For those that assert the pin themselves.
  PinSink* sink = nullptr;
};

/// Connects interrupt pins of devices to level-sensitive interrupts of the guest.
///
/// Threads: one call at a time, with an endpoint's lock held.
class PinRouter {
 public:
  virtual ~PinRouter() = default;
  PinRouter(const PinRouter&) = delete;
  PinRouter& operator=(const PinRouter&) = delete;

  /// For as long as the result lives, an event of `trigger` asserts the interrupt, and the guest's
  /// end of it deasserts it and signals `unmask`. When the result's destructor returns, the
  /// interrupt is not asserted, and the sink is not called any more.
  /// Errors: those of the hypervisor.
  virtual Result<std::shared_ptr<const void>> connect(const PinWiring& wiring) = 0;

 protected:
  PinRouter() = default;
};

}  // namespace vmm::vfio_pci
