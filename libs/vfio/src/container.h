// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "vmm/vfio/address_space.h"

namespace vmm::vfio {

class Group;

/// /dev/vfio/vfio with its groups. It has an IOMMU, and so mappings in the kernel, only while it
/// has a group: with the first one all that is to be mapped is mapped.
class ContainerSpace final : public AddressSpace {
 public:
  static Result<std::shared_ptr<AddressSpace>> create(Kernel& kernel, Options options,
                                                      UniqueFd container);

  [[nodiscard]] Interface interface() const override { return Interface::kGroups; }
  Result<std::unique_ptr<Device>> attach(const std::string& sysfs_path) override;

 private:
  friend class Group;

  ContainerSpace(Kernel& kernel, Options options, UniqueFd container)
      : AddressSpace(kernel, std::move(options)), container_(std::move(container)) {}

  Result<void> kernel_map(std::uint64_t iova, const Entry& entry) override VMM_REQUIRES(mutex_);
  Result<void> kernel_unmap(DmaSpan range) override VMM_REQUIRES(mutex_);
  Result<std::vector<DmaSpan>> kernel_usable() override VMM_REQUIRES(mutex_);
  Result<void> kernel_set_dirty_tracking(bool on) override VMM_REQUIRES(mutex_);
  Result<void> kernel_read_dirty(DmaSpan range, std::uint64_t page_bytes,
                                 std::span<std::uint64_t> bitmap) override VMM_REQUIRES(mutex_);

  Result<std::shared_ptr<Group>> group_of(const std::string& device);
  Result<std::shared_ptr<Group>> open_group(std::uint32_t id);
  [[nodiscard]] std::shared_ptr<Group> known_group(std::uint32_t id) const;
  Result<void> enter(const Group& group);
  Result<void> enter_kernel(const Group& group);
  Result<void> set_iommu(const Group& group) VMM_REQUIRES(mutex_);
  Result<void> map_now(std::uint64_t iova, const Entry& entry);
  /// Whether the kernel keeps mappings.
  [[nodiscard]] bool has_iommu() const VMM_REQUIRES(mutex_) {
    return entered_ != 0 && !without_iommu_;
  }
  void leave(const Group& group);
  Result<void> leave_kernel(const Group& group);

  UniqueFd container_;
  std::map<std::uint32_t, std::weak_ptr<Group>> groups_ VMM_GUARDED_BY(mutex_);
  std::uint32_t entered_ VMM_GUARDED_BY(mutex_) = 0;  // groups in the container
  // Those that are in it; the kernel does not let them mix.
  bool without_iommu_ VMM_GUARDED_BY(mutex_) = false;
};

}  // namespace vmm::vfio
