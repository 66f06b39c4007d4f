// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <memory>
#include <vector>

#include "vcpu_thread.h"

namespace vmm::reference {

/// The vCPUs of a machine. The destructor takes them all out of the guest, then joins their
/// threads; so it stands behind everything that they use.
class VcpuSet {
 public:
  VcpuSet() = default;
  ~VcpuSet() {
    for (const auto& vcpu : vcpus_) vcpu->request_stop();
    for (const auto& vcpu : vcpus_) vcpu->join();
  }
  VcpuSet(const VcpuSet&) = delete;
  VcpuSet& operator=(const VcpuSet&) = delete;

  void add(std::unique_ptr<VcpuThread> vcpu) { vcpus_.push_back(std::move(vcpu)); }
  [[nodiscard]] const kvm_ioctls::Vcpu& operator[](std::size_t index) const {
    return vcpus_[index]->vcpu();
  }
  void start() {
    for (const auto& vcpu : vcpus_) vcpu->start();
  }

 private:
  std::vector<std::unique_ptr<VcpuThread>> vcpus_;
};

}  // namespace vmm::reference
