// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "uapi.h"
#include "vmm/vfio/testing/scripted_kernel.h"

namespace vmm::vfio::testing {

inline constexpr std::uint64_t kRegionStride = 1ull << 40;  // as vfio-pci lays regions out
inline constexpr std::uint64_t kPage = 4096;
inline constexpr std::uint32_t kSpaceId = 1;

enum class Kind : std::uint8_t { kContainer, kIommufd, kGroup, kDevice, kState };

struct Object {
  Kind kind = Kind::kContainer;
  std::uint32_t number = 0;  // of a group, or a device's place in the list
  ino_t inode = 0;
};

inline UniqueFd new_file() { return UniqueFd(::memfd_create("scripted", MFD_CLOEXEC)); }

inline ino_t inode_of(int fd) {
  struct stat status{};
  return ::fstat(fd, &status) == 0 ? status.st_ino : 0;
}

template <class T>
T& at(std::uintptr_t argument) {
  return *reinterpret_cast<T*>(argument);
}

// Puts an answer where the question is, as much as it has room for; and how much it would need.
inline void answer(std::uintptr_t argument, std::span<const std::byte> bytes) {
  std::uint32_t room = 0;
  std::memcpy(&room, reinterpret_cast<const void*>(argument), sizeof(room));
  std::memcpy(reinterpret_cast<void*>(argument), bytes.data(),
              std::min<std::size_t>(room, bytes.size()));
}

class Bytes {
 public:
  template <class T>
  std::size_t add(const T& object) {
    const std::size_t where = bytes_.size();
    bytes_.resize(where + sizeof(T));
    std::memcpy(bytes_.data() + where, &object, sizeof(T));
    return where;
  }
  template <class T>
  void set(std::size_t where, const T& object) {
    std::memcpy(bytes_.data() + where, &object, sizeof(T));
  }
  [[nodiscard]] std::uint32_t size() const { return static_cast<std::uint32_t>(bytes_.size()); }
  [[nodiscard]] std::span<const std::byte> get() const { return bytes_; }

 private:
  std::vector<std::byte> bytes_;
};

// A chain of capabilities: each new one is linked from the one before.
class Chain {
 public:
  Chain(Bytes& bytes, std::size_t link) : bytes_(bytes), link_(link) {}
  template <class T>
  void add(T capability, std::uint16_t id) {
    capability.header = {.id = id, .version = 1, .next = 0};
    const std::size_t where = bytes_.add(capability);
    bytes_.set(link_, static_cast<std::uint32_t>(where));
    link_ = where + offsetof(vfio_info_cap_header, next);
  }

 private:
  Bytes& bytes_;
  std::size_t link_;
};

struct ScriptedKernel::State {
  struct Failure {
    int error = 0;
    int after = 0;
  };
  struct Slot {
    ScriptedDevice device;
    UniqueFd file;
    std::map<std::uint32_t, std::vector<int>> irqs;
  };

  std::vector<Slot> devices;
  std::map<int, Object> objects;
  std::map<std::string, Failure> failures;
  std::map<std::string, int> counts;
  std::map<std::string, std::vector<std::byte>> arguments;
  std::set<std::uint32_t> not_viable;
  std::set<std::uint32_t> noiommu;
  std::set<std::uint32_t> groups;  // in the container
  std::map<std::uint64_t, Mapped> mappings;
  std::vector<DmaSpan> usable;
  std::set<std::uint64_t> written;
  std::set<std::uint32_t> tables;
  std::uint32_t next_id = 10;
  int api_version = VFIO_API_VERSION;
  bool iommufd = false;
  bool type1v2 = true;
  bool has_iommu = false;       // of either kind
  bool noiommu_chosen = false;  // which has no mappings
  bool leave_a_page = false;

  // Whether the request is to fail: an errno value, or 0.
  int failure(const std::string& name) {
    const auto found = failures.find(name);
    if (found == failures.end()) return 0;
    if (found->second.after-- > 0) return 0;
    const int error = found->second.error;
    failures.erase(found);
    return error;
  }

  UniqueFd give(UniqueFd fd, Kind kind, std::uint32_t number) {
    objects[fd.get()] = {.kind = kind, .number = number, .inode = inode_of(fd.get())};
    return fd;
  }
  UniqueFd give_device(std::size_t index) {
    return give(UniqueFd(::fcntl(devices[index].file.get(), F_DUPFD_CLOEXEC, 0)), Kind::kDevice,
                static_cast<std::uint32_t>(index));
  }
  bool is_device_open(std::uint32_t group) const {
    return std::ranges::any_of(objects, [&](const auto& entry) {
      const auto& [fd, object] = entry;
      return object.kind == Kind::kDevice && devices[object.number].device.group == group &&
             inode_of(fd) == object.inode;
    });
  }
  const Slot* find(const std::string& path) const {
    const auto found =
        std::ranges::find_if(devices, [&](const Slot& slot) { return slot.device.path == path; });
    return found == devices.end() ? nullptr : &*found;
  }

  std::string group_node(std::uint32_t group) const {
    return (noiommu.contains(group) ? "/dev/vfio/noiommu-" : "/dev/vfio/") + std::to_string(group);
  }

  int on_container(unsigned long number, std::uintptr_t argument);
  int on_group(std::uint32_t group, unsigned long number, std::uintptr_t argument);
  int on_iommufd(unsigned long number, std::uintptr_t argument);
  int on_device(Slot& slot, unsigned long number, std::uintptr_t argument);
  int map(std::uint64_t iova, Mapped mapped);
  bool has_mappings() const { return has_iommu && !noiommu_chosen; }
  int enter(std::uint32_t group);
  int set_iommu(std::uintptr_t kind);
  std::uint64_t unmap(std::uint64_t iova, std::uint64_t bytes);
  void fill(std::uint64_t iova, std::uint64_t bytes, std::uint64_t page, std::uint64_t* bitmap);
  int info(std::uintptr_t argument) const;
  static int region_info(const Slot& slot, std::uintptr_t argument);
  static int irq_info(const Slot& slot, std::uintptr_t argument);
  static int set_irqs(Slot& slot, std::uintptr_t argument);
  static int hot_reset_info(const Slot& slot, std::uintptr_t argument);
  int feature(Slot& slot, std::uintptr_t argument);
};

}  // namespace vmm::vfio::testing
