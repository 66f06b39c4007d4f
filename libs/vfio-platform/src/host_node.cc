// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/vfio_platform/host_node.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <system_error>
#include <utility>

#include "vmm/base/unique_fd.h"
#include "vmm/sys_util/file_io.h"

namespace vmm::vfio_platform {
namespace {

constexpr const char* kReading = "read a node of the host's device tree";

// Files of sysfs say a size of their own; what counts is what comes.
Result<Property> read_property(const std::filesystem::path& file) {
  const UniqueFd fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  if (!fd) return fail(Error::from_errno(kReading));
  VMM_TRY(auto value, sys_util::read_to_end(fd.get(), kMaxPropertyBytes));
  return Property{.name = file.filename().string(), .value = std::move(value)};
}

}  // namespace

Result<HostNode> read_host_node(const std::string& folder) {
  namespace fs = std::filesystem;
  std::error_code error;
  const fs::path real = fs::canonical(folder, error);
  if (error) return fail(Error::os(error.value(), kReading));
  HostNode node{.name = real.filename().string(), .properties = {}, .children = {}};
  for (fs::directory_iterator entry(real, error), end; !error && entry != end;
       entry.increment(error)) {
    const fs::file_type type = entry->symlink_status(error).type();
    if (error) break;
    if (node.properties.size() == kMaxProperties || node.children.size() == kMaxProperties) {
      return fail(Error::os(E2BIG, kReading));
    }
    if (type == fs::file_type::directory) {
      node.children.push_back(entry->path().filename().string());
    } else if (type == fs::file_type::regular) {
      VMM_TRY(auto property, read_property(entry->path()));
      node.properties.push_back(std::move(property));
    }
  }
  if (error) return fail(Error::os(error.value(), kReading));
  std::ranges::sort(node.properties, {}, &Property::name);
  std::ranges::sort(node.children);
  return node;
}

}  // namespace vmm::vfio_platform
