// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/vfio/testing/scripted_kernel.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "scripted_state.h"

namespace vmm::vfio::testing {
namespace {

constexpr const char* kGroups = "/sys/kernel/iommu_groups/";

std::string name_of(const ScriptedDevice& device) {
  return device.path.substr(device.path.find_last_of('/') + 1);
}

std::string group_folder(const ScriptedDevice& device) {
  return std::string(kGroups) + std::to_string(device.group) + "/devices/";
}

}  // namespace

ScriptedKernel::ScriptedKernel() : state_(std::make_unique<State>()) {}
ScriptedKernel::~ScriptedKernel() = default;

void ScriptedKernel::add(ScriptedDevice device) {
  UniqueFd file = new_file();
  (void)::ftruncate(file.get(), static_cast<off_t>(kRegionStride * device.regions.size()));
  state_->devices.push_back({.device = std::move(device), .file = std::move(file), .irqs = {}});
}
void ScriptedKernel::set_iommufd(bool there) { state_->iommufd = there; }
void ScriptedKernel::set_api_version(int version) { state_->api_version = version; }
void ScriptedKernel::set_type1v2(bool there) { state_->type1v2 = there; }
void ScriptedKernel::set_viable(std::uint32_t group, bool viable) {
  if (viable) {
    state_->not_viable.erase(group);
  } else {
    state_->not_viable.insert(group);
  }
}
void ScriptedKernel::set_noiommu(std::uint32_t group) { state_->noiommu.insert(group); }
void ScriptedKernel::set_usable(std::vector<DmaSpan> ranges) { state_->usable = std::move(ranges); }
void ScriptedKernel::fail_request(std::string name, int error, int after) {
  state_->failures[std::move(name)] = {.error = error, .after = after};
}
void ScriptedKernel::leave_a_page() { state_->leave_a_page = true; }
void ScriptedKernel::dirty(std::uint64_t iova) { state_->written.insert(iova / kPage); }

const std::map<std::uint64_t, ScriptedKernel::Mapped>& ScriptedKernel::mappings() const {
  return state_->mappings;
}
bool ScriptedKernel::in_container(std::uint32_t group) const {
  return state_->groups.contains(group);
}
std::vector<int> ScriptedKernel::irq_fds(const std::string& device, std::uint32_t index) const {
  const State::Slot* slot = state_->find(device);
  if (slot == nullptr) return {};
  const auto found = slot->irqs.find(index);
  return found == slot->irqs.end() ? std::vector<int>() : found->second;
}
int ScriptedKernel::count(const std::string& name) const {
  const auto found = state_->counts.find(name);
  return found == state_->counts.end() ? 0 : found->second;
}
std::vector<std::byte> ScriptedKernel::last(const std::string& name) const {
  const auto found = state_->arguments.find(name);
  return found == state_->arguments.end() ? std::vector<std::byte>() : found->second;
}
std::vector<std::byte> ScriptedKernel::content(const std::string& device, std::uint32_t region,
                                               RegionArea area) const {
  std::vector<std::byte> bytes(area.bytes);
  const State::Slot* slot = state_->find(device);
  if (slot == nullptr) return {};
  const ssize_t got = ::pread(slot->file.get(), bytes.data(), bytes.size(),
                              static_cast<off_t>(region * kRegionStride + area.offset));
  bytes.resize(got < 0 ? 0 : static_cast<std::size_t>(got));
  return bytes;
}

Result<UniqueFd> ScriptedKernel::open(const std::string& path) {
  const MutexLock lock(mutex_);
  State& state = *state_;
  if (const int error = state.failure("open " + path)) return fail(Error::os(error, "open"));
  ++state.counts["open " + path];
  if (path == "/dev/vfio/vfio") return state.give(new_file(), Kind::kContainer, 0);
  if (path == "/dev/iommu" && state.iommufd) return state.give(new_file(), Kind::kIommufd, 0);
  for (std::size_t i = 0; i < state.devices.size(); ++i) {
    const ScriptedDevice& device = state.devices[i].device;
    if (path == state.group_node(device.group)) {
      return state.give(new_file(), Kind::kGroup, device.group);
    }
    if (!device.entry.empty() && path == "/dev/vfio/devices/" + device.entry) {
      return state.give_device(i);
    }
  }
  return fail(Error::os(ENOENT, "open"));
}

Result<std::string> ScriptedKernel::resolve(const std::string& path) {
  const MutexLock lock(mutex_);
  if (state_->find(path) != nullptr) return path;
  for (const State::Slot& slot : state_->devices) {
    if (path == state_->group_node(slot.device.group)) return path;
  }
  const std::size_t slash = std::min(path.find_last_of('/'), path.size());
  const std::string link = path.substr(slash);
  for (const State::Slot& slot : state_->devices) {
    const ScriptedDevice& device = slot.device;
    const bool is_it = path.substr(0, slash) == device.path ||
                       path.substr(0, slash) == group_folder(device) + name_of(device);
    if (!is_it) continue;
    if (link == "/iommu_group") return std::string(kGroups) + std::to_string(device.group);
    if (link == "/subsystem") {
      return std::string("/sys/bus/") + (device.kind == DeviceKind::kPci ? "pci" : "platform");
    }
    if (link == "/driver" && !device.driver.empty()) return "/sys/bus/drivers/" + device.driver;
  }
  return fail(Error::os(ENOENT, "resolve"));
}

Result<std::vector<std::string>> ScriptedKernel::list(const std::string& folder) {
  const MutexLock lock(mutex_);
  for (const State::Slot& slot : state_->devices) {
    if (folder == slot.device.path + "/vfio-dev" && !slot.device.entry.empty()) {
      return std::vector<std::string>{slot.device.entry};
    }
  }
  std::vector<std::string> members;
  for (const State::Slot& slot : state_->devices) {
    if (folder + "/" == group_folder(slot.device)) members.push_back(name_of(slot.device));
  }
  if (members.empty()) return fail(Error::os(ENOENT, "list"));
  std::ranges::sort(members);
  return members;
}

Result<int> ScriptedKernel::ioctl(int fd, sys_util::IoctlRequest request, std::uintptr_t argument) {
  const MutexLock lock(mutex_);
  State& state = *state_;
  ++state.counts[request.name];
  if (const int error = state.failure(request.name)) return fail(Error::os(error, request.name));
  const auto found = state.objects.find(fd);
  if (found == state.objects.end() || inode_of(fd) != found->second.inode) {
    return fail(Error::os(EBADF, request.name));
  }
  const Object object = found->second;
  int result = -ENOTTY;
  switch (object.kind) {
    case Kind::kContainer:
      result = state.on_container(request.number, argument);
      break;
    case Kind::kIommufd:
      result = state.on_iommufd(request.number, argument);
      break;
    case Kind::kGroup:
      result = state.on_group(object.number, request.number, argument);
      break;
    case Kind::kDevice:
      result = state.on_device(state.devices[object.number], request.number, argument);
      break;
    case Kind::kState:
      if (request.number == uapi::kVfioPrecopyInfo) {
        at<uapi::VfioPrecopy>(argument).initial_bytes = 4096;
        at<uapi::VfioPrecopy>(argument).dirty_bytes = 8192;
        result = 0;
      }
      break;
  }
  if (result < 0) return fail(Error::os(-result, request.name));
  return result;
}

int ScriptedKernel::State::map(std::uint64_t iova, Mapped mapped) {
  for (const auto& [other, there] : mappings) {
    if (iova - other < there.bytes || other - iova < mapped.bytes) return -EEXIST;
  }
  mappings[iova] = mapped;
  return 0;
}

std::uint64_t ScriptedKernel::State::unmap(std::uint64_t iova, std::uint64_t bytes) {
  const auto found = mappings.find(iova);
  if (found == mappings.end() || found->second.bytes != bytes) return 0;
  mappings.erase(found);
  return std::exchange(leave_a_page, false) ? bytes - kPage : bytes;
}

void ScriptedKernel::State::fill(std::uint64_t iova, std::uint64_t bytes, std::uint64_t page,
                                 std::uint64_t* bitmap) {
  for (const std::uint64_t number : written) {
    const std::uint64_t offset = number * kPage - iova;
    if (offset < bytes) bitmap[offset / page / 64] |= 1ull << (offset / page % 64);
  }
  std::erase_if(written, [&](std::uint64_t number) { return number * kPage - iova < bytes; });
}

int ScriptedKernel::State::info(std::uintptr_t argument) const {
  Bytes bytes;
  bytes.add(vfio_iommu_type1_info{});
  if (!usable.empty()) {
    Chain(bytes, offsetof(vfio_iommu_type1_info, cap_offset))
        .add(
            uapi::UsableRangesHead{
                .header = {}, .nr_iovas = static_cast<std::uint32_t>(usable.size()), .reserved = 0},
            VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE);
    for (const DmaSpan& range : usable) {
      bytes.add(vfio_iova_range{.start = range.iova, .end = range.iova + (range.bytes - 1)});
    }
  }
  const std::uint32_t flags = VFIO_IOMMU_INFO_PGSIZES | (usable.empty() ? 0 : VFIO_IOMMU_INFO_CAPS);
  bytes.set(0, bytes.size());
  bytes.set(4, flags);
  answer(argument, bytes.get());
  return 0;
}

// Groups with an IOMMU and without one do not mix.
int ScriptedKernel::State::enter(std::uint32_t group) {
  const bool mixed = std::ranges::any_of(groups, [&](std::uint32_t other) {
    return noiommu.contains(other) != noiommu.contains(group);
  });
  return !mixed && groups.insert(group).second ? 0 : -EINVAL;
}

int ScriptedKernel::State::set_iommu(std::uintptr_t kind) {
  if (groups.empty() || has_iommu) return -EINVAL;
  noiommu_chosen = noiommu.contains(*groups.begin());
  if (kind != (noiommu_chosen ? VFIO_NOIOMMU_IOMMU : VFIO_TYPE1v2_IOMMU)) return -ENODEV;
  has_iommu = true;
  return 0;
}

int ScriptedKernel::State::on_container(unsigned long number, std::uintptr_t argument) {
  switch (number) {
    case VFIO_GET_API_VERSION:
      return api_version;
    case VFIO_CHECK_EXTENSION:
      return argument == VFIO_TYPE1v2_IOMMU && type1v2 ? 1 : 0;
    case VFIO_SET_IOMMU:
      return set_iommu(argument);
    case VFIO_IOMMU_MAP_DMA: {
      if (!has_mappings()) return -EINVAL;
      const auto& request = at<vfio_iommu_type1_dma_map>(argument);
      return map(request.iova, {.bytes = request.size,
                                .writable = (request.flags & VFIO_DMA_MAP_FLAG_WRITE) != 0});
    }
    case VFIO_IOMMU_UNMAP_DMA: {
      if (!has_mappings()) return -EINVAL;
      auto& request = at<vfio_iommu_type1_dma_unmap>(argument);
      request.size = unmap(request.iova, request.size);
      return 0;
    }
    case VFIO_IOMMU_GET_INFO:
      return has_mappings() ? info(argument) : -EINVAL;
    case VFIO_IOMMU_DIRTY_PAGES: {
      const auto& head = at<uapi::DirtyBitmapHead>(argument);
      if ((head.flags & VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP) == 0) return 0;
      const auto& get = at<vfio_iommu_type1_dirty_bitmap_get>(argument + sizeof(head));
      std::memset(get.bitmap.data, 0, get.bitmap.size);
      fill(get.iova, get.size, get.bitmap.pgsize,
           reinterpret_cast<std::uint64_t*>(get.bitmap.data));
      return 0;
    }
    default:
      return -ENOTTY;
  }
}

int ScriptedKernel::State::on_group(std::uint32_t group, unsigned long number,
                                    std::uintptr_t argument) {
  switch (number) {
    case VFIO_GROUP_GET_STATUS:
      at<vfio_group_status>(argument).flags =
          not_viable.contains(group) ? 0 : VFIO_GROUP_FLAGS_VIABLE;
      return 0;
    case VFIO_GROUP_SET_CONTAINER:
      return enter(group);
    case VFIO_GROUP_UNSET_CONTAINER:
      if (is_device_open(group)) return -EBUSY;
      groups.erase(group);
      if (groups.empty()) {
        has_iommu = false;
        mappings.clear();
      }
      return 0;
    case VFIO_GROUP_GET_DEVICE_FD: {
      if (!groups.contains(group) || !has_iommu) return -EINVAL;
      const std::string name = "/" + std::string(reinterpret_cast<const char*>(argument));
      for (std::size_t i = 0; i < devices.size(); ++i) {
        const ScriptedDevice& device = devices[i].device;
        if (device.group == group && device.path.ends_with(name)) return give_device(i).release();
      }
      return -ENODEV;
    }
    default:
      return -ENOTTY;
  }
}

int ScriptedKernel::State::on_iommufd(unsigned long number, std::uintptr_t argument) {
  switch (number) {
    case uapi::kIommuSpaceAlloc:
      at<uapi::IommuSpaceAlloc>(argument).id = kSpaceId;
      return 0;
    case uapi::kIommuDestroy:
      return tables.erase(at<uapi::IommuDestroy>(argument).id) == 1 ? 0 : -ENOENT;
    case uapi::kIommuMap: {
      const auto& request = at<uapi::IommuMap>(argument);
      if (request.space != kSpaceId) return -ENOENT;
      return map(request.iova,
                 {.bytes = request.bytes, .writable = (request.flags & uapi::kMapWritable) != 0});
    }
    case uapi::kIommuUnmap: {
      auto& request = at<uapi::IommuUnmap>(argument);
      request.bytes = unmap(request.iova, request.bytes);
      return request.bytes == 0 ? -ENOENT : 0;
    }
    case uapi::kIommuRanges: {
      auto& request = at<uapi::IommuRanges>(argument);
      const auto room = std::exchange(request.count, static_cast<std::uint32_t>(usable.size()));
      auto* ranges = reinterpret_cast<uapi::IommuRange*>(request.ranges);
      for (std::uint32_t i = 0; i < std::min(room, request.count); ++i) {
        ranges[i] = {.first = usable[i].iova, .last = usable[i].iova + (usable[i].bytes - 1)};
      }
      return room < request.count ? -EMSGSIZE : 0;
    }
    case uapi::kIommuTableAlloc: {
      auto& request = at<uapi::IommuTableAlloc>(argument);
      request.id = next_id++;
      tables.insert(request.id);
      return 0;
    }
    case uapi::kIommuSetDirty:
      return tables.contains(at<uapi::IommuSetDirty>(argument).table) ? 0 : -ENOENT;
    case uapi::kIommuGetDirty: {
      const auto& request = at<uapi::IommuGetDirty>(argument);
      fill(request.iova, request.bytes, request.page_bytes,
           reinterpret_cast<std::uint64_t*>(request.bitmap));
      return 0;
    }
    default:
      return -ENOTTY;
  }
}

}  // namespace vmm::vfio::testing
