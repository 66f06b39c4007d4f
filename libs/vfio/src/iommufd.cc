// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "iommufd.h"

#include <cerrno>
#include <utility>

#include "uapi.h"
#include "vmm/base/log.h"

namespace vmm::vfio {
namespace {

constexpr std::uint32_t kMaxRanges = 4096;

template <class T>
Result<void> ask(Kernel& kernel, int fd, sys_util::IoctlRequest request, T& argument) {
  VMM_TRY_DO(kernel.ioctl(fd, request, static_cast<void*>(&argument)));
  return {};
}

}  // namespace

/// A device's tie to the address space. The kernel undoes it when the device's descriptor is
/// closed; what is left then is to destroy its page table.
class Tie final : public Attachment {
 public:
  explicit Tie(std::shared_ptr<IommufdSpace> space) : space_(std::move(space)) {}
  ~Tie() override {
    if (table_ != 0) space_->remove_table(table_);
  }

  /// Binds the device unless somebody has, and attaches it.
  Result<void> hold(int device, std::optional<std::uint32_t> bound_as);
  void closing(int device) const override {
    if (space_->options().on_detach) space_->options().on_detach(device);
  }
  // The kernel knows by itself: a device's tie to iommufd is the proof.
  Result<std::vector<std::int32_t>> prove(std::span<const ResetNeighbour> /*hit*/,
                                          std::uint32_t flags) const override {
    if ((flags & uapi::kHotResetOwned) == 0) return fail(VfioError::kForeignDevice);
    return std::vector<std::int32_t>();
  }

 private:
  [[nodiscard]] Result<std::uint32_t> bind(int device) const;

