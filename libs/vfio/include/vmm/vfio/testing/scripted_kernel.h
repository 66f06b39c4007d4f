// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "vmm/base/mutex.h"
#include "vmm/vfio/attachment.h"
#include "vmm/vfio/device_info.h"
#include "vmm/vfio/dma_span.h"
#include "vmm/vfio/kernel.h"

namespace vmm::vfio::testing {

/// A region of a scripted device. Its bytes are those of a file, and can be mapped.
struct ScriptedRegion {
  std::uint64_t bytes = 0;  ///< 0: the kernel refuses to speak of it
  /// @{
  /// The flags of struct vfio_region_info, and the MSI-X capability.
  bool readable = true;
  bool writable = true;
  bool mappable = false;
  bool msix_mappable = false;
  /// @}
  std::optional<RegionType> type;  ///< with a type capability; none: without one
  std::vector<RegionArea> areas;   ///< of what is mappable; none: no list
  /// Said instead of all that, from the structure's first byte on.
  std::vector<std::byte> raw;
};

/// A kind of interrupts of a scripted device.
struct ScriptedIrq {
  std::uint32_t count = 0;  ///< 0: the kernel refuses to speak of it
  /// @{
  /// The flags of struct vfio_irq_info.
  bool eventfd = true;
  bool maskable = false;
  bool automasked = false;
  bool fixed_size = false;
  /// @}
};

/// A device that add() puts into a scripted kernel.
struct ScriptedDevice {
  std::string path;         ///< in sysfs
  std::uint32_t group = 0;  ///< of the IOMMU
  std::string entry;        ///< in vfio-dev; none: it cannot be used with iommufd
  /// @{
  /// The flags of struct vfio_device_info.
  DeviceKind kind = DeviceKind::kPci;
  bool resettable = true;
  /// @}
  /// @{
  /// By number.
  std::vector<ScriptedRegion> regions;
  std::vector<ScriptedIrq> irqs;
  /// @}
  /// What a reset of its bus hits; none: such a reset is not possible.
  std::vector<ResetNeighbour> neighbours;
  bool owns_neighbours = true;  ///< what iommufd says of them
  /// Structures of its features.
  std::map<std::uint16_t, std::vector<std::byte>> features;
  std::string driver = "vfio";  ///< that holds it, as sysfs says; empty: none
};

/// A kernel with VFIO and devices as a test wants them, and with its order of things: no IOMMU
/// without a group, no mapping twice, no group left while a device of it is open. The test aid of
/// this library, for those who build on it as well.
///
/// Threads: any for what Kernel has, as far as nobody changes or asks what there is and has been
/// done meanwhile.
class ScriptedKernel final : public Kernel {
 public:
  ScriptedKernel();
  ~ScriptedKernel() override;

  // What there is.
  /// A device in sysfs, and in its group.
  void add(ScriptedDevice device);
  /// Whether there is /dev/iommu; there is none at first.
  void set_iommufd(bool there);
  /// What VFIO_GET_API_VERSION answers; VFIO_API_VERSION at first.
  void set_api_version(int version);
  /// Whether the container offers VFIO_TYPE1v2_IOMMU; it does at first.
  void set_type1v2(bool there);
  /// A driver of the host holds a device of the group.
  void set_viable(std::uint32_t group, bool viable);
  /// No IOMMU is in front of the devices of the group.
  void set_noiommu(std::uint32_t group);
  /// What usable() gives; both ends are part of a range.
  void set_usable(std::vector<DmaSpan> ranges);
  /// The request of this name (or "open PATH") fails with the errno value, after it has worked
  /// `after` times more.
  void fail_request(std::string name, int error, int after = 0);
  /// The next unmapping leaves a page.
  void leave_a_page();
  /// Pages of these addresses count as written by a device.
  void dirty(std::uint64_t iova);

  // What has been done.
  /// A mapping in the IOMMU.
  struct Mapped {
    std::uint64_t bytes = 0;  ///< as mapped
    bool writable = false;    ///< by devices
  };
  /// In the kernel's IOMMU, by address.
  [[nodiscard]] const std::map<std::uint64_t, Mapped>& mappings() const;
  /// Whether the group is in a container now.
  [[nodiscard]] bool in_container(std::uint32_t group) const;
  /// The device's descriptors for interrupts of a kind, -1 for none; empty when they are off.
  [[nodiscard]] std::vector<int> irq_fds(const std::string& device, std::uint32_t index) const;
  /// Requests of this name so far.
  [[nodiscard]] int count(const std::string& name) const;
  /// The last argument of such a request, as bytes.
  [[nodiscard]] std::vector<std::byte> last(const std::string& name) const;
  /// The content of a region.
  [[nodiscard]] std::vector<std::byte> content(const std::string& device, std::uint32_t region,
                                               RegionArea area) const;

  Result<UniqueFd> open(const std::string& path) override;
  Result<int> ioctl(int fd, sys_util::IoctlRequest request, std::uintptr_t argument) override;
  Result<std::string> resolve(const std::string& path) override;
  Result<std::vector<std::string>> list(const std::string& folder) override;

 private:
  struct State;
  Mutex mutex_;  // of what Kernel has
  std::unique_ptr<State> state_;
};

}  // namespace vmm::vfio::testing
