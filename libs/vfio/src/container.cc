// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "container.h"

#include <cerrno>
#include <string_view>

#include "capability_chain.h"
#include "info_query.h"
#include "uapi.h"
#include "vmm/base/log.h"
#include "vmm/vfio/iommu_group.h"

namespace vmm::vfio {
namespace {

constexpr std::size_t kMaxRanges = 4096;

std::string_view last_part(std::string_view path) {
  return path.substr(path.find_last_of('/') + 1);  // npos + 1 is 0
}

}  // namespace

/// A group in the container. Its devices hold it.
class Group final : public Attachment {
 public:
  Group(std::shared_ptr<ContainerSpace> space, std::uint32_t id, UniqueFd fd, bool without_iommu)
      : space_(std::move(space)), id_(id), fd_(std::move(fd)), without_iommu_(without_iommu) {}
  ~Group() override {
    if (entered_) space_->leave(*this);
  }

  Result<void> enter() {
    VMM_TRY_DO(space_->enter(*this));
    entered_ = true;
    return {};
  }
  Result<std::vector<std::int32_t>> prove(std::span<const ResetNeighbour> hit,
                                          std::uint32_t flags) const override;

  [[nodiscard]] std::uint32_t id() const { return id_; }
  [[nodiscard]] bool without_iommu() const { return without_iommu_; }
  [[nodiscard]] int fd() const { return fd_.get(); }

