// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

// What a driver sees of the transport: virtio 1.3, 4.1.4.

#include <cstdint>

namespace vmm::virtio_pci {

inline constexpr std::uint16_t kVendor = 0x1af4;       ///< PCI vendor ID: 4.1.2
inline constexpr std::uint16_t kFirstDevice = 0x1040;  ///< plus the device's type
inline constexpr std::uint8_t kRevision = 1;        ///< PCI revision ID: not transitional; 4.1.2.1
inline constexpr std::uint16_t kNoVector = 0xffff;  ///< VIRTIO_MSI_NO_VECTOR

/// The registers of the common configuration: 4.1.4.3.
enum class Common : std::uint16_t {
  kDeviceFeatureSelect = 0x00,
  kDeviceFeature = 0x04,
  kDriverFeatureSelect = 0x08,
  kDriverFeature = 0x0c,
  kConfigMsixVector = 0x10,
  kNumQueues = 0x12,
  kDeviceStatus = 0x14,
  kConfigGeneration = 0x15,
  kQueueSelect = 0x16,
  kQueueSize = 0x18,
  kQueueMsixVector = 0x1a,
  kQueueEnable = 0x1c,
  kQueueNotifyOff = 0x1e,
  kQueueDescLow = 0x20,
  kQueueDescHigh = 0x24,
  kQueueDriverLow = 0x28,
  kQueueDriverHigh = 0x2c,
  kQueueDeviceLow = 0x30,
  kQueueDeviceHigh = 0x34,
  kQueueNotifyData = 0x38,
  kQueueReset = 0x3a,
};

inline constexpr std::uint8_t kRegistersBar = 0;     ///< which holds all of the parts below
inline constexpr std::uint8_t kSharedMemoryBar = 2;  ///< and the next one: 64 bits

/// A part of BAR 0.
struct Part {
  std::uint32_t offset;  ///< bytes from the start of BAR 0
  std::uint32_t bytes;   ///< that are decoded
};
/// struct virtio_pci_common_cfg: 4.1.4.3.
inline constexpr Part kCommonPart{0x0000, 0x3c};
inline constexpr Part kIsrPart{0x2000, 1};            ///< the ISR status: 4.1.4.5
inline constexpr Part kConfigPart{0x4000, 0x1000};    ///< the device's configuration space: 4.1.4.6
inline constexpr Part kNotifyPart{0x6000, 0x1000};    ///< where the driver kicks: 4.1.4.4
inline constexpr Part kTablePart{0x8000, 0x4'0000};   ///< the MSI-X table
inline constexpr Part kPendingPart{0x4'8000, 0x800};  ///< the MSI-X pending bits
inline constexpr std::uint64_t kRegistersBytes = 0x8'0000;       ///< of BAR 0
inline constexpr std::uint64_t kRegistersAlignment = 0x80'0000;  ///< of its first address

inline constexpr std::uint32_t kNotifyMultiplier = 4;  ///< notify_off_multiplier, in bytes: 4.1.4.4
/// That kNotifyPart has room for.
inline constexpr std::uint16_t kMaxQueues = kNotifyPart.bytes / kNotifyMultiplier;

inline constexpr std::uint8_t kIsrQueue = 1;   ///< of the ISR status: 4.1.4.5
inline constexpr std::uint8_t kIsrConfig = 2;  ///< of the ISR status

/// The kinds of vendor capabilities: 4.1.4.
enum class CapabilityKind : std::uint8_t {
  kCommon = 1,
  kNotify = 2,
  kIsr = 3,
  kDevice = 4,
  kPciConfig = 5,
  kSharedMemory = 8,
};

}  // namespace vmm::virtio_pci