  std::shared_ptr<IommufdSpace> space_;
  std::uint32_t table_ = 0;
};

Result<std::uint32_t> Tie::bind(int device) const {
  uapi::VfioBind request;
  request.iommufd = space_->iommufd_.get();
  VMM_TRY_DO(
      ask(space_->kernel(), device, {uapi::kVfioBindIommufd, "VFIO_DEVICE_BIND_IOMMUFD"}, request));
  return request.device_id;
}

Result<void> Tie::hold(int device, std::optional<std::uint32_t> bound_as) {
  if (!bound_as) {
    VMM_TRY(bound_as, bind(device));
  }
  uapi::VfioAttach request;
  request.page_table = space_->space_;
  if (space_->options().dirty_tracking) {
    VMM_TRY(table_, space_->add_table(*bound_as));
    request.page_table = table_;
  }
  return ask(space_->kernel(), device, {uapi::kVfioAttachIommufd, "VFIO_DEVICE_ATTACH_IOMMUFD_PT"},
             request);
}

Result<std::shared_ptr<AddressSpace>> IommufdSpace::create(Kernel& kernel, Options options,
                                                           UniqueFd iommufd) {
  std::shared_ptr<IommufdSpace> space(
      new IommufdSpace(kernel, std::move(options), std::move(iommufd)));
  uapi::IommuSpaceAlloc request;
  VMM_TRY_DO(
      ask(kernel, space->iommufd_.get(), {uapi::kIommuSpaceAlloc, "IOMMU_IOAS_ALLOC"}, request));
  space->space_ = request.id;
  return std::shared_ptr<AddressSpace>(std::move(space));
}

Result<std::unique_ptr<Device>> IommufdSpace::attach(const std::string& sysfs_path) {
  VMM_TRY(const std::string path, kernel().resolve(sysfs_path));
  const auto names = kernel().list(path + "/vfio-dev");
  if (!names && names.error().is_os(ENOENT)) return fail(VfioError::kNoCharacterDevice);
  if (!names) return fail(names.error());
  if (names->empty()) return fail(VfioError::kNoCharacterDevice);
  VMM_TRY(auto fd, kernel().open("/dev/vfio/devices/" + names->front()));
  return attach_fd(std::move(fd), std::nullopt);
}

Result<std::unique_ptr<Device>> IommufdSpace::attach_fd(UniqueFd device,
                                                        std::optional<std::uint32_t> bound_as) {
  auto tie = std::make_shared<Tie>(std::static_pointer_cast<IommufdSpace>(shared_from_this()));
  if (options().on_attach) VMM_TRY_DO(options().on_attach(device.get()));
  if (const auto held = tie->hold(device.get(), bound_as); !held) {
    tie->closing(device.get());
    device.reset();  // before the tie's page table goes
    return fail(held.error());
  }
  return Device::create(kernel(), std::move(device), std::move(tie));
}

Result<std::uint32_t> IommufdSpace::new_table(std::uint32_t device) {
  uapi::IommuTableAlloc request;
  request.flags = uapi::kTableDirtyTracking;
  request.device = device;
  request.parent = space_;
  VMM_TRY_DO(ask(kernel(), iommufd_.get(), {uapi::kIommuTableAlloc, "IOMMU_HWPT_ALLOC"}, request));
  return request.id;
}

Result<std::uint32_t> IommufdSpace::add_table(std::uint32_t device) {
  VMM_TRY(const std::uint32_t table, new_table(device));
  const MutexLock lock(mutex_);
  tables_.push_back(table);
  return table;
}

void IommufdSpace::remove_table(std::uint32_t id) {
  {
    const MutexLock lock(mutex_);
    std::erase(tables_, id);
  }
  destroy(id);
}

void IommufdSpace::destroy(std::uint32_t id) {
  uapi::IommuDestroy request;
  request.id = id;
  const auto done = ask(kernel(), iommufd_.get(), {uapi::kIommuDestroy, "IOMMU_DESTROY"}, request);
  if (!done) VMM_LOG(kError, "iommufd page table %u: %s", id, to_string(done.error()).c_str());
}

Result<void> IommufdSpace::kernel_map(std::uint64_t iova, const Entry& entry) {
  uapi::IommuMap request;
  request.flags = uapi::kMapFixed | uapi::kMapReadable;
  if (entry.device_writes) request.flags |= uapi::kMapWritable;
  request.space = space_;
  request.memory = reinterpret_cast<std::uintptr_t>(entry.memory.data());
  request.bytes = entry.memory.size();
  request.iova = iova;
  return ask(kernel(), iommufd_.get(), {uapi::kIommuMap, "IOMMU_IOAS_MAP"}, request);
}

Result<void> IommufdSpace::kernel_unmap(DmaSpan range) {
  uapi::IommuUnmap request;
  request.space = space_;
  request.iova = range.iova;
  request.bytes = range.bytes;
  VMM_TRY_DO(ask(kernel(), iommufd_.get(), {uapi::kIommuUnmap, "IOMMU_IOAS_UNMAP"}, request));
  if (request.bytes != range.bytes) return fail(VfioError::kPartialUnmap);
  return {};
}

// The first answer may be EMSGSIZE, with the number there is room needed for.
Result<std::vector<DmaSpan>> IommufdSpace::kernel_usable() {
  std::vector<uapi::IommuRange> raw(64);
  uapi::IommuRanges request;
  for (int attempt = 0;; ++attempt) {
    request = {};
    request.space = space_;
    request.count = static_cast<std::uint32_t>(raw.size());
    request.ranges = reinterpret_cast<std::uintptr_t>(raw.data());
    const auto asked =
        ask(kernel(), iommufd_.get(), {uapi::kIommuRanges, "IOMMU_IOAS_IOVA_RANGES"}, request);
    if (asked) break;
    if (!asked.error().is_os(EMSGSIZE) || attempt == 3) return fail(asked.error());
    if (request.count > kMaxRanges) return fail(VfioError::kTooLarge);
    raw.resize(request.count);
  }
  raw.resize(std::min<std::size_t>(raw.size(), request.count));
  std::vector<DmaSpan> ranges;
  for (const auto& range : raw) {
    if (range.first <= range.last) ranges.push_back(span_between(range.first, range.last));
  }
  return ranges;
}

Result<void> IommufdSpace::set_dirty(std::uint32_t table, bool on) {
  uapi::IommuSetDirty request;
  request.flags = on ? 1 : 0;
  request.table = table;
  return ask(kernel(), iommufd_.get(), {uapi::kIommuSetDirty, "IOMMU_HWPT_SET_DIRTY_TRACKING"},
             request);
}

Result<void> IommufdSpace::kernel_set_dirty_tracking(bool on) {
  if (tables_.empty()) return fail(Error::os(EOPNOTSUPP, "IOMMU_HWPT_SET_DIRTY_TRACKING"));
  for (const std::uint32_t table : tables_) VMM_TRY_DO(set_dirty(table, on));
  return {};
}

// What devices wrote is in one table each; the kernel adds it to the bitmap.
Result<void> IommufdSpace::kernel_read_dirty(DmaSpan range, std::uint64_t page_bytes,
                                             std::span<std::uint64_t> bitmap) {
  for (const std::uint32_t table : tables_) {
    uapi::IommuGetDirty request;
    request.table = table;
    request.iova = range.iova;
    request.bytes = range.bytes;
    request.page_bytes = page_bytes;
    request.bitmap = reinterpret_cast<std::uintptr_t>(bitmap.data());
    VMM_TRY_DO(ask(kernel(), iommufd_.get(), {uapi::kIommuGetDirty, "IOMMU_HWPT_GET_DIRTY_BITMAP"},
                   request));
  }
  return {};
}

}  // namespace vmm::vfio
