// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "vmm/base/result.h"

namespace vmm::vfio_platform {

/// A property of a device tree's node, as bytes.
struct Property {
  std::string name;              ///< without a path
  std::vector<std::byte> value;  ///< at most kMaxPropertyBytes when it was read of the host

  friend bool operator==(const Property&, const Property&) = default;
};

/// A node of a device tree: the host's, or one that a user gives. Nothing of it is checked.
struct HostNode {
  std::string name;                   ///< with its unit address
  std::vector<Property> properties;   ///< at most kMaxProperties when they were read of the host
  std::vector<std::string> children;  ///< their names
};

/// @{
/// What is read of a node of the host: a node with more, or a value that is longer, is refused.
inline constexpr std::size_t kMaxProperties = 256;
inline constexpr std::size_t kMaxPropertyBytes = 4096;
/// @}

/// Reads the node that a folder of sysfs or procfs shows, such as
/// /sys/bus/platform/devices/a003e00.dma/of_node: a file for each property, a folder for each
/// child. Both come sorted by name.
/// Errors: E2BIG for more than kMaxProperties properties or children; EFBIG for a longer value;
/// those of realpath(3), opendir(3), open(2) and read(2).
Result<HostNode> read_host_node(const std::string& folder);

}  // namespace vmm::vfio_platform
