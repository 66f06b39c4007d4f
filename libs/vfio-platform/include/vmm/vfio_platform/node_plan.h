// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "vmm/vfio_platform/host_node.h"

namespace vmm::vfio_platform {

/// What a guest's node needs and does not get from the host's node.
struct Need {
  /// Why the guest's node does not get it.
  enum class Reason : std::uint8_t {
    kReference,  ///< it names other nodes of the host, of which the guest's tree has none
    kMalformed,  ///< the value is not what a property of this name has
    kMissing,    ///< the host's node has none
  };
  std::string property;                ///< the property's name
  Reason reason = Reason::kReference;  ///< why it is not there

  friend bool operator==(const Need&, const Need&) = default;
};

/// "clocks", with the reason in words.
[[nodiscard]] std::string to_string(const Need& need);

/// What the guest's node of a device is to say, but for registers and interrupts.
struct NodePlan {
  std::string name;                 ///< of the node, without a unit address
  std::vector<Property> copied;     ///< sorted
  std::vector<Need> needs;          ///< to be had from elsewhere: an overlay
  std::vector<std::string> unused;  ///< nobody here knows what they mean; children end in /
};

/// What a device has, as the names of its parts must be as many.
struct Counts {
  std::size_t registers = 0;   ///< regions
  std::size_t interrupts = 0;  ///< as VFIO counts them
};

/// Decides property by property: copied is what is on the list of those that say the same in a
/// guest (the README has it); and what is not known here but in `allowed`, as it is. What is about
/// registers, interrupts and phandles is left out, as the guest has its own; so is what the host
/// has done for the device (pins, its IOMMU). What names other nodes is a need.
///
/// `node` may hold anything; the work is linear in its bytes.
NodePlan plan_node(const HostNode& node, Counts counts,
                   std::span<const std::string_view> allowed = {});

}  // namespace vmm::vfio_platform
