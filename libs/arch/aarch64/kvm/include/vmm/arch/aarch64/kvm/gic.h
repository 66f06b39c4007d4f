// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstdint>
#include <optional>

#include "vmm/arch/aarch64/device_tree.h"
#include "vmm/base/result.h"
#include "vmm/kvm_ioctls/device.h"
#include "vmm/kvm_ioctls/vm.h"

namespace vmm::arch::aarch64::kvm {

/// What Gic::create() makes.
struct GicConfig {
  std::uint32_t vcpus = 1;              ///< as many as were created
  std::optional<GicVersion> version{};  ///< nullopt: GICv3, or GICv2 on hosts without
  bool its = true;                      ///< with a GICv3: translates MSIs
};

/// The interrupt controller of a VM, in KVM, at the addresses of layout.h and with its interrupts.
///
/// Thread-safety: all functions may be called from any thread.
class Gic {
 public:
  /// Makes and initializes it: behind the creation of the last vCPU, before the first one runs.
  /// Errors: kNoGic, kTooManyVcpus (512 with a GICv3, 8 with a GICv2); those of the ioctls.
  static Result<Gic> create(const kvm_ioctls::Vm& vm, const GicConfig& config);

  /// @{
  /// What was made: a version, whether MSIs are translated, and for how many vCPUs.
  [[nodiscard]] GicVersion version() const { return version_; }
  [[nodiscard]] bool has_its() const { return its_.has_value(); }
  [[nodiscard]] std::uint32_t vcpus() const { return vcpus_; }
  /// @}

  /// For the attributes of kvm_ioctls::kVgic*. Borrowed from this object.
  [[nodiscard]] const kvm_ioctls::Device& device() const { return device_; }
  /// nullptr without one.
  [[nodiscard]] const kvm_ioctls::Device* its() const { return its_ ? &*its_ : nullptr; }

 private:
  Gic(kvm_ioctls::Device device, GicVersion version, std::uint32_t vcpus)
      : device_(std::move(device)), version_(version), vcpus_(vcpus) {}

  kvm_ioctls::Device device_;
  std::optional<kvm_ioctls::Device> its_;
  GicVersion version_;
  std::uint32_t vcpus_;
};

}  // namespace vmm::arch::aarch64::kvm
