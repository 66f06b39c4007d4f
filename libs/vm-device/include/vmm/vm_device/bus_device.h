// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace vmm::vm_device {

/// A device that a guest reaches by loads and stores, in port or memory space.
///
/// The bus calls it with an access that lies entirely inside the registered range: `offset` is in
/// bytes from the range's base and `data` has at least one byte. KVM produces accesses of 1, 2, 4
/// and 8 bytes, but a hostile guest or another caller can produce any size and alignment, so an
/// implementation must accept all of them; what the hardware does not define reads as zeros and
/// is ignored on writes.
///
/// Threads: each vCPU thread calls whenever its guest touches the device, so both functions can
/// run several times at once. An implementation locks its own state.
class BusDevice {
 public:
  virtual ~BusDevice() = default;
  BusDevice(const BusDevice&) = delete;
  BusDevice& operator=(const BusDevice&) = delete;

  /// Fills all of `data`; it may hold anything on entry.
  virtual void read(std::uint64_t offset, std::span<std::byte> data) = 0;
  /// Takes all of `data`.
  virtual void write(std::uint64_t offset, std::span<const std::byte> data) = 0;

 protected:
  BusDevice() = default;
};

}  // namespace vmm::vm_device
