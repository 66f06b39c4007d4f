// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstdint>
#include <memory>

#include "vmm/base/result.h"

namespace vmm::vfio_platform {

/// An interrupt of the guest and the descriptors that stand for it.
struct LineWiring {
  std::uint32_t line = 0;  ///< as the VMM numbers them
  int trigger = -1;        ///< an eventfd: the device wants attention
  /// Level-triggered interrupts are masked until this eventfd is signalled; -1: edge-triggered.
  int unmask = -1;
};

/// Connects devices with the guest's interrupt controller; with KVM: irqfds, with resample
/// descriptors for levels.
///
/// Threads: one call at a time.
class LineRouter {
 public:
  virtual ~LineRouter() = default;
  LineRouter(const LineRouter&) = delete;
  LineRouter& operator=(const LineRouter&) = delete;

  /// For as long as the result lives, an event of `trigger` asserts the interrupt. A level stays
  /// until the guest's end of it, which deasserts it and signals `unmask`; an edge is over at once.
  /// Errors: those of the hypervisor.
  virtual Result<std::shared_ptr<const void>> connect(const LineWiring& wiring) = 0;

 protected:
  LineRouter() = default;
};

}  // namespace vmm::vfio_platform
