// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstdint>

#include "vmm/virtio_queue/layout.h"

namespace vmm::virtio_device {

///@{
/// Feature bits that belong to no device type: virtio 1.3, section 6. Those of queues are in
/// virtio_queue/layout.h.
inline constexpr std::uint64_t kFeatureVersion1 = std::uint64_t{1} << 32;
inline constexpr std::uint64_t kFeatureAccessPlatform = std::uint64_t{1} << 33;
inline constexpr std::uint64_t kFeatureOrderPlatform = std::uint64_t{1} << 36;
inline constexpr std::uint64_t kFeatureSrIov = std::uint64_t{1} << 37;
inline constexpr std::uint64_t kFeatureNotifyConfigData = std::uint64_t{1} << 39;
///@}

/// The bits of a device type: 0 to 23, and 50 to 127.
inline constexpr std::uint64_t kDeviceFeatures = ~(((std::uint64_t{1} << 26) - 1) << 24);

/// The bit of a feature that its device type numbers `bit`.
[[nodiscard]] constexpr std::uint64_t feature(unsigned bit) { return std::uint64_t{1} << bit; }

}  // namespace vmm::virtio_device
