// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/vfio/iommu_group.h"

#include <cerrno>
#include <charconv>
#include <optional>
#include <string_view>
#include <utility>

#include "vmm/vfio/vfio_error.h"

namespace vmm::vfio {
namespace {

std::string_view last_part(std::string_view path) {
  return path.substr(path.find_last_of('/') + 1);  // npos + 1 is 0
}

std::optional<std::uint32_t> to_number(std::string_view text) {
  std::uint32_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

Result<std::string> group_path(Kernel& kernel, const std::string& sysfs_path) {
  auto link = kernel.resolve(sysfs_path + "/iommu_group");
  if (!link && link.error().is_os(ENOENT)) return fail(VfioError::kNoGroup);
  return link;
}

Result<std::string> driver_of(Kernel& kernel, const std::string& sysfs_path) {
  auto link = kernel.resolve(sysfs_path + "/driver");
  if (!link && link.error().is_os(ENOENT)) return std::string();
  if (!link) return fail(std::move(link).error());
  return std::string(last_part(*link));
}

}  // namespace

Result<std::uint32_t> group_number(Kernel& kernel, const std::string& sysfs_path) {
  VMM_TRY(const std::string link, group_path(kernel, sysfs_path));
  const auto number = to_number(last_part(link));
  if (!number) return fail(VfioError::kNoGroup);
  return *number;
}

Result<std::vector<GroupMember>> group_members(Kernel& kernel, const std::string& sysfs_path) {
  VMM_TRY(const std::string link, group_path(kernel, sysfs_path));
  const std::string folder = link + "/devices";
  VMM_TRY(auto names, kernel.list(folder));
  if (names.size() > kMaxGroupMembers) return fail(VfioError::kTooLarge);
  std::vector<GroupMember> members;
  for (std::string& name : names) {
    VMM_TRY(auto driver, driver_of(kernel, folder + "/" + name));
    members.push_back({.name = std::move(name), .driver = std::move(driver)});
  }
  return members;
}

Result<std::string> bus_of(Kernel& kernel, const std::string& sysfs_path) {
  VMM_TRY(const std::string link, kernel.resolve(sysfs_path + "/subsystem"));
  return std::string(last_part(link));
}

}  // namespace vmm::vfio
