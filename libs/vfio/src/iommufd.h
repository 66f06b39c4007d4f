// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "vmm/vfio/address_space.h"

namespace vmm::vfio {

/// /dev/iommu with one address space. Each device is bound to it and attached to the address space,
/// or to a page table of its own below it, which can log writes.
class IommufdSpace final : public AddressSpace {
 public:
  static Result<std::shared_ptr<AddressSpace>> create(Kernel& kernel, Options options,
                                                      UniqueFd iommufd);

  [[nodiscard]] Interface interface() const override { return Interface::kIommufd; }
  Result<std::unique_ptr<Device>> attach(const std::string& sysfs_path) override;
  Result<std::unique_ptr<Device>> attach_fd(UniqueFd device,
                                            std::optional<std::uint32_t> bound_as) override;

 private:
  friend class Tie;

  IommufdSpace(Kernel& kernel, Options options, UniqueFd iommufd)
      : AddressSpace(kernel, std::move(options)), iommufd_(std::move(iommufd)) {}

  Result<void> kernel_map(std::uint64_t iova, const Entry& entry) override VMM_REQUIRES(mutex_);
  Result<void> kernel_unmap(DmaSpan range) override VMM_REQUIRES(mutex_);
  Result<std::vector<DmaSpan>> kernel_usable() override VMM_REQUIRES(mutex_);
  Result<void> kernel_set_dirty_tracking(bool on) override VMM_REQUIRES(mutex_);
  Result<void> kernel_read_dirty(DmaSpan range, std::uint64_t page_bytes,
                                 std::span<std::uint64_t> bitmap) override VMM_REQUIRES(mutex_);
  Result<std::uint32_t> new_table(std::uint32_t device);
  Result<void> set_dirty(std::uint32_t table, bool on);
  Result<std::uint32_t> add_table(std::uint32_t device);
  void remove_table(std::uint32_t id);
  void destroy(std::uint32_t id);

  UniqueFd iommufd_;
  std::uint32_t space_ = 0;
  std::vector<std::uint32_t> tables_ VMM_GUARDED_BY(mutex_);  // of devices, which can log
};

}  // namespace vmm::vfio
