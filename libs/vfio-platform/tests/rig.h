// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

// A scripted platform device of the host, and what it is given of a VMM.

#include <catch2/catch.hpp>
#include <cerrno>
#include <cstdint>
#include <initializer_list>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "vmm/vfio/address_space.h"
#include "vmm/vfio/testing/region_recorder.h"
#include "vmm/vfio/testing/scripted_kernel.h"
#include "vmm/vfio_platform/node_plan.h"
#include "vmm/vfio_platform/platform_device.h"

namespace vmm::vfio_platform::testing {

inline constexpr std::uint64_t kPage = 4096;
inline const std::string kPath = "/sys/devices/platform/a003e00.dma";

inline std::vector<std::byte> bytes_of(std::string_view text) {
  std::vector<std::byte> bytes;
  for (const char c : text) bytes.push_back(static_cast<std::byte>(c));
  return bytes;
}
inline Property property(std::string name, std::string_view value) {
  return {.name = std::move(name), .value = bytes_of(value)};
}
inline std::string_view literal(const char* text, std::size_t bytes) { return {text, bytes}; }

/// Registers of four pages that can be mapped, of 64 bytes that cannot; a level and an edge.
inline vfio::testing::ScriptedDevice dma_engine() {
  vfio::testing::ScriptedDevice device{.path = kPath,
                                       .group = 7,
                                       .entry = "vfio0",
                                       .kind = vfio::DeviceKind::kPlatform,
                                       .resettable = true,
                                       .regions = {},
                                       .irqs = {},
                                       .neighbours = {},
                                       .owns_neighbours = true,
                                       .features = {},
                                       .driver = "vfio-platform"};
  device.regions.resize(2);
  device.regions[0].bytes = 4 * kPage;
  device.regions[0].mappable = true;
  device.regions[1].bytes = 64;
  device.irqs = {
      {.count = 1, .eventfd = true, .maskable = true, .automasked = true, .fixed_size = false},
      {.count = 1, .eventfd = true, .maskable = false, .automasked = false, .fixed_size = false}};
  return device;
}

using vfio::testing::RegionRecorder;

/// Remembers what is connected.
class FakeLines final : public LineRouter {
 public:
  Result<std::shared_ptr<const void>> connect(const LineWiring& wiring) override {
    if (wiring.line == refused) return fail(Error::os(EBUSY, "connect"));
    all[wiring.line] = wiring;
    return std::shared_ptr<const void>(this,
                                       [this, at = wiring.line](const void*) { all.erase(at); });
  }
  std::map<std::uint32_t, LineWiring> all;
  std::uint32_t refused = UINT32_MAX;
};

}  // namespace vmm::vfio_platform::testing
