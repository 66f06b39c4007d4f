// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "vmm/base/result.h"
#include "vmm/vfio/device.h"

// VFIO_DEVICE_FEATURE: what only some devices have, each with a number and a structure of its own.

namespace vmm::vfio {

/// What can be done with a feature.
enum class FeatureUse : std::uint8_t { kGet = 1, kSet = 2, kGetAndSet = 3 };

/// The largest structure of a feature that is passed on.
inline constexpr std::size_t kMaxFeatureBytes = 256;

/// Whether the device has it for this use. Errors: those of the kernel but for "no such feature".
Result<bool> has_feature(const Device& device, std::uint16_t feature, FeatureUse use);
/// Reads a feature's structure; what was in `data` before is its question.
/// Errors: kTooLarge; ENOTTY when the device has none such; those of the kernel.
Result<void> get_feature(const Device& device, std::uint16_t feature, std::span<std::byte> data);
/// Writes it. Features without a structure take no bytes. Errors: as before.
Result<void> set_feature(const Device& device, std::uint16_t feature,
                         std::span<const std::byte> data);

}  // namespace vmm::vfio
