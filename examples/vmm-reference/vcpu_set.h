// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "core_group.h"
#include "vcpu_thread.h"

namespace vmm::reference {

/// The vCPUs of a machine. The destructor takes them all out of the guest, then joins their
/// threads; so it stands behind everything that they use.
class VcpuSet {
 public:
  explicit VcpuSet(const CpusConfig& config) : cores_(config.core_scheduling) {}
  ~VcpuSet() { stop(); }
  VcpuSet(const VcpuSet&) = delete;
  VcpuSet& operator=(const VcpuSet&) = delete;

  void add(std::unique_ptr<VcpuThread> vcpu) {
    vcpu->use(cores_);
    vcpus_.push_back(std::move(vcpu));
  }
  [[nodiscard]] const kvm_ioctls::Vcpu& operator[](std::size_t index) const {
    return vcpus_[index]->vcpu();
  }
  /// Gives each of them a thread in its place on the host. None is in the guest before start().
  /// Failures: one cannot have its place; then there are no threads.
  Outcome<void> stand_by() {
    cores_.begin();
    for (const auto& vcpu : vcpus_) vcpu->begin();
    Outcome<void> all;
    for (const auto& vcpu : vcpus_) {
      auto one = vcpu->standing();
      if (all) all = std::move(one);
    }
    if (!all) stop();
    return all;
  }
  void start() {
    for (const auto& vcpu : vcpus_) vcpu->start();
  }
  /// Takes all of them out of the guest; after stand_by() and start() they go on where they were.
  void stop() {
    for (const auto& vcpu : vcpus_) vcpu->request_stop();
    for (const auto& vcpu : vcpus_) vcpu->join();
  }
  void inject_nmi() {
    for (const auto& vcpu : vcpus_) vcpu->request_nmi();
  }

 private:
  CoreGroup cores_;
  std::vector<std::unique_ptr<VcpuThread>> vcpus_;
};

}  // namespace vmm::reference