 private:
  std::shared_ptr<ContainerSpace> space_;
  std::uint32_t id_;
  UniqueFd fd_;
  bool without_iommu_;
  bool entered_ = false;
};

// The kernel checks it once more; but it would take a group that is open and not used.
Result<std::vector<std::int32_t>> Group::prove(std::span<const ResetNeighbour> hit,
                                               std::uint32_t /*flags*/) const {
  std::map<std::uint32_t, std::int32_t> fds;
  for (const ResetNeighbour& neighbour : hit) {
    const auto group = space_->known_group(neighbour.id);
    if (group == nullptr) return fail(VfioError::kForeignDevice);
    fds[neighbour.id] = group->fd();
  }
  std::vector<std::int32_t> proof;
  for (const auto& [id, fd] : fds) proof.push_back(fd);
  return proof;
}

Result<std::shared_ptr<AddressSpace>> ContainerSpace::create(Kernel& kernel, Options options,
                                                             UniqueFd container) {
  const int fd = container.get();
  VMM_TRY(const int version, kernel.ioctl(fd, VMM_IOCTL(VFIO_GET_API_VERSION), std::uintptr_t{0}));
  if (version != VFIO_API_VERSION) return fail(VfioError::kBadApiVersion);
  VMM_TRY(const int type1v2,
          kernel.ioctl(fd, VMM_IOCTL(VFIO_CHECK_EXTENSION), std::uintptr_t{VFIO_TYPE1v2_IOMMU}));
  if (type1v2 != 1) return fail(VfioError::kNoType1v2);
  return std::shared_ptr<AddressSpace>(
      new ContainerSpace(kernel, std::move(options), std::move(container)));
}

Result<std::shared_ptr<Group>> ContainerSpace::group_of(const std::string& device) {
  VMM_TRY(const std::uint32_t id, group_number(kernel(), device));
  if (auto known = known_group(id)) return known;

  VMM_TRY(auto group, open_group(id));
  vfio_group_status status{.argsz = sizeof(status), .flags = 0};
  VMM_TRY_DO(
      kernel().ioctl(group->fd(), VMM_IOCTL(VFIO_GROUP_GET_STATUS), static_cast<void*>(&status)));
  if ((status.flags & VFIO_GROUP_FLAGS_VIABLE) == 0) return fail(VfioError::kNotViable);
  VMM_TRY_DO(group->enter());
  const MutexLock lock(mutex_);
  groups_[id] = group;
  return group;
}

// The answer may be the last to hold the group, so it is not for those who hold the lock.
std::shared_ptr<Group> ContainerSpace::known_group(std::uint32_t id) const {
  const MutexLock lock(mutex_);
  const auto found = groups_.find(id);
  return found == groups_.end() ? nullptr : found->second.lock();
}

// Groups of devices without an IOMMU have a name of their own.
Result<std::shared_ptr<Group>> ContainerSpace::open_group(std::uint32_t id) {
  const std::string number = std::to_string(id);
  auto fd = kernel().open("/dev/vfio/" + number);
  bool without_iommu = false;
  if (!fd && fd.error().is_os(ENOENT)) {
    const std::string path = "/dev/vfio/noiommu-" + number;
    without_iommu = kernel().resolve(path).has_value();
    if (without_iommu && !options().unsafe_noiommu) return fail(VfioError::kNoIommu);
    if (without_iommu) fd = kernel().open(path);
  }
  if (!fd) return fail(std::move(fd).error());
  auto self = std::static_pointer_cast<ContainerSpace>(shared_from_this());
  return std::make_shared<Group>(std::move(self), id, *std::move(fd), without_iommu);
}

// The order is the kernel's: a group, then the IOMMU, then mappings; KVM is told before the group's
// first device is used.
Result<void> ContainerSpace::enter(const Group& group) {
  auto ready = enter_kernel(group);
  if (!ready || !options().on_attach) return ready;
  ready = options().on_attach(group.fd());
  if (!ready) (void)leave_kernel(group);
  return ready;
}

Result<void> ContainerSpace::enter_kernel(const Group& group) {
  const MutexLock lock(mutex_);
  const std::int32_t container = container_.get();
  VMM_TRY_DO(kernel().ioctl(group.fd(), VMM_IOCTL(VFIO_GROUP_SET_CONTAINER),
                            static_cast<const void*>(&container)));
  auto ready = entered_ == 0 ? set_iommu(group) : Result<void>();
  if (!ready) {
    (void)kernel().ioctl(group.fd(), VMM_IOCTL(VFIO_GROUP_UNSET_CONTAINER), std::uintptr_t{0});
    return ready;
  }
  ++entered_;
  return {};
}

Result<void> ContainerSpace::set_iommu(const Group& group) {
  without_iommu_ = group.without_iommu();
  const std::uintptr_t kind = without_iommu_ ? VFIO_NOIOMMU_IOMMU : VFIO_TYPE1v2_IOMMU;
  VMM_TRY_DO(kernel().ioctl(container_.get(), VMM_IOCTL(VFIO_SET_IOMMU), kind));
  if (without_iommu_) return {};
  for (const auto& [iova, entry] : entries()) VMM_TRY_DO(map_now(iova, entry));
  return {};
}

void ContainerSpace::leave(const Group& group) {
  if (options().on_detach) options().on_detach(group.fd());
  const auto left = leave_kernel(group);
  // A group whose last device the host has taken back has left by itself.
  if (!left && !left.error().is_os(EINVAL)) {
    VMM_LOG(kError, "VFIO group %u: %s", group.id(), to_string(left.error()).c_str());
  }
}

Result<void> ContainerSpace::leave_kernel(const Group& group) {
  const MutexLock lock(mutex_);
  auto left = kernel().ioctl(group.fd(), VMM_IOCTL(VFIO_GROUP_UNSET_CONTAINER), std::uintptr_t{0});
  --entered_;
  groups_.erase(group.id());
  if (!left) return fail(std::move(left).error());
  return {};
}

Result<std::unique_ptr<Device>> ContainerSpace::attach(const std::string& sysfs_path) {
  VMM_TRY(const std::string path, kernel().resolve(sysfs_path));
  VMM_TRY(auto group, group_of(path));
  const std::string name(last_part(path));
  VMM_TRY(const int fd, kernel().ioctl(group->fd(), VMM_IOCTL(VFIO_GROUP_GET_DEVICE_FD),
                                       static_cast<const void*>(name.c_str())));
  return Device::create(kernel(), UniqueFd(fd), std::move(group));
}

Result<void> ContainerSpace::kernel_map(std::uint64_t iova, const Entry& entry) {
  return has_iommu() ? map_now(iova, entry) : Result<void>();
}

Result<void> ContainerSpace::map_now(std::uint64_t iova, const Entry& entry) {
  const std::uint32_t writes = entry.device_writes ? VFIO_DMA_MAP_FLAG_WRITE : 0u;
  const vfio_iommu_type1_dma_map request{
      .argsz = sizeof(request),
      .flags = VFIO_DMA_MAP_FLAG_READ | writes,
      .vaddr = reinterpret_cast<std::uintptr_t>(entry.memory.data()),
      .iova = iova,
      .size = entry.memory.size()};
  VMM_TRY_DO(kernel().ioctl(container_.get(), VMM_IOCTL(VFIO_IOMMU_MAP_DMA),
                            static_cast<const void*>(&request)));
  return {};
}

Result<void> ContainerSpace::kernel_unmap(DmaSpan range) {
  if (!has_iommu()) return {};
  vfio_iommu_type1_dma_unmap request{};
  request.argsz = sizeof(request);
  request.iova = range.iova;
  request.size = range.bytes;
  VMM_TRY_DO(kernel().ioctl(container_.get(), VMM_IOCTL(VFIO_IOMMU_UNMAP_DMA),
                            static_cast<void*>(&request)));
  if (request.size != range.bytes) return fail(VfioError::kPartialUnmap);
  return {};
}

Result<std::vector<DmaSpan>> ContainerSpace::kernel_usable() {
  std::vector<DmaSpan> ranges;
  if (!has_iommu()) return ranges;
  VMM_TRY(const auto bytes, query(kernel(), container_.get(), VMM_IOCTL(VFIO_IOMMU_GET_INFO),
                                  vfio_iommu_type1_info{}));
  vfio_iommu_type1_info info{};
  (void)read_object(bytes, 0, info);
  if ((info.flags & VFIO_IOMMU_INFO_CAPS) == 0) return ranges;
  VMM_TRY_DO(for_each_capability(
      bytes, info.cap_offset, sizeof(info), [&](std::uint16_t id, std::size_t at) -> Result<void> {
        if (id != VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE) return {};
        uapi::UsableRangesHead header;
        if (!read_object(bytes, at, header)) return fail(VfioError::kBadCapability);
        at += sizeof(header);
        for (std::uint32_t i = 0; i < header.nr_iovas && ranges.size() < kMaxRanges; ++i) {
          vfio_iova_range range{};
          if (!read_object(bytes, at, range)) return fail(VfioError::kBadCapability);
          at += sizeof(range);
          if (range.start <= range.end) ranges.push_back(span_between(range.start, range.end));
        }
        return {};
      }));
  return ranges;
}

Result<void> ContainerSpace::kernel_set_dirty_tracking(bool on) {
  if (!has_iommu()) return fail(Error::os(EOPNOTSUPP, "VFIO_IOMMU_DIRTY_PAGES"));
  vfio_iommu_type1_dirty_bitmap request{};
  request.argsz = sizeof(request);
  request.flags = on ? VFIO_IOMMU_DIRTY_PAGES_FLAG_START : VFIO_IOMMU_DIRTY_PAGES_FLAG_STOP;
  VMM_TRY_DO(kernel().ioctl(container_.get(), VMM_IOCTL(VFIO_IOMMU_DIRTY_PAGES),
                            static_cast<void*>(&request)));
  return {};
}

// This kernel interface overwrites the bitmap, where others add to it.
Result<void> ContainerSpace::kernel_read_dirty(DmaSpan range, std::uint64_t page_bytes,
                                               std::span<std::uint64_t> bitmap) {
  const std::uint64_t words = (range.bytes / page_bytes + 63) / 64;
  std::vector<std::uint64_t> read(words);
  struct Request {
    uapi::DirtyBitmapHead header;
    vfio_iommu_type1_dirty_bitmap_get get{};
  } request;
  request.header.argsz = sizeof(request);
  request.header.flags = VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP;
  request.get.iova = range.iova;
  request.get.size = range.bytes;
  request.get.bitmap.pgsize = page_bytes;
  request.get.bitmap.size = words * sizeof(std::uint64_t);
  request.get.bitmap.data = reinterpret_cast<__u64*>(read.data());
  VMM_TRY_DO(kernel().ioctl(container_.get(), VMM_IOCTL(VFIO_IOMMU_DIRTY_PAGES),
                            static_cast<void*>(&request)));
  for (std::uint64_t i = 0; i < words; ++i) bitmap[i] |= read[i];
  return {};
}

}  // namespace vmm::vfio
