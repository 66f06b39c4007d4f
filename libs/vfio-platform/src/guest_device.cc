// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/vfio_platform/guest_device.h"

#include <cerrno>
#include <utility>

#include "vmm/vfio_platform/host_node.h"

namespace vmm::vfio_platform {
namespace {

Result<HostNode> host_node_of(const std::string& path) {
  auto node = read_host_node(path + "/of_node");
  if (!node && node.error().is_os(ENOENT)) {
    return HostNode{.name = "device", .properties = {}, .children = {}};
  }
  return node;
}

}  // namespace

Result<GuestDevice> give_to_guest(vfio::Kernel& kernel, vfio::AddressSpace& space,
                                  const std::string& path, const GuestSide& guest) {
  GuestDevice given;
  VMM_TRY(auto held, open(kernel, space, path));
  VMM_TRY(given.device,
          PlatformDevice::create(
              {.device = std::move(held), .mapper = guest.mapper, .lines = guest.lines}));
  VMM_TRY(const HostNode node, host_node_of(path));
  given.plan = plan_node(
      node, {.registers = given.device->regions(), .interrupts = given.device->interrupts()});
  VMM_TRY(given.place, given.device->attach(guest.bus, guest.places));
  given.node = node_name(given.plan, given.place);
  return given;
}

}  // namespace vmm::vfio_platform
